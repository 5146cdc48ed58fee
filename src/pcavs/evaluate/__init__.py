"""Honest numbers: one command renders, measures, compares and reports."""
