"""Draws batches from packs that are held in memory."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from pcavs.data.corpus import Corpus, Entry, Faces, Hearing, OpenClip, SpeechBatch, silent_windows
from pcavs.data.pack import (
    STATE_MARGIN_FRAMES,
    PackedClip,
    decode_picture,
    pack_features,
    pack_frame_px,
    read_pack,
)
from pcavs.errors import DataError
from pcavs.spec import MEL_BINS_PER_FRAME, MEL_WINDOW_BINS, STATES_PER_FRAME, FlowSpec


class PackCorpus(Corpus):
    """All clips of some packs; their JPEGs stay in memory and are decoded when a frame is drawn.

    Attributes:
        clips: The clips, in the order of their packs.
    """

    def __init__(
        self,
        clips: Iterable[PackedClip],
        frame_px: int,
        weights: Mapping[str, float] | None = None,
        hearing: Hearing | None = None,
    ) -> None:
        """Indexes the clips.

        Args:
            clips: The clips.
            frame_px: Side of their faces in pixels.
            weights: Weights of the sources; a source that is left out weighs 1.
            hearing: States that the speech encoder hears around a frame; None if it hears mel windows.

        Raises:
            DataError: There is no clip, lip shapes differ in length, or a weight fits no source.
        """
        self.clips, self.hearing = list(clips), hearing
        self._state_dim = max((c.states.shape[1] for c in self.clips if c.states is not None), default=1)
        entries = (Entry(c.speaker, c.source, c.num_frames, self._heard(c), c.truth, bool(c.jpegs)) for c in self.clips)
        super().__init__(entries, frame_px, weights)
        if len({clip.lips.shape[1] for clip in self.clips}) != 1:
            raise DataError("the packs hold lip shapes of different lengths; make all of them again with `pcavs pack`")
        self._mean_lips = [np.asarray(clip.lips, np.float32).mean(axis=0) for clip in self.clips]

    @classmethod
    def load(
        cls, packs: Sequence[Path], split: str, weights: Mapping[str, float] | None = None, flow: FlowSpec | None = None
    ) -> "PackCorpus":
        """Reads the clips of one split from packs.

        Args:
            packs: Their paths.
            split: The split.
            weights: Weights of the sources; a source that is left out weighs 1.
            flow: The talker, which says what its speech encoder hears; None is mel windows.

        Raises:
            DataError: A pack is damaged, the packs differ in face size, hold other speech features than the talker
                hears, or no clip of the split.
        """
        hearing = None
        if flow is not None and flow.features is not None:
            hearing = Hearing(flow.past_states, flow.future_states)
            for path in packs:
                if pack_features(path) not in (flow.features, None):
                    raise DataError(f"{path} holds other speech features than the talker hears; pack its shards again")
        sizes = {pack_frame_px(path) for path in packs}
        if len(sizes) != 1:
            raise DataError(f"packs hold faces of different sizes: {sorted(sizes)} px; pack all with one --frame-px")
        clips = (clip for path in packs for clip in read_pack(path) if clip.split == split)
        return cls(clips, sizes.pop(), weights, hearing)

    def _heard(self, clip: PackedClip) -> bool:
        return (clip.mel if self.hearing is None else clip.states) is not None

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

    def windows(self, clip: int, frames: Sequence[int]) -> Float32[np.ndarray, "time ..."]:
        """Cuts what the speech encoder hears of each frame; zeros where the clip has no sound."""
        if self.hearing is not None:
            return self._state_windows(clip, frames)
        mel = self.clips[clip].mel
        if mel is None:
            return silent_windows(frames)
        starts = [frame * MEL_BINS_PER_FRAME for frame in frames]
        return np.stack([mel[None, :, start : start + MEL_WINDOW_BINS] for start in starts]).astype(np.float32)

    def stretches(self, rng: np.random.Generator, clips: int, frames: int, moments: int) -> SpeechBatch:
        """Draws consecutive frames of clips with speech; see `Corpus.stretches`."""
        if self.hearing is None:
            return super().stretches(rng, clips, frames, moments)
        states, lips, numbers, shown, chosen = [], [], [], [], []
        edges = np.linspace(0, frames, moments + 1).astype(int)
        for _ in range(clips):
            number = self._draw_clip(rng, heard_only=True, with_faces=False)
            clip = self.clips[number]
            first = int(rng.integers(max(1, clip.num_frames - frames + 1)))
            numbers.append(number)
            shown.append(np.minimum(np.arange(first, first + frames), clip.num_frames - 1))
            states.append(self._states(number, first, frames))
            lips.append(np.asarray(clip.lips[shown[-1]], np.float32) - self._mean_lips[number])
            chosen.append(rng.integers(edges[:-1], edges[1:]))
        return SpeechBatch(
            states=torch.from_numpy(np.stack(states)),
            lips=torch.from_numpy(np.stack(lips)),
            clip=torch.tensor(numbers, dtype=torch.long),
            shown=torch.from_numpy(np.stack(shown)),
            moments=torch.from_numpy(np.stack(chosen)),
        )

    def _state_windows(self, clip: int, frames: Sequence[int]) -> Float32[np.ndarray, "time states dim"]:
        return np.stack([self._states(clip, frame, 1) for frame in frames])

    def _states(self, clip: int, first: int, count: int) -> Float32[np.ndarray, "states dim"]:
        """Returns the states of `count` frames, and those heard before and after; the ends of the clip are repeated."""
        assert self.hearing is not None
        own = (first + STATE_MARGIN_FRAMES) * STATES_PER_FRAME
        wanted = np.arange(own - self.hearing.past, own + (count - 1) * STATES_PER_FRAME + 1 + self.hearing.future)
        states = self.clips[clip].states
        if states is None:
            return np.zeros((len(wanted), self._state_dim), np.float32)
        return states[wanted.clip(0, len(states) - 1)].astype(np.float32)
