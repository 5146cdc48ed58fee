"""Where a sound is silent."""

from typing import Final

import numpy as np
from jaxtyping import Bool, Float

from pcavs.spec import SAMPLES_PER_FRAME
from pcavs.types import Waveform

_SILENT_DB: Final = -30.0
"""Below the clip's loud parts."""
_LOUD: Final = 95.0
_WIDTH_FRAMES: Final = 5
"""A frame is silent where 0.2 s about it are: lips move ahead of the sound and rest after it."""


def loudness_db(waveform: Waveform) -> Float[np.ndarray, " time"]:
    """Root mean square of each frame's 40 ms, in dB of full scale; silence is -120."""
    frames = waveform[: len(waveform) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME].reshape(-1, SAMPLES_PER_FRAME)
    power = np.square(frames.astype(np.float64)).mean(axis=1)
    return 10 * np.log10(np.maximum(power, 1e-12))


def silent_frames(waveform: Waveform) -> Bool[np.ndarray, " time"]:
    """Frames about which 0.2 s lie 30 dB or more below the clip's loud parts; all frames of pure silence."""
    level = loudness_db(waveform)
    quiet = level <= max(float(np.percentile(level, _LOUD)) + _SILENT_DB, -119.0)
    reach = _WIDTH_FRAMES // 2
    padded = np.pad(quiet, reach, mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, _WIDTH_FRAMES).all(axis=1), bool)
