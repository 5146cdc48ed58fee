"""When the mouth rests: in pauses, with a soft end and a soft beginning."""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Float32

from pcavs.media.mel import LazyMel, frame_levels
from pcavs.numeric import smoothstep
from pcavs.spec import MEL_WINDOW_FRAMES
from pcavs.types import Mel

_QUIET: Final = 0.22
"""Below the loud parts' level, as a share of the mel spectrogram's hundred decibels."""
_LOUD_PERCENTILE: Final = 90
_HEARD_FRAMES: Final = MEL_WINDOW_FRAMES // 2
"""A frame hears so far: where speech is within reach, the lips are already on their way to it."""
_FADE_FRAMES: Final = 3


def rest_share(mel: Mel | LazyMel, num_frames: int) -> Float32[np.ndarray, " time"]:
    """Says for each frame how far the mouth rests, 0 to 1; frame k's window begins at bin 4 k.

    Pauses shorter than a fifth of a second are part of speech: that is how long b, p and t keep silent.
    """
    level = frame_levels(mel, num_frames)
    quiet = (level < np.percentile(level, _LOUD_PERCENTILE) - _QUIET).astype(np.uint8)
    # The film's ends are no speech, so they count as far away.
    far = np.pad(quiet, 2 * MEL_WINDOW_FRAMES, constant_values=1)[None]
    away = cv2.distanceTransform(far, cv2.DIST_L1, 3)[0, 2 * MEL_WINDOW_FRAMES :][:num_frames]
    return np.asarray(smoothstep((away - _HEARD_FRAMES) / _FADE_FRAMES), np.float32)
