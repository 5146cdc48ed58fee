"""Reads ranges of samples out of a stream of pieces, and holds only the samples that later ranges can need."""

from collections.abc import Callable, Iterator

import numpy as np

from pcavs.types import Waveform


class BufferedSamples:
    """Samples of a stream that can be read from the beginning as often as needed.

    Reading ranges whose starts rise costs one reading of the stream; a range that starts before the previous one starts
    reading from the beginning again. The result does not depend on the pieces or on earlier reads.

    Args:
        pieces: Opens the stream at its beginning.
    """

    def __init__(self, pieces: Callable[[], Iterator[Waveform]]) -> None:
        self._open = pieces
        self._rewind()

    def read(self, samples: range) -> Waveform:
        """Returns a range of samples, with zeros beyond both ends of the stream; drops buffered samples before it."""
        if max(0, samples.start) < self._first:
            self._rewind()
        self._drop(samples.start)
        known, pieces = self._first + len(self._buffer), [self._buffer]
        while known < samples.stop and (piece := next(self._pieces, None)) is not None:
            known += len(piece)
            pieces.append(piece)
            if known <= samples.start:
                self._first, pieces = known, []  # all of it lies before the range
        self._buffer = np.concatenate([np.zeros(0, np.float32), *pieces])
        self._drop(samples.start)
        part = np.zeros(len(samples), np.float32)
        inside = self._buffer[max(0, samples.start - self._first) : max(0, samples.stop - self._first)]
        offset = max(0, self._first - samples.start)
        part[offset : offset + len(inside)] = inside
        return part

    def _drop(self, before: int) -> None:
        surplus = min(before - self._first, len(self._buffer))
        if surplus > 0:
            self._buffer, self._first = self._buffer[surplus:], self._first + surplus

    def _rewind(self) -> None:
        self._pieces, self._buffer, self._first = self._open(), np.zeros(0, np.float32), 0
