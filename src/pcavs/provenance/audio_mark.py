"""An inaudible mark in the sound of a film, which says that this software made the film.

Sound is cut into tiles of 32 ms by 1/32 of the mel scale from 250 to 7000 Hz. A public pseudo-random pattern makes
each tile slightly louder or quieter; it repeats every 2.56 s. `mark_blocks` applies it to a stream of samples, and
`MarkDetector` finds it without the original, at other speeds and in cuts of a few seconds. There are 16 patterns: which
one it is says which version of the mark was set.

**False positives.** The score of a placement is `sum(sign * feature) / sqrt(sum(feature ** 2))` over its tiles. Signs
are independent of sound that was not marked, so by Hoeffding's inequality one placement scores `t` or more with a
probability of at most `exp(-t ** 2 / 2)`, whatever the sound is. `AudioMark.false_rate` multiplies that by the number
of placements that were tried. The pattern is public: who wants to remove or to forge the mark can do so.
"""

import functools
import hashlib
import math
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int
from numpy.lib.stride_tricks import sliding_window_view

from pcavs.media.audio import Block
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.types import Waveform

FALSE_RATE: Final = 1e-6
"""A file is said to be marked if sound without a mark scores as high in at most this share of files."""
STRENGTH_DB: Final = 1.5
"""Largest change of a tile's level: the least with which 3 s are found after Opus at 24 kbit/s (docs/measurements.md).
Chosen by measurement; no panel has listened to it."""
LEAST_STRENGTH_DB: Final = 0.35
"""Smallest change, for steady sound: 4 %, about what listeners notice in a steady tone whose level varies so fast."""
_STRENGTH_PER_DB: Final = 0.5
"""Strength in dB for each dB by which the level of a band varies: what varies by 3 dB carries the full strength."""
_PAST_FRAMES: Final = 12
"""Frames over which that variation is measured: 0.2 s. They are in the past, so marking delays sound by one window."""

NUM_BANDS: Final = 32
_LOWEST_HZ: Final = 250.0
_HIGHEST_HZ: Final = 7000.0
"""Range of the bands. Codecs at low bit rates keep it, and 16 kHz sound has it."""
_HOP_S: Final = 0.016
_TILE_FRAMES: Final = 2
_NUM_TILES: Final = 80
_PERIOD_FRAMES: Final = _TILE_FRAMES * _NUM_TILES
"""The pattern repeats after 160 frames of 16 ms: 2.56 s, so that a cut of 3 s holds all of it."""
MARK_VERSION: Final = 1
"""Version that films are marked with."""
NUM_VERSIONS: Final = 16
"""Patterns. Each is tried, so each costs a little certainty: 16 raise the score that counts as found by 0.4."""

_BATCH_FRAMES: Final = 64
"""Frames that are marked together. Fixed, so that the result does not depend on how the sound arrives."""
_LEVEL_FLOOR: Final = 1e-12
"""Power below which levels are not told apart: -120 dB of full scale."""

_WINDOW_FRAMES: Final = 625
"""Frames that are searched together: 10 s. Longer windows would need finer steps of speed."""
_WINDOW_STEP: Final = 312
"""Windows overlap by half, so that a cut of 5 s is fully inside of one."""
_LEAST_FRAMES: Final = 32
"""Shorter sound, of half a second, is not searched."""
_SPEEDS: Final = 1 + 0.002 * np.arange(-12, 13)
"""Speeds that are tried: 2.4 % slower to 2.4 % faster, in steps that misplace the ends of a window by 5 ms at most."""
_NORMAL_SPEED: Final = 12
_WHITENING_FLOOR: Final = 0.05
"""Share of the mean power that is added to each, so that no frequency is amplified without limit."""
_LARGEST_FEATURE: Final = 2.0
"""Features are clipped at this many standard deviations, so that a few clicks do not outweigh the rest."""
_DETECTION_FLOOR: Final = 1e-8
"""Power, against the window's peak, below which levels are not told apart. Measured: 1e-6 loses 8 % of the score."""


class AudioMark(NamedTuple):
    """What `MarkDetector` found."""

    found: bool
    """Whether there is a mark: `false_rate` is at most `FALSE_RATE`."""
    score: float
    """The best placement's score: 0 for sound without energy, 3 to 5 for sound without mark."""
    false_rate: float
    """Upper bound of the share of unmarked files of this length that score as high, by Hoeffding's inequality."""
    version: int | None
    """The number that `mark_blocks` was given; None if there is no mark."""
    speed: float
    """Speed of the marked sound against the original: 1 if it was not changed."""
    start_s: float
    """Start of the 10 s that score best, in seconds; 0 where the whole sound scores best."""


def mark_blocks(blocks: Iterable[Block], rate_hz: int, version: int = MARK_VERSION) -> Iterator[Block]:
    """Marks sound, in blocks of other lengths than those of the input; all of them together are equally long.

    The result does not depend on how the input is cut into blocks. All channels are changed in the same way.

    Args:
        blocks: Consecutive samples of all channels.
        rate_hz: Sampling rate, from 1000 Hz on.
        version: Number that the mark carries, 0 to 15.
    """
    marker: SoundMarker | None = None
    for block in blocks:
        marker = marker or SoundMarker(rate_hz, block.shape[0], version)
        yield from marker.add(block)
    if marker is not None:
        yield from marker.finish()


class SoundMarker:
    """Marks sound as it arrives: changes the levels of tiles in overlapping frames, sine windows of 32 ms every 16 ms.

    The samples do not depend on the blocks that they arrive in, and all that `add` and `finish` yield is as long as
    what `add` was given.

    Args:
        rate_hz: Sampling rate, from 1000 Hz on.
        channels: Number of channels.
        version: Number that the mark carries, 0 to 15.
        batch_frames: Frames that are marked together. With 1 a sample is ready once 32 ms more were given; larger
            batches take less time.
    """

    def __init__(
        self, rate_hz: int, channels: int, version: int = MARK_VERSION, batch_frames: int = _BATCH_FRAMES
    ) -> None:
        self._batch_frames = batch_frames
        self._hop = round(_HOP_S * rate_hz)
        self._rate_hz = rate_hz
        window = np.sin(np.pi * (np.arange(2 * self._hop) + 0.5) / (2 * self._hop))
        self._window = window.astype(np.float32)
        self._bins = _band_starts(rate_hz, 2 * self._hop)
        self._pattern = _pattern(version)
        # Half a window of silence before the first sample gives it two windows, like all others.
        self._input = np.zeros((channels, self._hop), np.float32)
        self._tail = np.zeros((channels, self._hop), np.float32)
        self._levels = np.zeros((0, NUM_BANDS), np.float32)
        self._num_frames = self._num_input = self._num_output = 0

    def add(self, block: Block) -> Iterator[Block]:
        """Takes the next samples of all channels; yields those that are marked."""
        self._num_input += block.shape[1]
        self._input = np.concatenate([self._input, block], axis=1)
        while self._input.shape[1] >= (self._batch_frames + 1) * self._hop:
            yield self._output(self._mark_batch())

    def finish(self) -> Iterator[Block]:
        """Yields the rest."""
        while self._num_output < self._num_input:
            missing = max(0, (self._batch_frames + 1) * self._hop - self._input.shape[1])
            self._input = np.pad(self._input, ((0, 0), (0, missing)))
            yield self._output(self._mark_batch())

    def _output(self, samples: Float32[np.ndarray, "channels marked"]) -> Block:
        if self._num_frames == self._batch_frames:  # the first batch begins with the silence that was put before
            samples = samples[:, self._hop :]
        samples = samples[:, : self._num_input - self._num_output]
        self._num_output += samples.shape[1]
        return samples

    def _mark_batch(self) -> Block:
        """Marks the next `self._batch_frames` frames; returns as many hops of samples."""
        hop, length = self._hop, 2 * self._hop
        frames = sliding_window_view(self._input[:, : (self._batch_frames + 1) * hop], length, axis=1)[:, ::hop]
        spectra = np.fft.rfft(frames * self._window, axis=2)
        gains = self._gains((np.abs(spectra) ** 2).mean(axis=0))
        changed = np.fft.irfft(spectra * gains, length, axis=2).astype(np.float32) * self._window
        channels = changed.shape[0]
        samples = np.zeros((channels, (self._batch_frames + 1) * hop), np.float32)
        samples[:, :-hop] += changed[:, :, :hop].reshape(channels, -1)
        samples[:, hop:] += changed[:, :, hop:].reshape(channels, -1)
        samples[:, :hop] += self._tail
        self._tail = samples[:, -hop:]
        self._input = self._input[:, self._batch_frames * hop :]
        self._num_frames += self._batch_frames
        return samples[:, :-hop]

    def _gains(self, power: Float[np.ndarray, "frames bins"]) -> Float[np.ndarray, "frames bins"]:
        """Returns the factor of each bin; the strength follows how much the band's level varied in the last 0.2 s."""
        first, last = self._bins[0], self._bins[-1]
        levels = 10 * np.log10(_band_powers(power, self._bins) + _LEVEL_FLOOR).astype(np.float32)
        known = np.concatenate([self._levels, levels])
        missing = _PAST_FRAMES - 1 + len(levels) - len(known)
        known = np.pad(known, ((max(0, missing), 0), (0, 0)), mode="edge")
        variation = sliding_window_view(known, _PAST_FRAMES, axis=0).std(axis=2)
        self._levels = known[-(_PAST_FRAMES - 1) :]
        strength = np.clip(_STRENGTH_PER_DB * variation, LEAST_STRENGTH_DB, STRENGTH_DB)
        # A frame belongs to the tile that its centre is in, by time: the pattern has the same pace at all rates.
        centres_s = (self._num_frames + np.arange(len(levels))) * self._hop / self._rate_hz
        tiles = np.floor(centres_s / (_TILE_FRAMES * _HOP_S) + 1e-9).astype(int) % _NUM_TILES
        factors = 10 ** (strength * self._pattern[:, tiles].T / 20)
        gains = np.ones((len(levels), power.shape[1]), np.float32)
        gains[:, first:last] = np.repeat(factors, np.diff(self._bins), axis=1)
        return gains


def _band_starts(rate_hz: int, length: int) -> Int[np.ndarray, " edges"]:
    """Returns the first FFT bin of each band, and the end of the last; bands above half the rate are empty."""
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (_LOWEST_HZ, _HIGHEST_HZ))
    edges_hz = 700 * (10 ** (np.linspace(low, high, NUM_BANDS + 1) / 2595) - 1)
    return np.minimum(np.ceil(edges_hz * length / rate_hz).astype(int), length // 2 + 1)


def _band_powers(
    power: Float[np.ndarray, "frames bins"], bins: Int[np.ndarray, " edges"]
) -> Float[np.ndarray, "frames bands"]:
    # A running sum instead of a matrix product: the BLAS of numpy would start threads for it.
    total = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1, dtype=np.float64)], axis=1)
    return np.maximum(total[:, bins[1:]] - total[:, bins[:-1]], 0)


def _random_bits(label: str, count: int) -> Int[np.ndarray, " count"]:
    """Returns bits that depend on a text only; SHA-256 gives the same ones in all versions of all libraries."""
    num_bytes = -(-count // 8)
    parts = (hashlib.sha256(f"pcavs audio mark 1 {label} {n}".encode()).digest() for n in range(-(-num_bytes // 32)))
    return np.unpackbits(np.frombuffer(b"".join(parts), np.uint8))[:count].astype(np.int64)


@functools.cache
def _pattern(version: int) -> Float[np.ndarray, "bands tiles"]:
    """Returns +1 or -1 for all tiles."""
    return 2.0 * _random_bits(f"version {version}", NUM_BANDS * _NUM_TILES).reshape(NUM_BANDS, _NUM_TILES) - 1


class MarkDetector:
    """Finds the mark in mono sound at 16 kHz, which may be given in pieces."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        self._powers: list[Float[np.ndarray, "frames bands"]] = []
        self._window = np.hanning(round(2 * _HOP_S * SAMPLE_RATE_HZ) + 1)[:-1].astype(np.float32)
        self._bins = _band_starts(SAMPLE_RATE_HZ, len(self._window))

    def add(self, piece: Waveform) -> None:
        """Takes the next samples; memory grows by 8 kB for each second."""
        hop, length = len(self._window) // 2, len(self._window)
        samples = np.concatenate([self._rest, piece])
        count = (len(samples) - length) // hop + 1
        if count > 0:
            frames = sliding_window_view(samples, length)[: count * hop : hop]
            power = np.abs(np.fft.rfft(frames * self._window)) ** 2
            self._powers.append(_band_powers(power, self._bins).astype(np.float32))
        self._rest = samples[max(0, count) * hop :]

    def finish(self) -> AudioMark:
        """Searches all that was given: in windows of 10 s at all speeds, and as a whole at normal speed."""
        powers = np.concatenate(self._powers).T if self._powers else np.zeros((NUM_BANDS, 0), np.float32)
        num_frames = powers.shape[1]
        best, whole = _NO_PLACEMENT, np.zeros((1, NUM_BANDS, _PERIOD_FRAMES))
        num_placements = NUM_VERSIONS * _PERIOD_FRAMES
        for start in _window_starts(num_frames):
            features = _whitened(powers[:, start : start + _WINDOW_FRAMES])
            folds = _folded(features, start)
            whole += folds[_NORMAL_SPEED]
            best = max(best, _best_placement(folds, start), key=lambda each: each.score)
            num_placements += NUM_VERSIONS * len(_SPEEDS) * _PERIOD_FRAMES
        best = max(best, _best_placement(whole, 0)._replace(speed=_NORMAL_SPEED), key=lambda each: each.score)
        false_rate = min(1.0, num_placements * math.exp(-0.5 * best.score**2))
        found = false_rate <= FALSE_RATE
        return AudioMark(
            found=found,
            score=best.score,
            false_rate=false_rate,
            version=best.version if found else None,
            speed=float(_SPEEDS[best.speed]),
            start_s=best.start * _HOP_S,
        )


class _Placement(NamedTuple):
    """A place of a pattern on the sound."""

    score: float
    start: int
    """First frame of the window."""
    speed: int
    """Index into `_SPEEDS`."""
    version: int


_NO_PLACEMENT: Final = _Placement(0.0, 0, _NORMAL_SPEED, 0)


def _window_starts(num_frames: int) -> list[int]:
    if num_frames < _LEAST_FRAMES:
        return []
    last = max(0, num_frames - _WINDOW_FRAMES)
    return [*range(0, last, _WINDOW_STEP), last]


def _whitened(powers: Float[np.ndarray, "bands frames"]) -> Float[np.ndarray, "bands frames"]:
    """Returns features of tiles in which what the sound itself does is weak: a matched filter for the mark.

    Levels of speech vary slowly over time and frequency, the mark's do not. Dividing the two-dimensional spectrum of
    the levels by its own smoothed power weighs each frequency by its signal-to-noise ratio.
    """
    peak = float(powers.max(initial=0.0))
    if peak <= 0:
        return np.zeros_like(powers)
    levels = 10 * np.log10(powers + _DETECTION_FLOOR * peak)
    spectrum = np.fft.fft2(levels - levels.mean(axis=1, keepdims=True))
    power = np.abs(spectrum) ** 2
    reach = powers.shape[1] // 100
    smooth = sum(np.roll(power, shift, axis=1) for shift in range(-reach, reach + 1))
    smooth = sum(np.roll(smooth, shift, axis=0) for shift in (-1, 0, 1)) / (3 * (2 * reach + 1))
    features = np.real(np.fft.ifft2(spectrum / (smooth + _WHITENING_FLOOR * power.mean() + 1e-30)))
    limit = _LARGEST_FEATURE * features.std()
    return np.clip(features, -limit, limit)


def _folded(features: Float[np.ndarray, "bands frames"], start: int) -> Float[np.ndarray, "speeds bands period"]:
    """Sums the features of frames that are a period of the pattern apart, for each speed."""
    bands = np.arange(NUM_BANDS)[:, None] * _PERIOD_FRAMES
    centre = features.shape[1] / 2
    folds: list[Float[np.ndarray, "bands period"]] = []
    for speed in _SPEEDS:
        moved = (np.arange(features.shape[1]) - centre) * speed + centre + start
        places = bands + np.rint(moved).astype(int) % _PERIOD_FRAMES
        sums = np.bincount(places.ravel(), features.ravel(), NUM_BANDS * _PERIOD_FRAMES)
        folds.append(sums.reshape(NUM_BANDS, _PERIOD_FRAMES))
    return np.stack(folds)


def _best_placement(folds: Float[np.ndarray, "speeds bands period"], start: int) -> _Placement:
    """Returns the placement that scores best, over all speeds, versions, and offsets of 16 ms."""
    best = _NO_PLACEMENT
    spectra = np.conj(np.fft.rfft(np.stack([_pattern(version) for version in range(NUM_VERSIONS)]), axis=2))
    for shift in range(_TILE_FRAMES):
        tiles = np.roll(folds, -shift, axis=2).reshape(len(folds), NUM_BANDS, _NUM_TILES, _TILE_FRAMES).sum(axis=3)
        norms = np.sqrt((tiles**2).sum(axis=(1, 2)))
        product = np.einsum("sbf,vbf->svf", np.fft.rfft(tiles, axis=2), spectra)
        scores = np.fft.irfft(product, _NUM_TILES, axis=2) / np.maximum(norms, 1e-300)[:, None, None]
        speed, version, offset = np.unravel_index(np.argmax(scores), scores.shape)
        score = float(scores[speed, version, offset])
        best = max(best, _Placement(score, start, int(speed), int(version)), key=lambda each: each.score)
    return best
