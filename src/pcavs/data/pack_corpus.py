"""Draws batches from packs that are held in memory."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from pcavs.data.corpus import Corpus, Entry, Faces, OpenClip, silent_windows
from pcavs.data.pack import PackedClip, decode_picture, pack_frame_px, read_pack
from pcavs.errors import DataError
from pcavs.spec import MEL_BINS_PER_FRAME, MEL_WINDOW_BINS


class PackCorpus(Corpus):
    """All clips of some packs; their JPEGs stay in memory and are decoded when a frame is drawn.

    Attributes:
        clips: The clips, in the order of their packs.
    """

    def __init__(self, clips: Iterable[PackedClip], frame_px: int, weights: Mapping[str, float] | None = None) -> None:
        """Indexes the clips.

        Raises:
            DataError: There is no clip, lip shapes differ in length, or a weight fits no source.
        """
        self.clips = list(clips)
        entries = (Entry(c.speaker, c.source, len(c.jpegs), c.mel is not None, c.truth) for c in self.clips)
        super().__init__(entries, frame_px, weights)
        if len({clip.lips.shape[1] for clip in self.clips}) != 1:
            raise DataError("the packs hold lip shapes of different lengths; make all of them again with `pcavs pack`")
        self._mean_lips = [np.asarray(clip.lips, np.float32).mean(axis=0) for clip in self.clips]

    @classmethod
    def load(cls, packs: Sequence[Path], split: str, weights: Mapping[str, float] | None = None) -> "PackCorpus":
        """Reads the clips of one split from packs.

        Raises:
            DataError: A pack is damaged, the packs differ in face size, or they hold no clip of the split.
        """
        sizes = {pack_frame_px(path) for path in packs}
        if len(sizes) != 1:
            raise DataError(f"packs hold faces of different sizes: {sorted(sizes)} px; pack all with one --frame-px")
        clips = (clip for path in packs for clip in read_pack(path) if clip.split == split)
        return cls(clips, sizes.pop(), weights)

    def open_clip(self, clip: int) -> OpenClip:
        """Opens the clip of this number; faces are decoded on demand."""
        packed = self.clips[clip]
        faces, windows = (functools.partial(read, clip) for read in (self.faces, self.windows))
        return OpenClip(packed.mesh, packed.lips, self._mean_lips[clip], packed.pose, windows, faces, packed.confidence)

    def faces(self, clip: int, frames: Sequence[int]) -> Faces:
        """Decodes frames of a clip.

        Raises:
            DataError: A stored face is damaged.
        """
        jpegs = self.clips[clip].jpegs
        return np.stack([decode_picture(jpegs[frame]) for frame in frames])

    def windows(self, clip: int, frames: Sequence[int]) -> Float32[np.ndarray, "time 1 80 20"]:
        """Cuts the mel window of each frame; zeros where the clip has no sound."""
        mel = self.clips[clip].mel
        if mel is None:
            return silent_windows(frames)
        starts = [frame * MEL_BINS_PER_FRAME for frame in frames]
        return np.stack([mel[None, :, start : start + MEL_WINDOW_BINS] for start in starts]).astype(np.float32)
