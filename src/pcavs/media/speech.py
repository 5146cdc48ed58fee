"""Reads driving audio of any length as windows of mel or of sound, without holding samples or spectrogram in memory.

Loudness and the noise gate depend on the whole speech, so `Speech` reads the file once for its statistics; `MelStream`
and `FeatureStream` read it again as the windows are requested (docs/decisions/0002).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Float64

from pcavs.media.audio import SILENCE_PEAK, check_speech, stream_waveform
from pcavs.media.buffered import BufferedSamples
from pcavs.media.mel import LazyMel, bin_samples, loudness_gain, mel_bins
from pcavs.media.timeline import group_samples, window_bins
from pcavs.spec import MEL_BINS_PER_FRAME, MEL_WINDOW_BINS, SAMPLE_RATE_HZ, FeatureSpec, MelSpec
from pcavs.types import MelWindows, Waveform

_LEVEL_FRAMES: Final = 64
"""Frames whose levels are computed at once; it bounds the memory of `MelStream.levels`."""

GATE_BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 100
"""Block for which the noise gate measures one level and has one gain: 10 ms."""
_GATE_HOLD_BLOCKS: Final = 12
"""Blocks before and after a loud one for which the gate stays open (120 ms), because words end quietly. Tuned by hand;
not measured."""
_GATE_RAMP_BLOCKS: Final = 3
"""Half-width of the Hann window over which the gain falls to 0 beyond the hold (30 ms). Tuned by hand; not measured."""
_SPEECH_LEVEL_QUANTILE: Final = 0.9
"""Quantile of the block levels that counts as the level of the speech. Tuned by hand; not measured."""


class SpeechStats(NamedTuple):
    """What must be known of the whole speech before its first mel window can be computed."""

    num_samples: int
    """At 16 kHz."""
    is_silent: bool
    """True if no sample exceeds `SILENCE_PEAK`."""
    gain: float
    """Factor that normalises the loudness."""
    gate_gains: Float32[np.ndarray, " blocks"] | None
    """Gain of the noise gate for each whole block of `GATE_BLOCK_SAMPLES`, 0 to 1; None without a gate."""


class Speech:
    """Driving audio whose statistics are known: the constructor reads the file once, from beginning to end.

    Memory: with a gate, one number for each 10 ms; otherwise none.

    Args:
        path: Any file with sound.
        start_s: Start of the range, in seconds.
        end_s: End of the range, in seconds; None is the end of the file.
        spec: The talker's mel spectrogram.
        gate_db: Level, relative to that of the speech and below 0, under which sound is replaced by silence; None keeps
            all sound.
        stream: Number of the audio stream, from 0; None is the one that is marked default, or else the first.

    Raises:
        InputError: The file cannot be read, has no sound, or the range holds less than 0.2 s.
    """

    def __init__(
        self,
        path: Path,
        start_s: float,
        end_s: float | None,
        spec: MelSpec,
        gate_db: float | None = None,
        stream: int | None = None,
    ) -> None:
        self.spec, self._path, self._range, self._stream = spec, path, (start_s, end_s), stream
        self.stats, peak = _measure(self._pieces(), spec, gate_db)
        check_speech(path, self.stats.num_samples, peak, start_s)

    def gated(self) -> Iterator[Waveform]:
        """Streams the samples at 16 kHz, multiplied by the gains of the noise gate."""
        gains, position = self.stats.gate_gains, 0
        for piece in _in_blocks(self._pieces()):
            if gains is not None and len(gains):
                # Samples after the last whole block take its gain.
                blocks = np.arange(position, position + len(piece)) // GATE_BLOCK_SAMPLES
                piece = piece * gains[blocks.clip(max=len(gains) - 1)]
            position += len(piece)
            yield piece

    def _pieces(self) -> Iterator[Waveform]:
        return stream_waveform(self._path, *self._range, self._stream)


class MelStream(LazyMel):
    """Computes the mel windows of a film's frames when they are requested, with the loudness of the whole speech.

    Requesting all windows in rising order costs one reading of the file. A request for a frame before the first one of
    the previous request starts reading from the beginning again.

    Args:
        speech: The driving audio.
        num_frames: Number of frames of the film.
        lead_bins: Bins of silence in front: `timeline.MEL_LEAD_BINS` (8) centres each window on its frame, 0 gives
            the published timing.
    """

    def __init__(self, speech: Speech, num_frames: int, lead_bins: int) -> None:
        self.num_frames = num_frames
        self._speech, self._lead = speech, lead_bins
        self._levels = np.zeros(0)
        self._samples = BufferedSamples(speech.gated)

    def windows(self, frames: Sequence[int] | None = None) -> MelWindows:
        """Computes `mel_windows(padded_mel(...), frames)` without the whole spectrogram; None is all frames."""
        frames, spec = range(self.num_frames) if frames is None else frames, self._speech.spec
        windows = np.empty((len(frames), 1, spec.mel_channels, MEL_WINDOW_BINS), np.float32)
        # Runs of consecutive frames share bins, which are computed once.
        for _, run in groupby(enumerate(frames), key=lambda pair: pair[1] - pair[0]):
            rows = list(run)
            first = window_bins(rows[0][1]).start
            mel = self._bins(range(first, window_bins(rows[-1][1]).stop))
            for row, frame in rows:
                at = window_bins(frame).start - first
                windows[row, 0] = mel[:, at : at + MEL_WINDOW_BINS]
        return windows

    def levels(self, num_frames: int) -> Float64[np.ndarray, " time"]:
        """Computes `frame_levels(padded_mel(...), num_frames)`; levels computed before are reused."""
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
        """Computes bins that are numbered as in the padded mel, whose first `lead_bins` are silence."""
        bins = range(padded.start - self._lead, padded.stop - self._lead)
        return mel_bins(
            self._samples.read(bin_samples(bins, self._speech.spec)), self._speech.stats.gain, self._speech.spec
        )


@runtime_checkable
class WindowReader(Protocol):
    """Cuts the windows of sound that speech features are computed from."""

    def windows(self, groups: Iterable[int]) -> Iterator[Waveform]:
        """Yields the window of each group of frames, with zeros beyond both ends of the sound."""
        ...


class ArrayWindows:
    """Cuts windows out of a waveform in memory.

    Args:
        waveform: The sound, at 16 kHz.
        spec: The features' windows.
    """

    def __init__(self, waveform: Waveform, spec: FeatureSpec) -> None:
        self._waveform, self._spec = waveform, spec

    def windows(self, groups: Iterable[int]) -> Iterator[Waveform]:
        """Yields the window of each group of frames, with zeros beyond both ends of the sound."""
        for group in groups:
            samples = group_samples(group, self._spec)
            window = np.zeros(len(samples), np.float32)
            inside = self._waveform[max(0, samples.start) : max(0, samples.stop)]
            offset = max(0, -samples.start)
            window[offset : offset + len(inside)] = inside
            yield window


class FeatureStream:
    """Reads the windows of sound that a film's speech features are computed from, when they are requested.

    Requesting all groups in rising order costs one reading of the file and holds little more than one window.

    Args:
        speech: The driving audio.
        spec: The features' windows.
    """

    def __init__(self, speech: Speech, spec: FeatureSpec) -> None:
        self._spec = spec
        self._samples = BufferedSamples(speech.gated)

    def windows(self, groups: Iterable[int]) -> Iterator[Waveform]:
        """Yields the window of each group of frames, with zeros beyond both ends of the speech."""
        for group in groups:
            yield self._samples.read(group_samples(group, self._spec))


def gate_gains(level: Float[np.ndarray, " blocks"], gate_db: float) -> Float32[np.ndarray, " blocks"]:
    """Computes the gains of a noise gate, which replaces what is quiet between words by silence.

    A block opens the gate if its level is at least `gate_db` relative to the speech (the 0.9 quantile of the levels).
    The gate stays open for 120 ms before and after such a block, and its gain falls to 0 within a further 30 ms.

    Args:
        level: Root mean square of each whole block of `GATE_BLOCK_SAMPLES` samples.
        gate_db: Threshold relative to the level of the speech; below 0.

    Returns:
        Gain of each block, 0 to 1. Samples after the last whole block take its gain.
    """
    num_blocks = len(level)
    if not num_blocks:
        return np.ones(0, np.float32)
    is_loud = level >= np.quantile(level, _SPEECH_LEVEL_QUANTILE) * 10 ** (gate_db / 20)
    is_open = np.convolve(is_loud, np.ones(2 * _GATE_HOLD_BLOCKS + 1), "same")[:num_blocks] > 0
    padded = np.pad(is_open.astype(np.float64), _GATE_RAMP_BLOCKS, mode="edge")
    ramp = np.convolve(padded, _hann(2 * _GATE_RAMP_BLOCKS + 1), "valid")
    return np.where(is_open, 1.0, ramp).astype(np.float32)


def _hann(length: int) -> np.ndarray:
    """Computes a Hann window of sum 1 without its zeros at the ends."""
    window = np.hanning(length + 2)[1:-1]
    return window / window.sum()


def _measure(pieces: Iterator[Waveform], spec: MelSpec, gate_db: float | None) -> tuple[SpeechStats, float]:
    """Measures the statistics of a speech in one pass; returns them and the peak amplitude."""
    count, peak, energy, tail_energy = 0, 0.0, 0.0, 0.0
    block_energies: list[Float64[np.ndarray, " blocks"]] = []
    for piece in _in_blocks(pieces):
        count += len(piece)
        peak = max(peak, float(np.abs(piece).max(initial=0.0)))
        squares = np.square(piece, dtype=np.float64)
        num_in_blocks = len(piece) // GATE_BLOCK_SAMPLES * GATE_BLOCK_SAMPLES
        energy += float(squares.sum())
        tail_energy = float(squares[num_in_blocks:].sum())
        if gate_db is not None:
            block_energies.append(squares[:num_in_blocks].reshape(-1, GATE_BLOCK_SAMPLES).sum(axis=1))
    gains = None
    if gate_db is not None:
        block_energy = np.concatenate([np.zeros(0), *block_energies])
        gains = gate_gains(np.sqrt(block_energy / GATE_BLOCK_SAMPLES), gate_db)
        if len(gains):
            # The loudness is that of the gated speech.
            energy = float(block_energy @ np.square(gains, dtype=np.float64)) + tail_energy * float(gains[-1]) ** 2
    return SpeechStats(count, peak < SILENCE_PEAK, loudness_gain(energy, count, spec), gains), peak


def _in_blocks(pieces: Iterator[Waveform]) -> Iterator[Waveform]:
    """Streams the same samples in pieces of whole blocks; only the last piece may be shorter."""
    remainder = np.zeros(0, np.float32)
    for piece in pieces:
        joined = np.concatenate([remainder, piece])
        num_in_blocks = len(joined) // GATE_BLOCK_SAMPLES * GATE_BLOCK_SAMPLES
        remainder = joined[num_in_blocks:]
        if num_in_blocks:
            yield joined[:num_in_blocks]
    if len(remainder):
        yield remainder
