"""Rendered talking heads whose pose, mouth shapes and sound are known exactly."""
