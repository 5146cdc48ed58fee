"""Draws batches from shards on disk, for data that does not fit in memory."""

import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from pcavs.data.corpus import Corpus, Entry, Faces, OpenClip, silent_windows
from pcavs.data.shard import AlignedClip, Span, read_clip, read_ledger
from pcavs.errors import DataError
from pcavs.media.bitstream import decode_pictures
from pcavs.media.mel import windows_at
from pcavs.spec import MelSpec


class ShardCorpus(Corpus):
    """The clips of some folders of shards; memory holds only the ledgers' rows, about 300 bytes per clip."""

    def __init__(
        self, folders: Sequence[Path], split: str, frame_px: int, weights: Mapping[str, float] | None = None
    ) -> None:
        """Reads the ledgers.

        Args:
            folders: Folders that `pcavs prepare` wrote.
            split: The split to draw from.
            frame_px: Side of the faces to return, as in the talker's spec; stored faces are resampled to it.
            weights: Weights of the sources; a source that is left out weighs 1.

        Raises:
            DataError: A folder has no ledger, there is no clip of the split, or a weight fits no source.
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
                    # One object for each shard, speaker and source: a million rows share a few names.
                    shard = shards.setdefault(row["shard"], folder / row["shard"])
                    self._places.append((shard, Span(row["offset"], row["bytes"])))
                    speaker, source = sys.intern(row["speaker"]), sys.intern(row["source"])
                    yield Entry(speaker, source, row["frames"], row["heard"], row["truth"])
            if rows == 0:
                raise DataError(f"no ledger in {folder}; give a folder that `pcavs prepare` wrote")

    def open_clip(self, clip: int) -> OpenClip:
        """Reads the clip of this number (about 0.7 MB for three seconds); faces are decoded on demand.

        Raises:
            DataError: The shard is missing or damaged.
        """
        path, span = self._places[clip]
        try:
            with path.open("rb") as file:
                aligned = read_clip(file, span)
        except OSError as error:
            raise DataError(f"cannot read {path}: {error}; the ledger beside it lists clips of this file") from error
        mesh, lips = aligned.mesh.copy(), aligned.lips
        mesh[:, :, :2] += 0.5
        mesh /= aligned.side_px
        windows = silent_windows
        if aligned.waveform is not None:
            windows = functools.partial(windows_at, aligned.waveform, spec=MelSpec())
        faces = functools.partial(self._faces, aligned)
        return OpenClip(mesh, lips, lips.mean(axis=0), aligned.pose, windows, faces, aligned.confidence)

    def _faces(self, clip: AlignedClip, frames: Sequence[int]) -> Faces:
        faces = decode_pictures(clip.film, frames)
        if clip.side_px == self.frame_px:
            return faces
        size = (self.frame_px, self.frame_px)
        return np.stack([cv2.resize(face, size, interpolation=cv2.INTER_AREA) for face in faces])
