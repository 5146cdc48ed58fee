"""The sync judge: scores how well mouth movement fits a sound, and finds the time shift at which they fit best.

The judge is this project's own network, trained on its own data (docs/decisions/0019). Its confidence and distance are
defined like SyncNet's, but on another scale: compare them only with figures of the same judge, never with published
ones.
"""

import functools
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from pcavs.errors import InputError, WeightsError
from pcavs.media.files import write_text
from pcavs.metrics.crops import MouthCrops, standardised
from pcavs.runtime.openvino import cpu_settings
from pcavs.spec import MEL_WINDOW_FRAMES
from pcavs.types import MelWindows
from pcavs.vino import ov

MAX_SHIFT_FRAMES: Final = 15
"""Shifts tried in each direction (0.6 s), as in SyncNet's published evaluation."""
MIN_FRAMES: Final = 2 * MEL_WINDOW_FRAMES
"""Fewest frames that the judge scores: two windows that do not overlap."""
EDGE_FRAMES: Final = MEL_WINDOW_FRAMES // 2
"""Frames at each end of a video that have no window of their own."""

_BATCH: Final = 25
"""Windows per inference call. Tuned by hand; not measured."""
_FACTS: Final = "judge.json"

Embeddings = Float32[np.ndarray, "windows 128"]
"""Unit vectors, one for each window of five frames (0.2 s), one frame apart."""


class SyncScore(NamedTuple):
    """How well a video and a sound fit."""

    confidence: float
    """Median distance over all shifts minus the smallest: 0 where no shift fits better than the others; higher is
    better."""
    distance: float
    """Mean distance of mouth and sound at shift 0, from 0 (equal) to 2; about 1.4 for unrelated ones."""
    offset_frames: int
    """Shift with the smallest distance; positive: the picture is late."""
    cosine: float
    """Mean cosine of mouth and sound at shift 0, -1 to 1; higher is better."""


class SyncJudge:
    """The two frozen networks of the judge, run by OpenVINO in float32."""

    def __init__(self, folder: Path | None = None, threads: int = 1) -> None:
        """Loads the networks; takes 0.1 s.

        Args:
            folder: Folder of another judge; None loads the one in the package.
            threads: Processor threads.

        Raises:
            WeightsError: The judge is missing or damaged.
        """
        folder = folder or shipped_judge()
        self.facts = _checked_facts(folder)
        settings = cpu_settings(threads=threads)
        core = ov.Core()
        self._mouth, self._voice = (
            core.compile_model(core.read_model(folder / f"{name}.xml"), "CPU", settings) for name in ("mouth", "voice")
        )

    @property
    def name(self) -> str:
        """Name with version; scores of two versions do not compare."""
        return str(self.facts["name"])

    def embed_mouth(self, crops: MouthCrops, lips: Float[np.ndarray, "time 80"]) -> Embeddings:
        """Embeds every window of five neighbouring frames; row k is centred on frame k + 2.

        Args:
            crops: Output of `metrics.crops.mouth_crops`.
            lips: Output of `face.regions.lips_shape`, in cm.

        Raises:
            InputError: There are fewer than ten frames.
        """
        if len(crops) < MIN_FRAMES:
            raise InputError(f"sync of {len(crops)} frames cannot be scored; give a video of at least {MIN_FRAMES}")
        # The mean is the person's own lip shape; what remains is motion.
        moving = (lips - lips.mean(axis=0)).astype(np.float32)
        view = np.lib.stride_tricks.sliding_window_view
        frames = view(standardised(crops), MEL_WINDOW_FRAMES, axis=0).transpose(0, 3, 1, 2)
        shapes = view(moving, MEL_WINDOW_FRAMES, axis=0).transpose(0, 2, 1)
        return _run(self._mouth, frames, shapes)

    def embed_sound(self, windows: MelWindows) -> Embeddings:
        """Embeds the mel window of each frame but the first two and the last two; rows match `embed_mouth`."""
        return _run(self._voice, windows[EDGE_FRAMES : len(windows) - EDGE_FRAMES])

    def score(self, crops: MouthCrops, lips: Float[np.ndarray, "time 80"], windows: MelWindows) -> SyncScore:
        """Scores a video against a sound; the longer of the two is cut at its end.

        Raises:
            InputError: There are fewer than ten frames.
        """
        count = min(len(crops), len(windows))
        return score_sync(self.embed_mouth(crops[:count], lips[:count]), self.embed_sound(windows[:count]))


def score_sync(mouth: Embeddings, sound: Embeddings, max_shift_frames: int = MAX_SHIFT_FRAMES) -> SyncScore:
    """Scores embeddings of mouth and sound by their distance at every shift (`distance_curve`).

    Reference: Chung and Zisserman, "Out of time: automated lip sync in the wild", ACCV workshops 2016, section 4.
    """
    curve = distance_curve(mouth, sound, max_shift_frames)
    middle, best = len(curve) // 2, int(np.argmin(curve))
    cosine = float((mouth * sound).sum(axis=1).mean())
    return SyncScore(float(np.median(curve) - curve[best]), float(curve[middle]), best - middle, cosine)


def distance_curve(
    mouth: Embeddings, sound: Embeddings, max_shift_frames: int = MAX_SHIFT_FRAMES
) -> Float[np.ndarray, " shifts"]:
    """Computes the mean Euclidean distance of mouth and sound at each shift, 0 to 2.

    At shift d, the mouth at frame t + d meets the sound at frame t; the first value is at -max_shift_frames. Short
    videos are shifted by a third of their windows at most.
    """
    cosine = np.clip(mouth @ sound.T, -1, 1)
    distance = np.sqrt(2 - 2 * cosine)
    reach = min(max_shift_frames, len(mouth) // 3)
    return np.array([np.diagonal(distance, -shift).mean() for shift in range(-reach, reach + 1)])


def confidence_at_0(mouth: Embeddings, sound: Embeddings) -> float:
    """Computes the median distance over all shifts minus that at shift 0: how well mouth and sound fit as they are.

    `SyncScore.confidence` takes the best shift instead, so that sound which is late hardly lowers it. Below 0 where
    most other shifts fit better.
    """
    curve = distance_curve(mouth, sound)
    return float(np.median(curve) - curve[len(curve) // 2])


def beats_shifted(mouth: Embeddings, sound: Embeddings, shift_frames: int) -> Float[np.ndarray, " pairs"]:
    """Compares the true sound of each window with the sound `shift_frames` earlier and later.

    Returns:
        1 for each pair in which the true sound has the higher cosine with the mouth, else 0. The mean is the judge's
        accuracy; chance is 0.5.
    """
    cosine = mouth @ sound.T
    count, true = len(cosine), np.diagonal(cosine)
    pairs = [(true[max(0, -d) : count - max(0, d)], np.diagonal(cosine, d)) for d in (shift_frames, -shift_frames)]
    return np.concatenate([(right > wrong).astype(np.float64) for right, wrong in pairs])


def shipped_judge() -> Path:
    """Returns the folder of the judge that is part of the package."""
    with resources.as_file(resources.files("pcavs") / "assets" / "judge") as path:
        return path


def write_judge_facts(folder: Path, facts: dict[str, object]) -> None:
    """Writes `judge.json` for network files that are there already: name, provenance and the SHA-256 of each file.

    Raises:
        OutputError: It cannot be written.
    """
    files = {name: _digest(folder / name) for name in ("mouth.xml", "mouth.bin", "voice.xml", "voice.bin")}
    write_text(folder / _FACTS, json.dumps(facts | {"files": files}, indent=1, sort_keys=True) + "\n")


@functools.cache
def _checked_facts(folder: Path) -> dict[str, object]:
    try:
        facts = json.loads((folder / _FACTS).read_text())
        wrong = [name for name, digest in facts["files"].items() if _digest(folder / name) != digest]
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"no sync judge in {folder} ({error}); install pcavs again") from error
    if wrong:
        raise WeightsError(f"the sync judge in {folder} is damaged ({', '.join(wrong)}); install pcavs again")
    return facts


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(network: ov.CompiledModel, *inputs: np.ndarray) -> Embeddings:
    parts = []
    for first in range(0, len(inputs[0]), _BATCH):
        batch = [np.ascontiguousarray(each[first : first + _BATCH], np.float32) for each in inputs]
        parts.append(np.array(network(batch)[0]))
    return np.concatenate(parts)
