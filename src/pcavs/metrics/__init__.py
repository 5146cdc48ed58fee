"""Scores: numbers from pictures, landmarks and sound."""
