"""Bytes to arrays and back: sound, pictures, films, the mel spectrogram and the timeline."""
