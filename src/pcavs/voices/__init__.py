"""Turns texts into speech: eSpeak NG, and the natural voices (Piper, Kokoro) whose files the user has."""
