"""Computes, from the level of the speech, in which frames the mouth rests: its pauses."""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Float32

from pcavs.media.mel import LazyMel, frame_levels
from pcavs.numeric import smoothstep
from pcavs.spec import MEL_WINDOW_FRAMES
from pcavs.types import Mel

_LOUD_PERCENTILE: Final = 90
"""Percentile of the frames' levels that counts as the level of loud speech. Tuned by hand; not measured."""
_PAUSE_BELOW_LOUD: Final = 0.22
"""A frame is quiet if its level is lower than that of loud speech by more than this. Mel levels: 1 is 100 dB, so 22 dB.
Tuned by hand; not measured."""
MEL_REACH_FRAMES: Final = MEL_WINDOW_FRAMES // 2
"""Half of a mel window: the windows of frames within this distance of speech contain speech, so the mouth does not rest
in them."""
STATE_REACH_FRAMES: Final = 12
"""The same for speech encoders that hear states (0.48 s): they close the mouth in short pauses themselves, and open it
before a word. Measured on films of four GRID speakers, whose openings follow the true ones with 0.73 without any rest,
0.71 with a reach of 8 and 0.67 with `MEL_REACH_FRAMES`."""
_FADE_FRAMES: Final = 3
"""Frames over which the mouth comes to rest, and leaves it again. Tuned by hand; not measured."""


def pause_weights(
    mel: Mel | LazyMel, num_frames: int, reach_frames: int = MEL_REACH_FRAMES
) -> Float32[np.ndarray, " time"]:
    """Computes how far the mouth rests in each frame: 0 in speech, 1 in pauses, with smooth transitions.

    Pauses shorter than twice the reach count as speech: the closures of b, p and t are up to 0.2 s long. Silence at the
    start and the end of the film counts as part of a longer pause.

    Args:
        mel: Mel spectrogram of the speech; frame k's window begins at bin 4 k.
        num_frames: Length of the film.
        reach_frames: Frames before and after speech in which the mouth does not rest.
    """
    level = frame_levels(mel, num_frames)
    quiet = (level < np.percentile(level, _LOUD_PERCENTILE) - _PAUSE_BELOW_LOUD).astype(np.uint8)
    padding = 2 * max(MEL_WINDOW_FRAMES, reach_frames)
    padded = np.pad(quiet, padding, constant_values=1)[None]
    distance = cv2.distanceTransform(padded, cv2.DIST_L1, 3)[0, padding:][:num_frames]
    return np.asarray(smoothstep((distance - reach_frames) / _FADE_FRAMES), np.float32)
