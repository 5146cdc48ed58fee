"""Writes WAV files."""

import wave

import numpy as np


def write_wav(path, samples, rate_hz=16_000):
    """Writes samples in [-1, 1], (samples,) or (channels, samples), as 16-bit PCM."""
    samples = np.atleast_2d(samples)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((samples.T * 32767).round().astype("<i2").tobytes())
    return path


def write_noise(path, seconds, rate_hz=16_000, channels=1):
    """Writes noise whose loudness rises and falls."""
    rng = np.random.default_rng(0)
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    samples = 0.2 * rng.standard_normal((channels, len(time))) * np.abs(np.sin(5 * time))
    return write_wav(path, samples.clip(-1, 1), rate_hz)
