"""Takes what is not speech out of the sound that moves the mouth: a gate that closes where it is quiet."""

from typing import Final

import numpy as np
from jaxtyping import Float, Float32

from pcavs.spec import SAMPLE_RATE_HZ

GATE_BLOCK: Final = SAMPLE_RATE_HZ // 100
"""Samples whose level is one: 10 ms."""
_HANG_BLOCKS: Final = 12
"""Blocks for which the gate stays open around what is loud: ends of words are quiet."""
_RAMP_BLOCKS: Final = 3
_HEARD_SHARE: Final = 0.9
"""The speech's level is that of its louder blocks: this quantile."""


def gate_gains(level: Float[np.ndarray, " blocks"], gate_db: float) -> Float32[np.ndarray, " blocks"]:
    """Finds factors that silence what lies further than `gate_db` below the speech's own level for a quarter second.

    Args:
        level: Root mean square of each whole block of `GATE_BLOCK` samples.
        gate_db: Below 0.

    Returns:
        For each block, 0 to 1; the samples after the last whole block are meant to take the last factor.
    """
    whole = len(level)
    if not whole:
        return np.ones(0, np.float32)
    is_open = level >= np.quantile(level, _HEARD_SHARE) * 10 ** (gate_db / 20)
    near = np.convolve(is_open, np.ones(2 * _HANG_BLOCKS + 1), "same")[:whole] > 0
    ramp = np.convolve(np.pad(near.astype(np.float64), _RAMP_BLOCKS, mode="edge"), _hann(2 * _RAMP_BLOCKS + 1), "valid")
    return np.where(near, 1.0, ramp).astype(np.float32)


def _hann(length: int) -> np.ndarray:
    window = np.hanning(length + 2)[1:-1]
    return window / window.sum()
