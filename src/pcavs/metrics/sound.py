"""Finds the silent frames of a waveform."""

from typing import Final

import numpy as np
from jaxtyping import Bool, Float

from pcavs.spec import SAMPLES_PER_FRAME
from pcavs.types import Waveform

_SILENCE_DB: Final = -30.0
"""Level of silence relative to the clip's loud frames, in dB. Tuned by hand; not measured."""
_LOUD_PERCENTILE: Final = 95.0
"""Percentile of a clip's frame levels that stands for its loud frames. Tuned by hand; not measured."""
_WINDOW_FRAMES: Final = 5
"""A frame is silent if this many frames around it are (0.2 s): lips start before the sound and rest after it."""
_MIN_POWER: Final = 1e-12
"""Power of digital silence, -120 dB of full scale: keeps the logarithm finite."""
_DIGITAL_SILENCE_DB: Final = -119.0
"""At or below this level a frame is silent whatever the clip's loud frames are: only rounding is above -120."""


def level_dbfs(waveform: Waveform) -> Float[np.ndarray, " time"]:
    """Computes the root mean square level of each frame (40 ms) in dB of full scale; -120 for digital silence.

    Samples after the last whole frame are ignored.
    """
    frames = waveform[: len(waveform) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME].reshape(-1, SAMPLES_PER_FRAME)
    power = np.square(frames.astype(np.float64)).mean(axis=1)
    return 10 * np.log10(np.maximum(power, _MIN_POWER))


def silent_frames(waveform: Waveform) -> Bool[np.ndarray, " time"]:
    """Marks the frames whose surrounding 0.2 s are at least 30 dB below the clip's loud frames.

    All frames of a clip without any sound are silent. The first and last frame are repeated at the ends.
    """
    level = level_dbfs(waveform)
    quiet = level <= max(float(np.percentile(level, _LOUD_PERCENTILE)) + _SILENCE_DB, _DIGITAL_SILENCE_DB)
    reach = _WINDOW_FRAMES // 2
    padded = np.pad(quiet, reach, mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, _WINDOW_FRAMES).all(axis=1), bool)
