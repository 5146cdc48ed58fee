"""Speech of any length as the talkers hear it: read as often as needed, and never held."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64

from pcavs.media.audio import SILENCE_PEAK, check_speech, stream_waveform
from pcavs.media.gate import GATE_BLOCK, gate_gains
from pcavs.media.mel import LazyMel, bin_samples, loudness_gain, mel_bins
from pcavs.media.timeline import window_bins
from pcavs.spec import MEL_BINS_PER_FRAME, MEL_WINDOW_BINS, MelSpec
from pcavs.types import MelWindows, Waveform

_LEVEL_FRAMES: Final = 64
"""Frames whose level is measured at once."""


class Survey(NamedTuple):
    """What must be known of the whole before its first window can be made."""

    num_samples: int
    """At 16 kHz."""
    is_silent: bool
    gain: float
    """Factor that normalises the loudness."""
    gates: Float32[np.ndarray, " blocks"] | None
    """Factors of a gate, one each 10 ms; None where there is none."""


class Speech:
    """Driving audio that was listened to once from beginning to end.

    Memory: with a gate, a number for each 10 ms.

    Args:
        path: Any file with sound.
        start_s: Where to begin, in seconds.
        end_s: Where to stop; None is the end.
        spec: How the talker hears.
        gate_db: Level against the speech's own below which sound is taken for silence; None takes all.

    Raises:
        InputError: The file cannot be read, has no sound, or the range holds less than 0.2 s.
    """

    def __init__(
        self, path: Path, start_s: float, end_s: float | None, spec: MelSpec, gate_db: float | None = None
    ) -> None:
        self.spec, self._path, self._range = spec, path, (start_s, end_s)
        self.survey = _survey(self._pieces(), spec, gate_db)
        check_speech(path, self.survey.num_samples, 1.0 if not self.survey.is_silent else 0.0, start_s)

    def gated(self) -> Iterator[Waveform]:
        """Streams the samples, what the gate takes out being silent."""
        gates, at = self.survey.gates, 0
        for piece in _in_blocks(self._pieces()):
            if gates is not None and len(gates):
                blocks = np.arange(at, at + len(piece)) // GATE_BLOCK
                piece = piece * gates[blocks.clip(max=len(gates) - 1)]
            at += len(piece)
            yield piece

    def _pieces(self) -> Iterator[Waveform]:
        return stream_waveform(self._path, *self._range)


class MelStream(LazyMel):
    """The mel windows of a film's frames, made when they are asked for; loudness is that of the whole speech.

    Asked for in rising order, all windows cost one more reading of the file. To go back farther than to the first
    frame of the last call begins the reading anew.

    Args:
        speech: What is heard.
        num_frames: Of the film.
        lead_bins: Bins of silence in front: 8 centre each window on its frame.
    """

    def __init__(self, speech: Speech, num_frames: int, lead_bins: int) -> None:
        self.num_frames = num_frames
        self._speech, self._lead = speech, lead_bins
        self._levels = np.zeros(0)
        self._rewind()

    def windows(self, frames: Sequence[int] | None = None) -> MelWindows:
        """Makes the windows of some frames: `mel_windows(padded_mel(...), frames)` without the whole."""
        frames, spec = range(self.num_frames) if frames is None else frames, self._speech.spec
        made = np.empty((len(frames), 1, spec.mel_channels, MEL_WINDOW_BINS), np.float32)
        for _, run in groupby(enumerate(frames), key=lambda pair: pair[1] - pair[0]):
            rows = list(run)
            first = window_bins(rows[0][1]).start
            mel = self._bins(range(first, window_bins(rows[-1][1]).stop))
            for row, frame in rows:
                at = window_bins(frame).start - first
                made[row, 0] = mel[:, at : at + MEL_WINDOW_BINS]
        return made

    def levels(self, num_frames: int) -> Float64[np.ndarray, " time"]:
        """Measures how loud each frame is, from the first on; the measured are kept."""
        done, level = len(self._levels), np.empty(max(num_frames, len(self._levels)))
        level[:done] = self._levels
        middle = (MEL_WINDOW_BINS - MEL_BINS_PER_FRAME) // 2
        for first in range(done, num_frames, _LEVEL_FRAMES):
            stop = min(num_frames, first + _LEVEL_FRAMES)
            mel = self._bins(range(MEL_BINS_PER_FRAME * first + middle, MEL_BINS_PER_FRAME * stop + middle))
            level[first:stop] = mel.mean(axis=0).reshape(-1, MEL_BINS_PER_FRAME).mean(axis=1)
        self._levels = level
        return level[:num_frames]

    def _bins(self, padded: range) -> Float64[np.ndarray, "mel bins"]:
        bins = range(padded.start - self._lead, padded.stop - self._lead)
        return mel_bins(self._cut(bin_samples(bins, self._speech.spec)), self._speech.survey.gain, self._speech.spec)

    def _cut(self, wanted: range) -> Waveform:
        """Some samples, silence beyond the ends; forgets what lies before them."""
        if max(0, wanted.start) < self._first:
            self._rewind()
        self._forget(wanted.start)
        known, pieces = self._first + len(self._kept), [self._kept]
        while known < wanted.stop and (piece := next(self._samples, None)) is not None:
            known += len(piece)
            pieces.append(piece)
            if known <= wanted.start:
                self._first, pieces = known, []  # passed over on the way to what is wanted
        self._kept = np.concatenate([np.zeros(0, np.float32), *pieces])
        self._forget(wanted.start)
        part = np.zeros(len(wanted), np.float32)
        inside = self._kept[max(0, wanted.start - self._first) : max(0, wanted.stop - self._first)]
        offset = max(0, self._first - wanted.start)
        part[offset : offset + len(inside)] = inside
        return part

    def _forget(self, before: int) -> None:
        surplus = min(before - self._first, len(self._kept))
        if surplus > 0:
            self._kept, self._first = self._kept[surplus:], self._first + surplus

    def _rewind(self) -> None:
        self._samples, self._kept, self._first = self._speech.gated(), np.zeros(0, np.float32), 0


def _survey(pieces: Iterator[Waveform], spec: MelSpec, gate_db: float | None) -> Survey:
    count, peak, tail_energy = 0, 0.0, 0.0
    energies: list[Float64[np.ndarray, " blocks"]] = []
    energy = 0.0
    for piece in _in_blocks(pieces):
        count += len(piece)
        peak = max(peak, float(np.abs(piece).max(initial=0.0)))
        squares = np.square(piece, dtype=np.float64)
        whole = len(piece) // GATE_BLOCK * GATE_BLOCK
        energy += float(squares.sum())
        tail_energy = float(squares[whole:].sum())
        if gate_db is not None:
            energies.append(squares[:whole].reshape(-1, GATE_BLOCK).sum(axis=1))
    gates = None
    if gate_db is not None:
        block_energy = np.concatenate([np.zeros(0), *energies])
        gates = gate_gains(np.sqrt(block_energy / GATE_BLOCK), gate_db)
        if len(gates):
            energy = float(block_energy @ np.square(gates, dtype=np.float64)) + tail_energy * float(gates[-1]) ** 2
    return Survey(count, peak < SILENCE_PEAK, loudness_gain(energy, count, spec), gates)


def _in_blocks(pieces: Iterator[Waveform]) -> Iterator[Waveform]:
    """The same samples in pieces of whole blocks, but for the last."""
    left = np.zeros(0, np.float32)
    for piece in pieces:
        joined = np.concatenate([left, piece])
        whole = len(joined) // GATE_BLOCK * GATE_BLOCK
        left = joined[whole:]
        if whole:
            yield joined[:whole]
    if len(left):
        yield left
