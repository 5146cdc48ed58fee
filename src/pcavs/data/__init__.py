"""Training data: the file formats (shards, packs), and batches drawn from them."""
