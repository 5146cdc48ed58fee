"""Makes a clean synthetic voice sound recorded: microphone response, room, noise and level, all without delay.

The ranges below were tuned by hand by listening to renders; none was measured.
"""

from typing import Final

import numpy as np

from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.types import Waveform

_ROOM_SHARE: Final = 0.6
"""Share of the clips that get a room."""

_NOISE_BELOW_SPEECH_DB: Final = (22, 55)
"""Level of the noise below that of the speech."""

_SPEECH_LEVEL: Final = (0.03, 0.15)
"""Root mean square of the result, of full scale 1."""

_MAX_PEAK: Final = 0.98
"""Largest absolute sample, of full scale 1; the level is lowered where it would be exceeded."""

_MIN_LEVEL: Final = 1e-6
"""Keeps a silent clip from dividing by zero."""

_MIN_FREQUENCY_HZ, _REFERENCE_FREQUENCY_HZ = 40.0, 1000
"""The microphone's response is constant below the first frequency; octaves are counted from the second."""

_TILT_SPREAD_DB: Final = 1.5
"""Standard deviation of the response's slope, per octave."""

_NUM_RESONANCES: Final = 3
"""Gaussian peaks or dips of the response."""

_RESONANCE_CENTRE_OCTAVES, _RESONANCE_WIDTH_OCTAVES, _RESONANCE_SPREAD_DB = (-3, 3), (0.3, 1.2), 4
"""Range of their centre and width, and standard deviation of their height."""

_DECAY_S: Final = (0.08, 0.4)
"""Range of the reverberation time, in which the echoes fall by 60 dB."""

_DECAY_RATE: Final = 6.9
"""Natural logarithm of 60 dB in amplitude (a factor of 1,000)."""

_ECHO_LEVEL: Final = (0.05, 0.35)
"""Range of the echoes' total amplitude relative to the direct sound."""

_ECHO_DELAYS_PER_S: Final = 300
"""The first echo comes after one such part of a second, 3.3 ms: about a metre of detour."""

_NOISE_SLOPE: Final = (0, 1)
"""Range of the exponent by which the noise's spectrum falls with frequency: 0 white, 1 brown."""

_NOISE_FLAT_BINS: Final = 8
"""Bins of the spectrum below which the noise is not raised any further."""

_MIN_NOISE_LEVEL: Final = 1e-9
"""Keeps an empty clip's noise from dividing by zero."""


def simulate_recording(waveform: Waveform, random: np.random.Generator) -> Waveform:
    """Applies a random microphone response, sometimes a small room, noise and a level; the peak stays below 1.

    The direct sound keeps its place in time: the room only adds later echoes, and the response has zero phase.
    """
    voice = _apply_response(waveform, random)
    if random.random() < _ROOM_SHARE:
        voice = _apply_room(voice, random)
    level = float(np.sqrt(np.mean(voice**2))) + _MIN_LEVEL
    noise = _coloured_noise(len(voice), random)
    noisy = voice + noise * level * 10 ** (-random.uniform(*_NOISE_BELOW_SPEECH_DB) / 20)
    gain = random.uniform(*_SPEECH_LEVEL) / level
    peak = float(np.abs(noisy).max()) + _MIN_LEVEL
    return (noisy * min(gain, _MAX_PEAK / peak)).astype(np.float32)


def _apply_response(waveform: Waveform, random: np.random.Generator) -> Waveform:
    """Filters by a random frequency response: a slope and a few resonances, with zero phase."""
    spectrum = np.fft.rfft(waveform)
    frequencies_hz = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE_HZ)
    octaves = np.log2(np.maximum(frequencies_hz, _MIN_FREQUENCY_HZ) / _REFERENCE_FREQUENCY_HZ)
    gain_db = random.normal(0, _TILT_SPREAD_DB) * octaves
    for _ in range(_NUM_RESONANCES):
        centre, width = random.uniform(*_RESONANCE_CENTRE_OCTAVES), random.uniform(*_RESONANCE_WIDTH_OCTAVES)
        height_db = random.normal(0, _RESONANCE_SPREAD_DB)
        gain_db = gain_db + height_db * np.exp(-(((octaves - centre) / width) ** 2))
    return np.fft.irfft(spectrum * 10 ** (gain_db / 20), len(waveform)).astype(np.float32)


def _apply_room(waveform: Waveform, random: np.random.Generator) -> Waveform:
    """Convolves with a synthetic room response: the direct sound, then noise that decays exponentially."""
    decay_s, wet = random.uniform(*_DECAY_S), random.uniform(*_ECHO_LEVEL)
    times_s = np.arange(int(decay_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    response = random.normal(0, 1, len(times_s)) * np.exp(-_DECAY_RATE * times_s / decay_s)
    response[: SAMPLE_RATE_HZ // _ECHO_DELAYS_PER_S] = 0
    response *= wet / np.sqrt(np.sum(response**2))
    response[0] = 1.0
    length = len(waveform) + len(response)
    filtered = np.fft.irfft(np.fft.rfft(waveform, length) * np.fft.rfft(response, length), length)
    return filtered[: len(waveform)].astype(np.float32)


def _coloured_noise(length: int, random: np.random.Generator) -> Waveform:
    """Draws noise of variance 1 whose spectrum falls with frequency."""
    spectrum = np.fft.rfft(random.normal(0, 1, length))
    slope = random.uniform(*_NOISE_SLOPE)
    spectrum /= np.maximum(np.arange(len(spectrum)), _NOISE_FLAT_BINS) ** slope
    noise = np.fft.irfft(spectrum, length)
    return (noise / (np.std(noise) + _MIN_NOISE_LEVEL)).astype(np.float32)
