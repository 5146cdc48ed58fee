"""Reads and writes media files: audio, images and videos to NumPy arrays and back, mel spectrograms, frame times."""
