"""Sounds and pictures of known content."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from pcavs.media.speech import GATE_BLOCK_SAMPLES, gate_gains

SoundMaker: TypeAlias = Callable[..., Path]
FilmMaker: TypeAlias = Callable[..., Path]


def tone_with_click(seconds: float, rate_hz: int, click_s: float = 0.5, channels: int = 1) -> np.ndarray:
    """A quiet tone, and a loud click of 1 ms."""
    samples = round(seconds * rate_hz)
    sound = np.tile(0.1 * np.sin(2 * np.pi * 220 * np.arange(samples) / rate_hz), (channels, 1))
    at = round(click_s * rate_hz)
    sound[:, at : at + max(2, rate_hz // 1000)] = 0.95
    return sound.astype(np.float32)


def click_time(waveform: np.ndarray, rate_hz: int = 16_000) -> float:
    """When the click begins, in seconds."""
    return float(np.argmax(np.abs(waveform) > 0.5 * np.abs(waveform).max())) / rate_hz


def numbered(k: int, width: int = 128, height: int = 64) -> np.ndarray:
    """A picture that says its number: ten bits as black and white bars."""
    picture = np.zeros((height, width, 3), np.uint8)
    bar = width // 10
    for bit in range(10):
        if k >> bit & 1:
            picture[:, bit * bar : (bit + 1) * bar] = 255
    return picture


def number_of(picture: np.ndarray) -> int:
    """Reads what `numbered` wrote."""
    height, width = picture.shape[:2]
    bar = (width // 2 if width > 128 else width) // 10
    return sum(int(picture[height // 2, bit * bar + bar // 2, 1] > 127) << bit for bit in range(10))


def silence_quiet(waveform: np.ndarray, gate_db: float) -> int:
    """Applies a gate to a whole waveform, in place; gives the number of samples that it silenced altogether."""
    whole = len(waveform) // GATE_BLOCK_SAMPLES
    blocks = waveform[: whole * GATE_BLOCK_SAMPLES].reshape(whole, GATE_BLOCK_SAMPLES)
    gain = gate_gains(np.sqrt(np.mean(np.square(blocks), axis=1)), gate_db)
    blocks *= gain[:, None]
    waveform[whole * GATE_BLOCK_SAMPLES :] *= gain[-1] if whole else 1
    return int((gain == 0).sum()) * GATE_BLOCK_SAMPLES
