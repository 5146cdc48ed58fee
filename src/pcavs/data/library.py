"""Clips in memory, drawn into typed batches; a batch is a pure function of seed and step."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor

from pcavs.data.pack import PackedClip, pack_frame_px, read_pack
from pcavs.data.picture import decode_picture
from pcavs.errors import DataError
from pcavs.spec import MEL_BINS_PER_FRAME, MEL_WINDOW_BINS

CANDIDATES = 4
"""Frames looked at for each target: of these the one that lies farthest from the identity frame is likeliest."""


class Batch(NamedTuple):
    """`clips` identity frames and, of each, `moments` target frames; targets are ordered clip by clip."""

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
    """Index into `Library.speakers`."""
    truth: Float[Tensor, " targets"]
    """1 where the pose is a render's exact one, else 0 (and it was fitted to landmarks)."""


class Library:
    """All clips of some packs, JPEGs in memory and decoded when drawn.

    Attributes:
        clips: The clips, in the order of their packs.
        frame_px: Side of the faces.
        speakers: Names of all speakers, sorted.
        num_heard: Clips with speech.
    """

    def __init__(self, clips: Iterable[PackedClip], frame_px: int, weights: Mapping[str, float] | None = None) -> None:
        """Indexes clips by source and speaker; a source's weight is the share of draws it gets (default equal).

        Raises:
            DataError: No clip, clips with other lips than the rest, or a weight that fits no source.
        """
        self.clips = list(clips)
        self.frame_px = frame_px
        if not self.clips:
            raise DataError("no clip in these packs fits the split that was asked for")
        sources = sorted({clip.source for clip in self.clips})
        unknown = sorted(set(weights or {}) - set(sources))
        if unknown:
            raise DataError(f"no clips of source {', '.join(unknown)}; these packs hold {', '.join(sources)}")
        self._sources = sources
        if len({clip.lips.shape[1] for clip in self.clips}) != 1:
            raise DataError("these packs describe lips by different numbers; make them all again with `pcavs pack`")
        shares = np.array([(weights or {}).get(source, 1.0) for source in sources], np.float64)
        if shares.min() < 0 or shares.sum() == 0:
            raise DataError(f"weights of sources {shares.tolist()}: none may be below zero, and not all may be zero")
        self._shares = shares / shares.sum()
        self._by_speaker: dict[str, dict[str, list[int]]] = {source: {} for source in sources}
        for index, clip in enumerate(self.clips):
            self._by_speaker[clip.source].setdefault(clip.speaker, []).append(index)
        self.speakers = tuple(sorted({clip.speaker for clip in self.clips}))
        self._speaker_index = {name: index for index, name in enumerate(self.speakers)}
        self.num_heard = sum(clip.mel is not None for clip in self.clips)
        self._mean_lips = [np.asarray(clip.lips, np.float32).mean(axis=0) for clip in self.clips]

    @classmethod
    def load(cls, packs: Sequence[Path], split: str, weights: Mapping[str, float] | None = None) -> "Library":
        """Reads every pack and keeps the clips of one split.

        Raises:
            DataError: The packs differ in face size, or hold no clip of the split.
        """
        sizes = {pack_frame_px(path) for path in packs}
        if len(sizes) != 1:
            raise DataError(f"packs hold faces of different sizes: {sorted(sizes)} px; pack all with one --frame-px")
        clips = (clip for path in packs for clip in read_pack(path) if clip.split == split)
        return cls(clips, sizes.pop(), weights)

    def faces(self, clip: int, frames: Sequence[int]) -> UInt8[np.ndarray, "time side side 3"]:
        """Decodes faces of a clip, RGB."""
        jpegs = self.clips[clip].jpegs
        return np.stack([decode_picture(jpegs[frame]) for frame in frames])

    def windows(self, clip: int, frames: Sequence[int]) -> Float32[np.ndarray, "time 1 80 20"]:
        """Cuts the mel window of each frame; silence where the clip has no sound."""
        mel = self.clips[clip].mel
        if mel is None:
            return np.zeros((len(frames), 1, 80, MEL_WINDOW_BINS), np.float32)
        starts = [frame * MEL_BINS_PER_FRAME for frame in frames]
        return np.stack([mel[None, :, start : start + MEL_WINDOW_BINS] for start in starts]).astype(np.float32)

    def batch(self, rng: np.random.Generator, clips: int, moments: int, *, heard_only: bool = False) -> Batch:
        """Draws identity frames and, of the same clips, targets that differ from them.

        Args:
            rng: The source of randomness.
            clips: Clips a batch.
            moments: Targets a clip, distinct where the clip is long enough.
            heard_only: Leaves clips without speech out.
        """
        drawn = [self._draw_clip(rng, heard_only) for _ in range(clips)]
        firsts = [0 if rng.random() < 0.5 else int(rng.integers(len(self.clips[clip].jpegs))) for clip in drawn]
        targets = [self._draw_targets(rng, clip, first, moments) for clip, first in zip(drawn, firsts, strict=True)]
        pairs = list(zip(drawn, targets, strict=True))
        heard = [float(self.clips[clip].mel is not None) for clip in drawn]
        return Batch(
            identity=_pictures([self.faces(clip, [first]) for clip, first in zip(drawn, firsts, strict=True)]),
            target=_pictures([self.faces(clip, frames) for clip, frames in pairs]),
            identity_mesh=_mesh([self.clips[c].mesh[[f]] for c, f in zip(drawn, firsts, strict=True)]),
            target_mesh=_mesh([self.clips[clip].mesh[frames] for clip, frames in pairs]),
            lips=_floats([self.clips[clip].lips[frames] - self._mean_lips[clip] for clip, frames in pairs]),
            pose=_floats([self.clips[clip].pose[frames] for clip, frames in pairs]),
            mel=_floats([self.windows(clip, frames) for clip, frames in pairs]),
            heard=torch.tensor(heard).repeat_interleave(moments),
            speaker=torch.tensor([self._speaker_index[self.clips[clip].speaker] for clip in drawn]),
            truth=torch.tensor([float(self.clips[clip].truth) for clip in drawn]).repeat_interleave(moments),
        )

    def _draw_clip(self, rng: np.random.Generator, heard_only: bool) -> int:
        for _ in range(1000 if self.num_heard or not heard_only else 0):
            speakers = self._by_speaker[self._sources[int(rng.choice(len(self._sources), p=self._shares))]]
            # A speaker's share grows with the root of his clips: s1 of GRID has 570 of 584.
            counts = np.sqrt([len(clips) for clips in speakers.values()])
            clips = list(speakers.values())[int(rng.choice(len(counts), p=counts / counts.sum()))]
            clip = clips[int(rng.integers(len(clips)))]
            if not heard_only or self.clips[clip].mel is not None:
                return clip
        raise DataError("the contrastive stage needs clips with speech; these packs have none that is drawn")

    def _draw_targets(self, rng: np.random.Generator, clip: int, first: int, moments: int) -> list[int]:
        mesh = self.clips[clip].mesh
        edges = np.linspace(0, len(mesh), moments + 1)
        targets = []
        for start, stop in itertools.pairwise(edges):
            frames = np.minimum(rng.integers(int(start), max(int(start) + 1, int(stop)), CANDIDATES), len(mesh) - 1)
            apart = np.abs(mesh[frames, :468, :2].astype(np.float32) - mesh[first, :468, :2].astype(np.float32))
            odds = apart.mean(axis=(1, 2)) + 1e-4
            targets.append(int(frames[int(rng.choice(CANDIDATES, p=odds / odds.sum()))]))
        return targets


def _pictures(faces: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(faces)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _mesh(meshes: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(meshes)[:, :, :2].astype(np.float32)) * 2 - 1


def _floats(arrays: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.concatenate(arrays).astype(np.float32))
