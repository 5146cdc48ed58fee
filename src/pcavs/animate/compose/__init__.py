"""Pastes rendered heads and mouths into a photograph or a video (`--full-frame`)."""
