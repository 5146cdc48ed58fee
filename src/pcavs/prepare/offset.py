"""Measures the offset between the picture and the sound of a clip with the sync judge, and corrects it."""

import functools
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float32

from pcavs.face.regions import lips_shape
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.media.timeline import count_samples
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


LEAST_CORRECTED_FRAMES: Final = 2
"""Smallest offset that is corrected: the judge's own offset of clips in sync is up to one frame off."""


class ClipSync(NamedTuple):
    """What the sync judge finds in a clip."""

    confidence: float | None = None
    """None for a clip without sound, or too short to be judged."""
    offset_frames: int | None = None
    """Offset, above 0 where the picture is late; None where the judge is not sure."""

    @property
    def measures(self) -> dict[str, float]:
        """Measures of the ledger: `sync`, the confidence, and `offset`, the size of the offset in frames."""
        sync = {} if self.confidence is None else {"sync": self.confidence}
        return sync | ({} if self.offset_frames is None else {"offset": float(abs(self.offset_frames))})


class ShiftedClip(NamedTuple):
    """A clip whose sound was shifted."""

    frames: slice
    """The pictures that are kept."""
    sound: Waveform
    """The sound of these pictures."""


def measure_sync(
    crops: Sequence[Picture], meshes: Float32[np.ndarray, "time 478 3"], sound: Waveform | None
) -> ClipSync:
    """Judges how well picture and sound of a clip belong together; it takes 0.8 ms a frame.

    Args:
        crops: Aligned crops.
        meshes: Landmarks in pixels of the crop.
        sound: The clip's own sound, as long as the crops.
    """
    if sound is None or len(crops) < max(MIN_JUDGED_FRAMES, MIN_FRAMES):
        return ClipSync()
    windows = mel_windows(padded_mel(sound, len(crops), MelSpec()))
    score = _judge().score(mouth_crops(crops, meshes), lips_shape(meshes), windows)
    return ClipSync(score.confidence, score.offset_frames if score.confidence >= MIN_CONFIDENCE else None)


def shift_sound(num_frames: int, sound: Waveform, offset_frames: int) -> ShiftedClip:
    """Shifts the sound of a clip by its offset; drops pictures without sound, and sound without pictures.

    Args:
        num_frames: Length of the clip.
        sound: Its sound.
        offset_frames: Above 0 where the picture is late, so that frame t shows the sound of frame t - offset.
    """
    first, last = max(0, offset_frames), num_frames + min(0, offset_frames)
    start = count_samples(first - offset_frames)
    return ShiftedClip(slice(first, last), sound[start : start + count_samples(last - first)])


@functools.cache
def _judge() -> SyncJudge:
    return SyncJudge()
