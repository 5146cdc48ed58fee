"""Measures how far a clip's picture and sound are apart, with the sync judge; feeds the gate `offset`."""

import functools
from typing import Final

import numpy as np
from jaxtyping import Float32

from pcavs.face.regions import lips_shape
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.metrics.crops import mouth_crops
from pcavs.metrics.sync import MIN_FRAMES, SyncJudge
from pcavs.spec import MelSpec
from pcavs.types import Picture, Waveform

MIN_CONFIDENCE: Final = 0.22
"""Confidence of `pcavs-judge-v2` below which its offset is not used: little speech, or another person's.

Measured: at this limit the offset of 66 of 67 GRID clips and of 8 of 12 other people's clips is used. Matched speech
has about 0.35. Another judge needs another limit (docs/decisions/0019).
"""

MIN_JUDGED_FRAMES: Final = 50
"""Shortest clip that is measured (2 s); in a shorter one a word may fit at a wrong offset by chance. Tuned by hand."""


def sync_measures(
    crops: list[Picture], meshes: Float32[np.ndarray, "time 478 3"], sound: Waveform | None
) -> dict[str, float]:
    """Measures `sync`, the judge's confidence, and where that is high enough `offset`, in frames (0 and above).

    Args:
        crops: Aligned crops.
        meshes: Landmarks in pixels of the crop.
        sound: The clip's own sound, as long as the crops.

    Returns:
        The measures; empty for a clip without sound or too short to be judged. Takes 0.8 ms a frame.
    """
    if sound is None or len(crops) < max(MIN_JUDGED_FRAMES, MIN_FRAMES):
        return {}
    windows = mel_windows(padded_mel(sound, len(crops), MelSpec()))
    score = _judge().score(mouth_crops(crops, meshes), lips_shape(meshes), windows)
    is_sure = score.confidence >= MIN_CONFIDENCE
    return {"sync": score.confidence} | ({"offset": float(abs(score.offset_frames))} if is_sure else {})


@functools.cache
def _judge() -> SyncJudge:
    return SyncJudge()
