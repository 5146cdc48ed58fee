"""Finds faces in frames: detection, tracking, the 478 landmarks, the aligned crop, and the head pose."""
