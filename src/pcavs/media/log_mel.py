"""Computes the log-mel that the pretrained speech encoder reads, with NumPy alone, from one window of sound at a time.

Recipe: power STFT with a Hann window of 400 samples (25 ms), hop 160 (10 ms), 80 bands on Slaney's scale up to 8 kHz,
log10, limited to 8 below the loudest value, (x + 4) / 4. A window is padded by 200 mirrored samples at both ends, as
Whisper pads a recording: only its first two bins and its last bin hear mirrored sound.

Unlike Whisper, each window is brought to one level (`LOUDEST_LOG10`), so that loudness does not matter.

Reference: Radford and others, "Robust Speech Recognition via Large-Scale Weak Supervision", 2022, and the published
code, whisper/audio.py.
"""

from typing import Final

import numpy as np
from jaxtyping import Float32

from pcavs.media.mel import mel_filters
from pcavs.spec import HOP_SAMPLES, SAMPLE_RATE_HZ, MelSpec, exact_div
from pcavs.types import Waveform

_FFT_SAMPLES: Final = 400
"""Length of the analysis window and of the FFT: 25 ms."""
_FILTERS: Final = MelSpec(fft_samples=_FFT_SAMPLES, low_hz=0.0, high_hz=SAMPLE_RATE_HZ / 2)
"""Describes the filters; the rest of this spec is not used."""
_MIN_POWER: Final = 1e-10
"""Floor of the mel power before the logarithm, as published."""
_RANGE_LOG10: Final = 8.0
"""Values further below the loudest one are raised to this distance, as published."""
_OFFSET, _SCALE = 4.0, 4.0
"""Published scaling: (x + 4) / 4."""
_PRODUCT_BINS: Final = 16
"""Bins whose filters are computed together. For products of more than 2**18 multiplications OpenBLAS starts threads,
which keep the processors busy long after each product: a window took 32 ms instead of 1 on two processors."""

LOUDEST_LOG10: Final = 1.5
"""Level that the loudest value of a window gets: that of clear recordings of a root mean square of about 0.12. (Windows
of 1.28 s from 26 recordings, most of them of GRID, reach 1.3 on average if scaled to 0.1, and 1.6 as they are.)"""
MAX_GAIN_LOG10: Final = 3.0
"""Largest shift upwards: 30 dB, so that noise in pauses stays quieter than speech. Tuned by hand; not measured."""


def log_mel(waveform: Waveform) -> Float32[np.ndarray, "80 bins"]:
    """Computes the log-mel of one window of sound, brought to one level; bin m is centred at sample 160 m.

    Windows whose loudest value needs a gain of at most 30 dB give the same values at any level. Quieter ones are raised
    by 30 dB. Silence gives the smallest value, (`LOUDEST_LOG10` - 4) / 4, everywhere; beside loud sound it does too.

    Args:
        waveform: The window; its length is a multiple of 160 and more than 200.
    """
    level = _log_power(waveform)
    loudest = max(float(level.max()), LOUDEST_LOG10 - MAX_GAIN_LOG10)
    shifted = np.maximum(level, loudest - _RANGE_LOG10) + (LOUDEST_LOG10 - loudest)
    return ((shifted + _OFFSET) / _SCALE).astype(np.float32)


def _log_power(waveform: Waveform) -> np.ndarray:
    """Computes log10 of the mel power, (80, bins), in float64."""
    num_bins = exact_div(len(waveform), HOP_SAMPLES)
    padded = np.pad(waveform.astype(np.float64), _FFT_SAMPLES // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT_SAMPLES)[::HOP_SAMPLES][:num_bins]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT_SAMPLES) / _FFT_SAMPLES)
    spectrum = np.fft.rfft(frames * hann, axis=1)
    energy = spectrum.real**2 + spectrum.imag**2
    filters = mel_filters(_FILTERS)
    power = np.empty((len(filters), num_bins))
    for first in range(0, num_bins, _PRODUCT_BINS):
        power[:, first : first + _PRODUCT_BINS] = filters @ energy[first : first + _PRODUCT_BINS].T
    return np.log10(np.maximum(power, _MIN_POWER))
