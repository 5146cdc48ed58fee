"""Makes sounds and pictures of known content, and gates a whole waveform for comparison with streaming."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from pcavs.media.speech import GATE_BLOCK_SAMPLES, gate_gains

SoundMaker: TypeAlias = Callable[..., Path]
FilmMaker: TypeAlias = Callable[..., Path]


def tone_with_click(seconds: float, rate_hz: int, click_s: float = 0.5, channels: int = 1) -> np.ndarray:
    """Makes a quiet tone with a loud click of 1 ms."""
    samples = round(seconds * rate_hz)
    sound = np.tile(0.1 * np.sin(2 * np.pi * 220 * np.arange(samples) / rate_hz), (channels, 1))
    at = round(click_s * rate_hz)
    sound[:, at : at + max(2, rate_hz // 1000)] = 0.95
    return sound.astype(np.float32)


def click_time(waveform: np.ndarray, rate_hz: int = 16_000) -> float:
    """Finds the time at which the click begins, in seconds."""
    return float(np.argmax(np.abs(waveform) > 0.5 * np.abs(waveform).max())) / rate_hz


def numbered(k: int, width: int = 128, height: int = 64) -> np.ndarray:
    """Draws the ten bits of a number as black and white bars."""
    picture = np.zeros((height, width, 3), np.uint8)
    bar = width // 10
    for bit in range(10):
        if k >> bit & 1:
            picture[:, bit * bar : (bit + 1) * bar] = 255
    return picture


def number_of(picture: np.ndarray) -> int:
    """Reads the number that `numbered` drew."""
    height, width = picture.shape[:2]
    bar = (width // 2 if width > 128 else width) // 10
    return sum(int(picture[height // 2, bit * bar + bar // 2, 1] > 127) << bit for bit in range(10))


def silence_quiet(waveform: np.ndarray, gate_db: float) -> int:
    """Applies the noise gate to a whole waveform in place; returns the number of samples that it silenced."""
    whole = len(waveform) // GATE_BLOCK_SAMPLES
    blocks = waveform[: whole * GATE_BLOCK_SAMPLES].reshape(whole, GATE_BLOCK_SAMPLES)
    gain = gate_gains(np.sqrt(np.mean(np.square(blocks), axis=1)), gate_db)
    blocks *= gain[:, None]
    waveform[whole * GATE_BLOCK_SAMPLES :] *= gain[-1] if whole else 1
    return int((gain == 0).sum()) * GATE_BLOCK_SAMPLES
