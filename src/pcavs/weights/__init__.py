"""Bundles: one file of tensors, spec and provenance, read strictly."""
