"""Makes a clean synthetic voice sound as if recorded: tone, room, noise and level, without any delay."""

import numpy as np

from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.types import Waveform


def recorded(waveform: Waveform, random: np.random.Generator) -> Waveform:
    """Adds a random microphone tone, a small room, noise and a level; the peak stays below 1.

    The direct sound keeps its place in time: the room only adds later echoes, and the tone is zero-phase.
    """
    toned = _toned(waveform, random)
    if random.random() < 0.6:
        toned = _in_room(toned, random)
    level = float(np.sqrt(np.mean(toned**2))) + 1e-6
    noise = _coloured_noise(len(toned), random)
    noisy = toned + noise * level * 10 ** (-random.uniform(22, 55) / 20)
    gain = random.uniform(0.03, 0.15) / level
    peak = float(np.abs(noisy).max()) + 1e-6
    return (noisy * min(gain, 0.98 / peak)).astype(np.float32)


def _toned(waveform: Waveform, random: np.random.Generator) -> Waveform:
    spectrum = np.fft.rfft(waveform)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE_HZ), 40.0) / 1000)
    gain_db = random.normal(0, 1.5) * octaves
    for _ in range(3):
        centre, width = random.uniform(-3, 3), random.uniform(0.3, 1.2)
        gain_db = gain_db + random.normal(0, 4) * np.exp(-(((octaves - centre) / width) ** 2))
    return np.fft.irfft(spectrum * 10 ** (gain_db / 20), len(waveform)).astype(np.float32)


def _in_room(waveform: Waveform, random: np.random.Generator) -> Waveform:
    decay_s, wet = random.uniform(0.08, 0.4), random.uniform(0.05, 0.35)
    times_s = np.arange(int(decay_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    echoes = random.normal(0, 1, len(times_s)) * np.exp(-6.9 * times_s / decay_s)
    echoes[: SAMPLE_RATE_HZ // 300] = 0
    echoes *= wet / np.sqrt(np.sum(echoes**2))
    echoes[0] = 1.0
    length = len(waveform) + len(echoes)
    return np.fft.irfft(np.fft.rfft(waveform, length) * np.fft.rfft(echoes, length), length)[: len(waveform)].astype(
        np.float32
    )


def _coloured_noise(length: int, random: np.random.Generator) -> Waveform:
    spectrum = np.fft.rfft(random.normal(0, 1, length))
    slope = random.uniform(0, 1)
    spectrum /= np.maximum(np.arange(len(spectrum)), 8) ** slope
    noise = np.fft.irfft(spectrum, length)
    return (noise / (np.std(noise) + 1e-9)).astype(np.float32)
