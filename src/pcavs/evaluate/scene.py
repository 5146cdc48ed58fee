"""What an evaluation knows of a clip before any talker has seen it, and the names of the films that are made of it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pcavs.animate.options import Device
from pcavs.evaluate.clips import Case, case_path, load_case, load_speech
from pcavs.evaluate.films import read_film
from pcavs.evaluate.measure import Expected
from pcavs.evaluate.observe import Heard, Seen, Tools, hear, identity_of, seen_as
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.media.timeline import bounce_index
from pcavs.metrics.sound import silent_frames
from pcavs.metrics.sync import distance_curve
from pcavs.spec import MelSpec
from pcavs.types import MelWindows, Waveform

SHIFT_FRAMES: Final = 5
"""By which the shifted truth is late."""

TRUTH, SHIFTED, FROZEN, COPIED = (
    "ground truth",
    "ground truth, 5 frames late",
    "frozen first frame",
    "copied pose source",
)
SELF, CROSS, SILENCE, MISMATCHED = "self-driven", "cross-driven", "silence", "other speech"
OTHER_POSE, OTHER_FACE = "other pose", "other face"
LONG_FIRST, LONG_LAST = "looped speech, first seconds", "looped speech, last seconds"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What a worker is told."""

    key: str
    lends_pose: str
    """Key of the clip whose head motion is borrowed."""
    lends_speech: str
    out: Path
    judges: Path
    weights: tuple[tuple[str, Path | None], ...]
    """Name and place of each."""
    device: Device
    long_s: float = 0.0
    """Length of the film of looped speech; 0 makes none."""


class Scene(NamedTuple):
    """A clip, its lenders and what is known of all three, each as long as the clip."""

    case: Case
    lender: Case
    """Lends its head motion, and its face where that alone is exchanged."""
    truth: Seen
    other_pose: Seen
    other_speech: Waveform
    heard: Heard
    other_heard: Heard
    own: Expected
    """What a film of the clip's own speech and pose should be like."""


def scene_of(job: Job, tools: Tools) -> Scene:
    """Reads a clip and its lenders."""
    case, lender = (load_case(case_path(job.out, key)) for key in (job.key, job.lends_pose))
    count = len(case.faces)
    truth = _true_film(case, range(count))
    other_pose = _true_film(lender, [bounce_index(t, len(lender.faces)) for t in range(count)])
    speech = np.resize(load_speech(case_path(job.out, job.lends_speech)), len(case.waveform))
    heard, other_heard = (hear(windows_of(sound, count), sound, tools) for sound in (case.waveform, speech))
    first = seen_as(truth.faces[:1], truth.raw[:1])
    identity = {embedder.name: identity_of(first, embedder, [0])[0] for embedder in tools.embedders}
    own = Expected(truth, truth.angles, heard, silent_frames(case.waveform)[:count], identity)
    return Scene(case, lender, truth, other_pose, speech, heard, other_heard, own)


def _true_film(case: Case, frames: Sequence[int]) -> Seen:
    assert case.film is not None
    assert case.raw is not None
    faces = read_film(case.film)
    return seen_as([faces[t] for t in frames], case.raw[list(frames)])


def windows_of(waveform: Waveform, count: int) -> MelWindows:
    """Cuts the sound into the windows that the sync judge hears."""
    return mel_windows(padded_mel(waveform, count, MelSpec()))


def shift_curve(film: Seen, heard: Heard, tools: Tools) -> list[float]:
    """Distance of a film and a sound at each shift."""
    count = min(len(film.crops) - 4, len(heard.ours))
    return distance_curve(tools.judge.seen(film.crops, film.lips)[:count], heard.ours[:count]).tolist()
