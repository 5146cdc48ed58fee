"""Clips read from shards when they are drawn, for data that fits in no memory; and batches made ahead of their use."""

import functools
import json
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from pcavs.data.corpus import Batch, Corpus, Entry, Faces, OpenClip, silence
from pcavs.data.ledger import read_ledger
from pcavs.data.shard import AlignedClip, Span, read_clip
from pcavs.errors import DataError
from pcavs.media.bitstream import decode_pictures
from pcavs.media.mel import windows_at
from pcavs.spec import MelSpec


class ShardLibrary(Corpus):
    """The clips of some folders of shards; the ledgers alone are in memory, about 300 bytes a clip."""

    def __init__(
        self, folders: Sequence[Path], split: str, frame_px: int, weights: Mapping[str, float] | None = None
    ) -> None:
        """Reads the ledgers.

        Args:
            folders: Made by `pcavs prepare`; of any number of sets.
            split: The clips to keep.
            frame_px: Side of the faces, as the talker's spec has it.
            weights: Share of draws of each source; those left out weigh 1.

        Raises:
            DataError: A folder has no ledger, no clip is of the split, or a weight fits no source.
        """
        self._places: list[tuple[Path, Span]] = []
        super().__init__(self._read(folders, split), frame_px, weights)

    def _read(self, folders: Sequence[Path], split: str) -> Iterator[Entry]:
        for folder in folders:
            shards: dict[str, Path] = {}
            rows = 0
            for row in read_ledger(folder):
                rows += 1
                if row["kept"] and row["split"] == split:
                    shard = shards.setdefault(row["shard"], folder / row["shard"])
                    self._places.append((shard, Span(row["offset"], row["bytes"])))
                    speaker, source = sys.intern(row["speaker"]), sys.intern(row["source"])
                    yield Entry(speaker, source, row["frames"], row["heard"], row["truth"])
            if rows == 0:
                raise DataError(f"no ledger in {folder}; `pcavs prepare` makes shards with one")

    def open_clip(self, clip: int) -> OpenClip:
        """Reads a clip, about 0.7 MB for three seconds; its faces are decoded when they are asked for.

        Raises:
            DataError: The shard is missing or damaged.
        """
        path, span = self._places[clip]
        try:
            with path.open("rb") as file:
                aligned = read_clip(file, span)
        except OSError as error:
            raise DataError(f"cannot read {path}: {error}; the ledger beside it needs it") from error
        mesh, lips = aligned.mesh.copy(), aligned.lips
        mesh[:, :, :2] += 0.5
        mesh /= aligned.side_px
        windows = silence
        if aligned.waveform is not None:
            windows = functools.partial(windows_at, aligned.waveform, spec=MelSpec())
        faces = functools.partial(self._faces, aligned)
        return OpenClip(mesh, lips, lips.mean(axis=0), aligned.pose, windows, faces)

    def _faces(self, clip: AlignedClip, frames: Sequence[int]) -> Faces:
        faces = decode_pictures(clip.film, frames)
        if clip.side_px == self.frame_px:
            return faces
        size = (self.frame_px, self.frame_px)
        return np.stack([cv2.resize(face, size, interpolation=cv2.INTER_AREA) for face in faces])


class Position(NamedTuple):
    """Where a stream of batches stands; all that has to be saved to go on."""

    seed: int
    step: int
    """Batches given so far."""

    def text(self) -> str:
        """One line of JSON."""
        return json.dumps(self._asdict())

    @classmethod
    def of_text(cls, text: str) -> "Position":
        """Reads what `text` wrote."""
        return cls(**json.loads(text))


class BatchStream:
    """An endless stream of batches, made ahead by threads; as a context manager.

    Batch number n (from 1) follows from the corpus, the seed and n alone: whoever goes on from a saved position gets
    what would have come, whatever the number of threads.
    """

    def __init__(
        self,
        corpus: Corpus,
        position: Position,
        *,
        clips: int,
        moments: int,
        heard_only: bool = False,
        threads: int = 2,
    ) -> None:
        """Begins to make batches.

        Args:
            corpus: What to draw from.
            position: `Position(seed, 0)`, or a saved one.
            clips: Clips a batch.
            moments: Targets a clip.
            heard_only: Leaves clips without speech out.
            threads: Batches made at a time; each costs a batch of memory.
        """
        self.position = position
        self._make = functools.partial(corpus.batch, clips=clips, moments=moments, heard_only=heard_only)
        self._pool = ThreadPoolExecutor(threads)
        self._ahead: deque[Future[Batch]] = deque()
        for number in range(1, threads + 1):
            self._submit(position.step + number)

    def __enter__(self) -> "BatchStream":
        """Gives itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stops making batches."""
        self._pool.shutdown(cancel_futures=True)

    def __iter__(self) -> Iterator[Batch]:
        """Gives itself."""
        return self

    def __next__(self) -> Batch:
        """Gives the next batch, and moves the position on.

        Raises:
            DataError: A shard is damaged.
        """
        batch = self._ahead.popleft().result()
        self.position = self.position._replace(step=self.position.step + 1)
        self._submit(self.position.step + len(self._ahead) + 1)
        return batch

    def _submit(self, step: int) -> None:
        self._ahead.append(self._pool.submit(self._make, np.random.default_rng([self.position.seed, step])))
