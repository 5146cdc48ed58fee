"""A film's sound, read once and in step with its picture."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import av
import numpy as np

from pcavs.errors import InputError
from pcavs.media.audio import AudioReader, to_audio_frame
from pcavs.media.timeline import count_samples
from pcavs.media.video import probe_video
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.types import Waveform

logger = logging.getLogger(__name__)

_FORGET_SAMPLES = 1 << 16
"""Forgotten samples are let go in pieces of this size at least, so that the rest is not moved at each frame."""


class Tape:
    """Mono sound at 16 kHz from which any stretch that was not forgotten can be cut, as a context manager.

    Memory: the samples between what was forgotten and what was asked for.
    """

    def __init__(self, path: Path, start_s: float = 0.0) -> None:
        """Frame 0 of the tape is at `start_s`."""
        self._path, self._start_s = path, start_s
        self._stack = ExitStack()
        self._reader: AudioReader | None = None
        self._kept = np.zeros(0, np.float32)
        self._first = 0

    def __enter__(self) -> "Tape":
        """Opens the file's sound, where it has any."""
        if not probe_video(self._path).has_audio:
            return self
        try:
            self._reader = self._stack.enter_context(AudioReader(self._path))
        except InputError as error:
            logger.debug("%s counts as silent: %s", self._path, error)
            return self
        self._blocks = self._resampled(self._reader)
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the file."""
        self._stack.close()

    def cut(self, start: int, stop: int) -> Waveform | None:
        """Gives the sound of frames `start` to `stop`, silence where the file has ended; None without any sound."""
        if self._reader is None:
            return None
        begin, end = count_samples(start), count_samples(stop)
        if begin < self._first:
            raise ValueError(f"frame {start} was forgotten")
        self._wind(end)
        piece = np.zeros(end - begin, np.float32)
        known = self._kept[begin - self._first : end - self._first]
        piece[: len(known)] = known
        return piece

    def forget(self, before: int) -> None:
        """Lets the sound before a frame go."""
        if self._reader is None:
            return
        self._wind(count_samples(before))
        surplus = min(count_samples(before) - self._first, len(self._kept))
        if surplus > _FORGET_SAMPLES:
            self._kept = self._kept[surplus:].copy()
            self._first += surplus

    def _wind(self, end: int) -> None:
        pieces, known = [self._kept], self._first + len(self._kept)
        while known < end and (samples := next(self._blocks, None)) is not None:
            pieces.append(samples)
            known += len(samples)
        if len(pieces) > 1:
            self._kept = np.concatenate(pieces)

    def _resampled(self, reader: AudioReader) -> Iterator[Waveform]:
        resampler, native = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE_HZ), 0
        for block in reader.blocks(self._start_s):
            mono = block.mean(axis=0, keepdims=True, dtype=np.float32)
            frame = to_audio_frame(mono, reader.rate_hz, "mono", native)
            yield from (resampled.to_ndarray()[0] for resampled in resampler.resample(frame))
            native += block.shape[1]
        if native:
            yield from (frame.to_ndarray()[0] for frame in resampler.resample(None))
