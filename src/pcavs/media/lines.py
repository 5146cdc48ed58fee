"""Lays several speeches on one time line: the track of a person who speaks now and then, and the mix of a dialogue."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pcavs.media.buffered import BufferedSamples
from pcavs.media.files import write_wav_blocks
from pcavs.media.speech import Speech, SpeechStats
from pcavs.spec import MelSpec
from pcavs.types import Waveform

_BLOCK_SAMPLES: Final = 16_384
"""Samples that are added up at once."""


class Part(NamedTuple):
    """A piece of sound on a time line."""

    first: int
    """Sample at which it begins."""
    num_samples: int
    pieces: Callable[[], Iterator[Waveform]]
    """Opens its samples at their beginning."""


def overlaid(parts: Sequence[Part], num_samples: int) -> Iterator[Waveform]:
    """Streams the sum of all parts, with silence where there is none; memory does not grow with the length.

    Args:
        parts: Each is opened when its time comes.
        num_samples: Length of the sum.
    """
    opened: dict[int, BufferedSamples] = {}
    for start in range(0, num_samples, _BLOCK_SAMPLES):
        stop = min(start + _BLOCK_SAMPLES, num_samples)
        block = np.zeros(stop - start, np.float32)
        for number, part in enumerate(parts):
            if part.first < stop and start < part.first + part.num_samples:
                if number not in opened:
                    opened[number] = BufferedSamples(part.pieces)
                block += opened[number].read(range(start - part.first, stop - part.first))
            else:
                opened.pop(number, None)
        yield block


def write_mix(path: Path, parts: Sequence[Part], num_samples: int, rate_hz: int) -> None:
    """Writes the sum of all parts as 16-bit mono WAV; where it is too loud for that, all of it is made quieter.

    Args:
        path: The file to write.
        parts: Samples at `rate_hz`.
        num_samples: Length of the sum.
        rate_hz: Sampling rate.
    """
    peak = max((float(np.abs(block).max()) for block in overlaid(parts, num_samples)), default=0.0)
    factor = np.float32(1 / max(1.0, peak))
    write_wav_blocks(path, (block * factor for block in overlaid(parts, num_samples)), rate_hz)


class PlacedSpeech(Speech):
    """The speeches of one person on a time line, with silence before, between and after them.

    Each has the loudness that it would have alone, so silence makes none of them louder.

    Args:
        lines: Sample at 16 kHz at which each begins, and the speech.
        num_samples: Length of the time line, at 16 kHz.
        spec: The talker's mel spectrogram.
    """

    def __init__(self, lines: Sequence[tuple[int, Speech]], num_samples: int, spec: MelSpec) -> None:
        self.spec = spec
        self._parts = [Part(first, line.stats.num_samples, _at_level(line)) for first, line in lines]
        is_silent = all(line.stats.is_silent for _, line in lines)
        self.stats = SpeechStats(num_samples, is_silent, gain=1.0, gate_gains=None)

    def gated(self) -> Iterator[Waveform]:
        """Streams the samples at 16 kHz."""
        return overlaid(self._parts, self.stats.num_samples)


def _at_level(line: Speech) -> Callable[[], Iterator[Waveform]]:
    """Returns what streams a speech with the loudness that the talker hears it with."""
    gain = np.float32(line.stats.gain)
    return lambda: (piece * gain for piece in line.gated())
