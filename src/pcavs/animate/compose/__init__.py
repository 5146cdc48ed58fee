"""Puts rendered heads and mouths back into a photograph or a video."""
