"""The sync judge: how well a mouth fits a sound, and at which shift it fits best.

It is this project's own network, trained on its own data (docs/evaluate.md). Its confidence and distance have the
form of SyncNet's, but not its scale: they compare with figures of the same judge only, never with published ones.
"""

import functools
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import openvino as ov
from jaxtyping import Float, Float32

from pcavs.errors import InputError, WeightsError
from pcavs.metrics.crops import MouthCrops, without_light
from pcavs.runtime.openvino import cpu_settings
from pcavs.spec import MEL_WINDOW_FRAMES
from pcavs.types import MelWindows

REACH_FRAMES: Final = 15
"""Shifts tried in each direction (0.6 s), as SyncNet's evaluation does."""
LEAST_FRAMES: Final = 2 * MEL_WINDOW_FRAMES
"""Frames that a film must have to be judged at all."""

_BATCH: Final = 25
_FACTS: Final = "judge.json"

Embeddings = Float32[np.ndarray, "windows 128"]


class SyncScore(NamedTuple):
    """What the judge says of a film and a sound."""

    confidence: float
    """Median of the distance over all shifts less the least: 0 where no shift fits better than another."""
    distance: float
    """Mean distance of mouth and sound at no shift, 0 to 2; unrelated ones lie about 1.4 apart."""
    offset_frames: int
    """Shift at which they fit best; positive: the picture is late."""
    likeness: float
    """Mean cosine at no shift, -1 to 1."""


class SyncJudge:
    """The frozen judge that ships, run by OpenVINO in float32."""

    def __init__(self, folder: Path | None = None, threads: int = 1) -> None:
        """Loads the networks (a tenth of a second).

        Args:
            folder: Of another judge; None is the one that ships.
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
        """Name and version: figures of two versions do not compare."""
        return str(self.facts["name"])

    def seen(self, crops: MouthCrops, lips: Float[np.ndarray, "time 80"]) -> Embeddings:
        """Embeds every five neighbouring frames; row k is centred on frame k + 2.

        Args:
            crops: As `metrics.crops.mouth_crops` cuts them.
            lips: As `face.regions.lips_shape` measures them, in cm.

        Raises:
            InputError: There are fewer than ten frames.
        """
        if len(crops) < LEAST_FRAMES:
            raise InputError(f"a film of {len(crops)} frames cannot be judged for sync; {LEAST_FRAMES} are needed")
        # A person's own lips are in the shape: only what moves is speech.
        moving = (lips - lips.mean(axis=0)).astype(np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(without_light(crops), MEL_WINDOW_FRAMES, axis=0).transpose(
            0, 3, 1, 2
        )
        shapes = np.lib.stride_tricks.sliding_window_view(moving, MEL_WINDOW_FRAMES, axis=0).transpose(0, 2, 1)
        return _run(self._mouth, frames, shapes)

    def heard(self, windows: MelWindows) -> Embeddings:
        """Embeds the sound about each frame, less the first two and the last two, to fit `seen`."""
        reach = MEL_WINDOW_FRAMES // 2
        return _run(self._voice, windows[reach : len(windows) - reach])

    def score(self, crops: MouthCrops, lips: Float[np.ndarray, "time 80"], windows: MelWindows) -> SyncScore:
        """Judges a film; frames and windows beyond the shorter of the two are left out.

        Raises:
            InputError: There are fewer than ten frames.
        """
        count = min(len(crops), len(windows))
        return compare(self.seen(crops[:count], lips[:count]), self.heard(windows[:count]))


def compare(seen: Embeddings, heard: Embeddings, reach: int = REACH_FRAMES) -> SyncScore:
    """Scores embeddings at every shift up to `reach` frames, or a third of the film where that is less.

    Reference: Chung and Zisserman, "Out of time: automated lip sync in the wild", ACCV workshops 2016, section 4.
    """
    curve = distance_curve(seen, heard, reach)
    middle, least = len(curve) // 2, int(np.argmin(curve))
    likeness = float((seen * heard).sum(axis=1).mean())
    return SyncScore(float(np.median(curve) - curve[least]), float(curve[middle]), least - middle, likeness)


def distance_curve(seen: Embeddings, heard: Embeddings, reach: int = REACH_FRAMES) -> Float[np.ndarray, " shifts"]:
    """Mean distance of mouth and sound at each shift from -reach to reach; at shift d, frame t + d meets sound t."""
    cosine = np.clip(seen @ heard.T, -1, 1)
    distance = np.sqrt(2 - 2 * cosine)
    reach = min(reach, len(seen) // 3)
    return np.array([np.diagonal(distance, -shift).mean() for shift in range(-reach, reach + 1)])


def prefers(seen: Embeddings, heard: Embeddings, shift: int) -> Float[np.ndarray, " pairs"]:
    """For each window, 1 where the true sound lies nearer than the one `shift` frames earlier or later, else 0."""
    cosine = seen @ heard.T
    count, true = len(cosine), np.diagonal(cosine)
    sides = [(true[max(0, -d) : count - max(0, d)], np.diagonal(cosine, d)) for d in (shift, -shift)]
    return np.concatenate([(right > wrong).astype(np.float64) for right, wrong in sides])


def shipped_judge() -> Path:
    """The folder of the judge that rides in the package."""
    with resources.as_file(resources.files("pcavs") / "assets" / "judge") as path:
        return path


def write_judge_facts(folder: Path, facts: dict[str, object]) -> None:
    """Writes `judge.json` over network files that are there already: name, provenance, a SHA-256 of each file."""
    files = {name: _digest(folder / name) for name in ("mouth.xml", "mouth.bin", "voice.xml", "voice.bin")}
    (folder / _FACTS).write_text(json.dumps(facts | {"files": files}, indent=1, sort_keys=True) + "\n")


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
