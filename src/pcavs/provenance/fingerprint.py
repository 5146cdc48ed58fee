"""Fingerprints by which a re-encoded, scaled or cut film is recognised: of its picture and of its sound.

A picture's fingerprint is the sign of its low frequencies against their median (a DCT hash), one a second. A sound's
is the sign of the change, over time and frequency, of the energy in narrow bands; 32 bits every 64 ms.

Reference: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010), section 3.2.1.
Haitsma and Kalker, A Highly Robust Audio Fingerprinting System (ISMIR 2002).
"""

import itertools
import math
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8, UInt32
from numpy.lib.stride_tricks import sliding_window_view

from pcavs.media.audio import stream_waveform
from pcavs.media.video import read_frames
from pcavs.spec import FRAME_RATE, SAMPLE_RATE_HZ
from pcavs.types import Picture, Waveform

PICTURE_LIMIT: Final = 0.2
"""Share of different bits up to which pictures count as the same. Measured: re-encoded films 0.06 at the most, 19,900
pairs of other people's portraits, in the same crop, 0.29 at the least."""
SOUND_LIMIT: Final = 0.33
"""Share of different bits up to which two seconds of sound count as the same (docs/measurements.md)."""

_HASH_INPUT_PX: Final = 32
_HASH_SIDE: Final = 16
"""Frequencies in each direction; 8, which is usual for photographs, does not tell people in the same crop apart."""
HASH_BYTES: Final = _HASH_SIDE * _HASH_SIDE // 8
"""Length of one picture's fingerprint; its last bit is unused."""
_READ_SIDE_PX: Final = 256
"""Longer side that frames are read at."""

_NUM_BITS: Final = 32
_LOWEST_HZ, _HIGHEST_HZ = 300.0, 2000.0
"""Range of the bands, from Haitsma and Kalker."""
_WINDOW: Final = 6144
"""Samples of a window: 0.38 s, near theirs."""
_STEP: Final = 1024
"""Samples between fingerprints that are kept: 64 ms, so that a log grows by 62 bytes a second. They keep one every
12 ms; here the sound that is searched for is read at `_NUM_PHASES` times that pace instead."""
_NUM_PHASES: Final = 4
_HOP: Final = _STEP // _NUM_PHASES
BLOCK: Final = 32
"""Fingerprints that are compared at once: 2 s. Sounds below 2.5 s are not recognised."""
_LEAST_HEARD: Final = 0.6
"""Share of a block that must not be silent: silence is like other silence."""
_SILENCE: Final = 1e-10
"""Mean square below which a window is silent: -100 dB of full scale."""

Prints = UInt32[np.ndarray, " _"]
"""Fingerprints of a sound, one every 64 ms; 0 where it is silent."""
Hashes = UInt8[np.ndarray, "_ 32"]
"""Fingerprints of pictures, one a second."""


def picture_hash(picture: Picture) -> UInt8[np.ndarray, " bytes"]:
    """Returns the fingerprint of one picture, of any size and shape."""
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(luma, (_HASH_INPUT_PX, _HASH_INPUT_PX), interpolation=cv2.INTER_AREA)
    low = cv2.dct(small.astype(np.float32))[:_HASH_SIDE, :_HASH_SIDE].ravel()[1:]
    return np.packbits(low > np.median(low))


def picture_hashes(path: Path) -> Hashes:
    """Returns the fingerprints of a film, one a second.

    Raises:
        InputError: It cannot be read or has no picture.
    """
    seconds = itertools.islice(read_frames(path, max_side_px=_READ_SIDE_PX), 0, None, FRAME_RATE)
    return np.stack([picture_hash(frame) for frame in seconds])


def picture_distance(found: Hashes, known: Hashes) -> float:
    """Returns the share of different bits, 0 to 1: of each picture to the nearest known one, the median of all."""
    if not len(found) or not len(known):
        return 1.0
    different = np.bitwise_count(found[:, None] ^ known[None]).sum(axis=2, dtype=np.int64)
    return float(np.median(different.min(axis=1)) / (8 * HASH_BYTES - 1))


class SoundPrints(NamedTuple):
    """Fingerprints of a sound at each of four phases of 16 ms; the first is what a log keeps."""

    phases: tuple[Prints, ...]


class SoundPrinter:
    """Computes the fingerprints of mono sound at 16 kHz, which may be given in pieces."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        self._window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32)
        steps = np.arange(_NUM_BITS + 2) / (_NUM_BITS + 1)
        edges_hz = _LOWEST_HZ * (_HIGHEST_HZ / _LOWEST_HZ) ** steps
        self._bins: Int[np.ndarray, " edges"] = np.round(edges_hz * _WINDOW / SAMPLE_RATE_HZ).astype(int)
        self._energies: list[Float[np.ndarray, "time bands"]] = []
        self._silent: list[bool] = []

    def add(self, piece: Waveform) -> None:
        """Takes the next samples; memory grows by 8 kB for each second."""
        samples = np.concatenate([self._rest, piece])
        count = max(0, (len(samples) - _WINDOW) // _HOP + 1)
        for start in range(count):
            window = samples[start * _HOP :][:_WINDOW]
            power = np.abs(np.fft.rfft(window * self._window)) ** 2
            self._energies.append(np.add.reduceat(power, self._bins)[:-1].astype(np.float32))
            self._silent.append(bool(np.mean(window**2) < _SILENCE))
        self._rest = samples[count * _HOP :]

    def finish(self) -> SoundPrints:
        """Returns the fingerprints of all that was given."""
        if len(self._energies) <= _NUM_PHASES:
            return SoundPrints((np.zeros(0, np.uint32),) * _NUM_PHASES)
        energies = np.stack(self._energies)
        slopes = energies[:, :-1] - energies[:, 1:]
        bits = slopes[_NUM_PHASES:] > slopes[:-_NUM_PHASES]
        prints = np.packbits(bits, axis=1).view(">u4")[:, 0].astype(np.uint32)
        prints[np.array(self._silent[_NUM_PHASES:])] = 0
        return SoundPrints(tuple(prints[phase::_NUM_PHASES] for phase in range(_NUM_PHASES)))


def sound_prints(path: Path) -> SoundPrints:
    """Returns the fingerprints of the sound of a file.

    Raises:
        InputError: It cannot be read or has no sound.
    """
    printer = SoundPrinter()
    for piece in stream_waveform(path):
        printer.add(piece)
    return printer.finish()


def sound_distance(found: SoundPrints, known: Prints) -> float:
    """Returns the smallest share of different bits, 0 to 1, of any two seconds at any place; 1 for shorter sounds."""
    if len(known) < BLOCK:
        return 1.0
    places = sliding_window_view(known, BLOCK)
    best = 1.0
    for prints in found.phases:
        for start in range(0, len(prints) - BLOCK + 1, BLOCK // 2):
            block = prints[start : start + BLOCK]
            heard = (block != 0) & (places != 0)
            counts = heard.sum(axis=1)
            different = (np.bitwise_count(block ^ places) * heard).sum(axis=1, dtype=np.int64)
            shares = np.where(counts >= _LEAST_HEARD * BLOCK, different / np.maximum(counts * _NUM_BITS, 1), 1.0)
            best = min(best, float(shares.min()))
    return best if math.isfinite(best) else 1.0
