"""How far a clip's picture and its own sound are apart, as the sync judge hears and sees it."""

import functools
from typing import Final

import numpy as np
from jaxtyping import Float32

from pcavs.face.regions import lips_shape
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.metrics.crops import mouth_crops
from pcavs.metrics.sync import LEAST_FRAMES, SyncJudge
from pcavs.spec import MelSpec
from pcavs.types import Picture, Waveform

LEAST_CONFIDENCE: Final = 0.22
"""Below, the judge does not know: speech is scarce, or another person's. Matched speech has about 0.35.

In units of `pcavs-judge-v2`; another judge needs another limit (docs/decisions/0033)."""

LEAST_JUDGED: Final = 50
"""Frames (2 s) below which a word may fit by chance."""


def sync_measures(
    crops: list[Picture], meshes: Float32[np.ndarray, "time 478 3"], sound: Waveform | None
) -> dict[str, float]:
    """Measures `sync`, the judge's confidence, and where it is sure `offset`, frames between picture and sound.

    Empty for clips without sound or too short to be judged. Cost: 0.8 ms a frame.
    """
    if sound is None or len(crops) < max(LEAST_JUDGED, LEAST_FRAMES):
        return {}
    windows = mel_windows(padded_mel(sound, len(crops), MelSpec()))
    score = _judge().score(mouth_crops(crops, meshes), lips_shape(meshes), windows)
    sure = {"offset": float(abs(score.offset_frames))} if score.confidence >= LEAST_CONFIDENCE else {}
    return {"sync": score.confidence} | sure


@functools.cache
def _judge() -> SyncJudge:
    return SyncJudge()
