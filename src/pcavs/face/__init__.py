"""From pixels to a face track, an aligned crop, the 478 landmarks and the head's pose."""
