"""Measures the audio-video offset of an encoded film: mouth pixels against the sound in the same file."""

import numpy as np

from helpers.sounds import write_wav
from helpers.talkers import mouth_area
from pcavs.media.audio import read_waveform
from pcavs.media.video import read_frames
from pcavs.spec import FRAME_RATE, SAMPLE_RATE_HZ

HALF_FRAME_S = 0.5 / FRAME_RATE
_WINDOW_S = 0.04
"""Length of the window in which loudness is measured: one frame."""


def write_clicks(path):
    """Writes twelve bursts of noise at times that are not aligned with frames, with silence around them."""
    rng = np.random.default_rng(3)
    samples = np.zeros(round(7.77 * SAMPLE_RATE_HZ))
    starts = np.cumsum(rng.uniform(0.42, 0.71, 12))
    for start in starts:
        first = round(start * SAMPLE_RATE_HZ)
        burst = samples[first : first + round(0.13 * SAMPLE_RATE_HZ)]
        burst += 0.3 * rng.standard_normal(len(burst))
    return write_wav(path, samples.clip(-1, 1))


def measured_lead_s(film):
    """Returns how many seconds the sound of a `LoudMouth` film is ahead of its mouth; frame k is shown at k/25 s."""
    frames = np.stack(list(read_frames(film)))
    darkness = -frames[:, *mouth_area(frames.shape[1])].mean(axis=(1, 2, 3))
    energy = np.cumsum(np.square(read_waveform(film), dtype=np.float64))
    times = np.arange(len(darkness)) / FRAME_RATE
    lags = np.arange(-0.12, 0.1201, 0.0025)

    def loudness(lag):
        edges = np.array([times + lag - _WINDOW_S / 2, times + lag + _WINDOW_S / 2]) * SAMPLE_RATE_HZ
        low, high = energy[np.clip(np.round(edges).astype(int), 0, len(energy) - 1)]
        return np.sqrt(np.maximum(high - low, 0))

    fits = [np.corrcoef(darkness, loudness(lag))[0, 1] for lag in lags]
    assert max(fits) > 0.9, "the mouth does not follow the sound"
    return -lags[int(np.argmax(fits))]
