"""Training data: packs in, typed batches out."""
