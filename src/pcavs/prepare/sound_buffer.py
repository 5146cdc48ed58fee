"""Reads a video's sound once, in step with its frames."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import av
import numpy as np

from pcavs.errors import InputError
from pcavs.media.audio import AudioReader, to_audio_frame
from pcavs.media.timeline import count_samples
from pcavs.media.video import probe_video
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.types import Waveform

logger = logging.getLogger(__name__)

_MIN_DISCARD_SAMPLES: Final = 1 << 16
"""Samples (4 s) that must be unneeded before memory is freed, so that the rest is not copied at each frame."""


class SoundBuffer:
    """Mono sound at 16 kHz from which any stretch that was not discarded can be cut; a context manager.

    Holds the samples from the last discarded frame to the last one read.
    """

    def __init__(self, path: Path, start_s: float = 0.0) -> None:
        """Prepares to read a file.

        Args:
            path: A video, with or without sound.
            start_s: Time of frame 0 in the file.
        """
        self._path, self._start_s = path, start_s
        self._stack = ExitStack()
        self._reader: AudioReader | None = None
        self._samples = np.zeros(0, np.float32)
        self._first = 0
        """Index of the first sample that is held."""

    def __enter__(self) -> "SoundBuffer":
        """Opens the file's sound; a file whose sound cannot be opened counts as silent."""
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
        """Returns the sound of frames `start` to `stop` - 1, zeros after the end; None for a file without sound.

        Raises:
            ValueError: The start was discarded.
        """
        if self._reader is None:
            return None
        begin, end = count_samples(start), count_samples(stop)
        if begin < self._first:
            raise ValueError(f"the sound of frame {start} was discarded")
        self._read_until(end)
        cut = np.zeros(end - begin, np.float32)
        known = self._samples[begin - self._first : end - self._first]
        cut[: len(known)] = known
        return cut

    def discard_before(self, frame: int) -> None:
        """Frees the sound before a frame, once enough of it has gathered."""
        if self._reader is None:
            return
        self._read_until(count_samples(frame))
        surplus = min(count_samples(frame) - self._first, len(self._samples))
        if surplus > _MIN_DISCARD_SAMPLES:
            self._samples = self._samples[surplus:].copy()
            self._first += surplus

    def _read_until(self, end: int) -> None:
        blocks, known = [self._samples], self._first + len(self._samples)
        while known < end and (samples := next(self._blocks, None)) is not None:
            blocks.append(samples)
            known += len(samples)
        if len(blocks) > 1:
            self._samples = np.concatenate(blocks)

    def _resampled(self, reader: AudioReader) -> Iterator[Waveform]:
        """Yields the file's sound in blocks of 16 kHz; the resampler keeps its state from block to block."""
        resampler, num_read = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE_HZ), 0
        for block in reader.blocks(self._start_s):
            mono = block.mean(axis=0, keepdims=True, dtype=np.float32)
            frame = to_audio_frame(mono, reader.rate_hz, "mono", num_read)
            yield from (resampled.to_ndarray()[0] for resampled in resampler.resample(frame))
            num_read += block.shape[1]
        if num_read:
            yield from (resampled.to_ndarray()[0] for resampled in resampler.resample(None))
