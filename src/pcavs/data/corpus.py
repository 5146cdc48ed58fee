"""What is drawn from, whatever holds it: clips of speakers of sources become typed batches.

A batch is a pure function of its source of randomness, so a position in the data is a seed and a step, and nothing else
has to be saved.
"""

import abc
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor

from pcavs.errors import DataError
from pcavs.spec import MEL_WINDOW_BINS

CANDIDATES = 4
"""Frames looked at for each target: of these the one that lies farthest from the identity frame is likeliest."""

Faces: TypeAlias = UInt8[np.ndarray, "time side side 3"]
"""Decoded faces, RGB."""


class Batch(NamedTuple):
    """`clips` identity frames and, of each, `moments` times `joined` targets, ordered by clip, then by time."""

    identity: Float[Tensor, "clips 3 side side"]
    target: Float[Tensor, "targets 3 side side"]
    identity_mesh: Float[Tensor, "clips 478 2"]
    """Landmarks with the picture spanning [-1, 1]."""
    target_mesh: Float[Tensor, "targets 478 2"]
    lips: Float[Tensor, "targets lip_numbers"]
    """Lip shape minus its clip's average, in centimetres."""
    pose: Float[Tensor, "targets 12"]
    mel: Float[Tensor, "targets 1 80 20"]
    heard: Float[Tensor, " targets"]
    """1 where the clip has speech, else 0 (and mel is silence)."""
    speaker: Int[Tensor, " clips"]
    """Index into `Corpus.speakers`."""
    truth: Float[Tensor, " targets"]
    """1 where the pose is a render's exact one, else 0 (and it was fitted to landmarks)."""


class Entry(NamedTuple):
    """What must be known of a clip to draw it."""

    speaker: str
    source: str
    frames: int
    heard: bool
    truth: bool


class OpenClip(NamedTuple):
    """A drawn clip; its faces are decoded when they are asked for."""

    mesh: Float[np.ndarray, "time 478 3"]
    """Landmarks as shares of the picture's side."""
    lips: Float[np.ndarray, "time lip_numbers"]
    mean_lips: Float32[np.ndarray, " lip_numbers"]
    pose: Float32[np.ndarray, "time 12"]
    windows: Callable[[Sequence[int]], Float32[np.ndarray, "time 1 80 20"]]
    """The mel windows of some frames; silence where there is no sound."""
    faces: Callable[[Sequence[int]], Faces]


class Corpus(abc.ABC):
    """Clips by source and speaker; a source's weight is the share of draws it gets (default equal).

    Attributes:
        frame_px: Side of the faces.
        speakers: Names of all speakers, sorted.
        num_heard: Clips with speech.
    """

    def __init__(self, entries: Iterable[Entry], frame_px: int, weights: Mapping[str, float] | None = None) -> None:
        """Indexes the clips.

        Raises:
            DataError: No clip, or a weight that fits no source.
        """
        self.entries = list(entries)
        self.frame_px = frame_px
        if not self.entries:
            raise DataError("no clip in this data fits the split that was asked for")
        self._sources = sorted({entry.source for entry in self.entries})
        self._shares = _shares(self._sources, weights or {})
        self.speakers = tuple(sorted({entry.speaker for entry in self.entries}))
        self._speaker_index = {name: index for index, name in enumerate(self.speakers)}
        self.num_heard = sum(entry.heard for entry in self.entries)
        by_speaker: dict[str, dict[str, list[int]]] = {source: {} for source in self._sources}
        for index, entry in enumerate(self.entries):
            by_speaker[entry.source].setdefault(entry.speaker, []).append(index)
        self._clips_of = {source: list(speakers.values()) for source, speakers in by_speaker.items()}
        # A speaker's share grows with the root of his clips: s1 of GRID has 570 of 584.
        self._odds = {source: _normalised(np.sqrt([len(c) for c in clips])) for source, clips in self._clips_of.items()}

    @abc.abstractmethod
    def open_clip(self, clip: int) -> OpenClip:
        """Gives what a batch needs of a clip."""

    def batch(
        self, rng: np.random.Generator, clips: int, moments: int, *, joined: int = 1, heard_only: bool = False
    ) -> Batch:
        """Draws identity frames and, of the same clips, targets that differ from them.

        Args:
            rng: The source of randomness.
            clips: Clips a batch.
            moments: Moments a clip, distinct where the clip is long enough.
            joined: Consecutive targets a moment; a clip that is shorter repeats its last.
            heard_only: Leaves clips without speech out.
        """
        drawn = [self._draw_clip(rng, heard_only) for _ in range(clips)]
        firsts = [0 if rng.random() < 0.5 else int(rng.integers(self.entries[clip].frames)) for clip in drawn]
        opened = [self.open_clip(clip) for clip in drawn]
        starts = [draw_targets(rng, clip.mesh, first, moments) for clip, first in zip(opened, firsts, strict=True)]
        targets = [followed(each, joined, len(clip.mesh)) for clip, each in zip(opened, starts, strict=True)]
        faces = [clip.faces([first, *f]) for clip, first, f in zip(opened, firsts, targets, strict=True)]
        pairs = list(zip(opened, targets, strict=True))
        heard, truth = ([float(getattr(self.entries[c], name)) for c in drawn] for name in ("heard", "truth"))
        return Batch(
            identity=_pictures([each[:1] for each in faces]),
            target=_pictures([each[1:] for each in faces]),
            identity_mesh=_mesh([clip.mesh[[first]] for clip, first in zip(opened, firsts, strict=True)]),
            target_mesh=_mesh([clip.mesh[frames] for clip, frames in pairs]),
            lips=_floats([clip.lips[frames] - clip.mean_lips for clip, frames in pairs]),
            pose=_floats([clip.pose[frames] for clip, frames in pairs]),
            mel=_floats([clip.windows(frames) for clip, frames in pairs]),
            heard=torch.tensor(heard).repeat_interleave(moments * joined),
            speaker=torch.tensor([self._speaker_index[self.entries[clip].speaker] for clip in drawn]),
            truth=torch.tensor(truth).repeat_interleave(moments * joined),
        )

    def _draw_clip(self, rng: np.random.Generator, heard_only: bool) -> int:
        for _ in range(1000 if self.num_heard or not heard_only else 0):
            source = self._sources[int(rng.choice(len(self._sources), p=self._shares))]
            odds = self._odds[source]
            clips = self._clips_of[source][int(rng.choice(len(odds), p=odds))]
            clip = clips[int(rng.integers(len(clips)))]
            if not heard_only or self.entries[clip].heard:
                return clip
        raise DataError("the contrastive stage needs clips with speech; this data has none that is drawn")


def draw_targets(
    rng: np.random.Generator, mesh: Float[np.ndarray, "time 478 3"], first: int, moments: int
) -> list[int]:
    """Draws a frame of each of `moments` equal stretches of a clip, far ones from frame `first` likelier."""
    edges = np.linspace(0, len(mesh), moments + 1)
    targets = []
    for start, stop in itertools.pairwise(edges):
        frames = np.minimum(rng.integers(int(start), max(int(start) + 1, int(stop)), CANDIDATES), len(mesh) - 1)
        apart = np.abs(mesh[frames, :468, :2].astype(np.float32) - mesh[first, :468, :2].astype(np.float32))
        odds = apart.mean(axis=(1, 2)) + 1e-4
        targets.append(int(frames[int(rng.choice(CANDIDATES, p=odds / odds.sum()))]))
    return targets


def followed(starts: list[int], joined: int, length: int) -> list[int]:
    """Gives each frame with those that follow it; one too near the end of its clip of `length` begins earlier."""
    earlier = (min(start, max(0, length - joined)) for start in starts)
    return [min(start + step, length - 1) for start in earlier for step in range(joined)]


def silence(frames: Sequence[int]) -> Float32[np.ndarray, "time 1 80 20"]:
    """The mel windows of a clip without sound."""
    return np.zeros((len(frames), 1, 80, MEL_WINDOW_BINS), np.float32)


def _shares(sources: list[str], weights: Mapping[str, float]) -> Float[np.ndarray, " sources"]:
    unknown = sorted(set(weights) - set(sources))
    if unknown:
        raise DataError(f"no clips of source {', '.join(unknown)}; this data holds {', '.join(sources)}")
    shares = np.array([weights.get(source, 1.0) for source in sources], np.float64)
    if shares.min() < 0 or shares.sum() == 0:
        raise DataError(f"weights of sources {shares.tolist()}: none may be below zero, and not all may be zero")
    return _normalised(shares)


def _normalised(values: Float[np.ndarray, " any"]) -> Float[np.ndarray, " any"]:
    return values / values.sum()


def _pictures(faces: list[np.ndarray]) -> Tensor:
    # Scaled in place: a batch of 192 faces of 256 px is 150 MB as it is.
    return torch.from_numpy(np.concatenate(faces)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def _mesh(meshes: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(meshes)[:, :, :2].astype(np.float32)) * 2 - 1


def _floats(arrays: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(arrays).astype(np.float32))
