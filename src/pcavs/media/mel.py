"""Computes the mel spectrogram of the published code with NumPy alone, and cuts it into one window for each frame.

Recipe: magnitude STFT with a window of 1280 samples (80 ms), hop 160 (10 ms), 80 mel bands, in dB, scaled to [0, 1].

Reference: the published code's AudioConfig (lws STFT in "speech" mode, librosa's Slaney filters) in closed form: window
0.5 sin(pi (n + 0.5) / 1280), hop 160, 1120 zeros before the first sample.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float, Float64

from pcavs.media.timeline import MEL_LEAD_BINS, count_padded_bins, window_bins
from pcavs.spec import HOP_SAMPLES, MEL_BINS_PER_FRAME, MEL_WINDOW_BINS, SAMPLE_RATE_HZ, MelSpec
from pcavs.types import Mel, MelWindows, Waveform

_CHUNK_BINS: Final = 256
"""Bins that are computed at once; it bounds the memory."""
_ENERGY_CHUNK_SAMPLES: Final = 2**18
"""Samples whose energy is summed at once; it bounds the memory for squares in float64."""
_MIN_RMS: Final = 1e-4
"""Smallest root mean square for the loudness gain, so near silence is raised a thousandfold at most. Tuned by hand."""
_MIN_MAGNITUDE: Final = 1e-5
"""Floor of the mel magnitude before the logarithm: -100 dB, as published."""


def normalise_loudness(waveform: Waveform, spec: MelSpec) -> Waveform:
    """Scales a waveform to a root mean square of `spec.loudness_rms`, by a factor of at most 1000.

    Memory: one copy of the waveform.
    """
    return waveform * np.float32(_loudness_gain(waveform, spec))


def mel_spectrogram(waveform: Waveform, spec: MelSpec) -> Mel:
    """Computes the log-mel spectrogram of a waveform: ceil(samples / 160) + 7 bins, values in [0, 1].

    Bin m is centred at sample 160 m - 480. The loudness is taken as it is (see `normalise_loudness`). Memory beside the
    result does not grow with the length.
    """
    mel = np.empty((spec.mel_channels, count_mel_bins(len(waveform), spec)), np.float32)
    _fill(mel, waveform, 1.0, spec)
    return mel


def count_mel_bins(num_samples: int, spec: MelSpec) -> int:
    """Counts the bins of a mel spectrogram: ceil(samples / 160) + 7."""
    return -(-num_samples // HOP_SAMPLES) + spec.fft_samples // HOP_SAMPLES - 1


def published_mel(waveform: Waveform, spec: MelSpec) -> Mel:
    """Computes the mel spectrogram as the published code does: normalised loudness, no padding in front.

    The window `[:, 4 * i : 4 * i + 20]` is centred on the time of frame i + 2.
    """
    mel = np.empty((spec.mel_channels, count_mel_bins(len(waveform), spec)), np.float32)
    _fill(mel, waveform, _loudness_gain(waveform, spec), spec)
    return mel


def padded_mel(waveform: Waveform, num_frames: int, spec: MelSpec) -> Mel:
    """Computes the mel spectrogram, padded so that each of `num_frames` frames has a window centred on it.

    The loudness is normalised. Two frames of silence (1280 samples, exactly 8 bins) come first, so that frames 0 and 1
    have a window; the published code has none for them and plays its picture 80 ms early. Silence follows at the end.
    The window of frame i is `[:, 4 * i : 4 * i + 20]`.

    Returns:
        Log-mel of 4 `num_frames` + 16 bins, in [0, 1].
    """
    padded = np.zeros((spec.mel_channels, count_padded_bins(num_frames)), np.float32)
    # Silence gives bins of exactly 0, so padding with zero bins equals padding with zero samples.
    kept = min(padded.shape[1] - MEL_LEAD_BINS, count_mel_bins(len(waveform), spec))
    _fill(padded[:, MEL_LEAD_BINS : MEL_LEAD_BINS + kept], waveform, _loudness_gain(waveform, spec), spec)
    return padded


class LazyMel(ABC):
    """Interface of a mel spectrogram that is computed piece by piece on request; see `pcavs.media.speech.MelStream`."""

    @abstractmethod
    def windows(self, frames: Sequence[int] | None) -> MelWindows:
        """Computes the mel windows of some frames, as `mel_windows` does; None is all frames."""

    @abstractmethod
    def levels(self, num_frames: int) -> Float64[np.ndarray, " time"]:
        """Computes the level of each frame, as `frame_levels` does."""


def mel_windows(padded: Mel | LazyMel, frames: Sequence[int] | None = None) -> MelWindows:
    """Cuts one window for each frame out of a mel spectrogram.

    Args:
        padded: The result of `padded_mel` or `published_mel`, or its lazy equivalent.
        frames: Indices of the frames; None is all of them (6.4 kB a frame).
    """
    if isinstance(padded, LazyMel):
        return padded.windows(frames)
    if frames is None:
        frames = range((padded.shape[1] - MEL_WINDOW_BINS) // MEL_BINS_PER_FRAME + 1)
    windows = np.empty((len(frames), 1, padded.shape[0], MEL_WINDOW_BINS), np.float32)
    for row, frame in enumerate(frames):
        windows[row, 0] = padded[:, window_bins(frame)]
    return windows


def frame_levels(padded: Mel | LazyMel, num_frames: int) -> Float64[np.ndarray, " time"]:
    """Computes the level of each frame, 0 to 1: the mean of the four bins in the middle of its window."""
    if isinstance(padded, LazyMel):
        return padded.levels(num_frames)
    middle = (MEL_WINDOW_BINS - MEL_BINS_PER_FRAME) // 2
    bins = np.arange(num_frames)[:, None] * MEL_BINS_PER_FRAME + np.arange(middle, middle + MEL_BINS_PER_FRAME)
    return padded.mean(axis=0, dtype=np.float64)[bins.clip(max=padded.shape[1] - 1)].mean(axis=1)


def heard(levels: Float64[np.ndarray, " time"]) -> Float64[np.ndarray, " heard"]:
    """Returns the levels of the frames that are not digital silence, or all if there are no others.

    Statistics of a speech are those of these frames: a person of a dialogue is silent while others speak.
    """
    above = levels[levels > 0]
    return above if len(above) else levels


def windows_at(waveform: Waveform, frames: Sequence[int], spec: MelSpec) -> MelWindows:
    """Computes `mel_windows(padded_mel(...), frames)` without the rest of the spectrogram.

    Cost: about 1 ms for each frame, and one pass over the waveform for its loudness.
    """
    gain = _loudness_gain(waveform, spec)
    windows = np.empty((len(frames), 1, spec.mel_channels, MEL_WINDOW_BINS), np.float32)
    for row, frame in enumerate(frames):
        bins = window_bins(frame)
        shifted = range(bins.start - MEL_LEAD_BINS, bins.stop - MEL_LEAD_BINS)
        windows[row, 0] = _bins(waveform, shifted, gain, spec)
    return windows


@functools.lru_cache(maxsize=4)
def mel_filters(spec: MelSpec) -> Float[np.ndarray, "mel frequencies"]:
    """Computes triangular filters of equal area on Slaney's mel scale, for the magnitudes of a real FFT.

    Reference: Slaney, "Auditory Toolbox", 1998: linear to 1000 Hz (3 mel for 200 Hz), then logarithmic.
    """
    edges_hz = _edges_hz(spec)
    left, centre, right = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    frequencies = np.fft.rfftfreq(spec.fft_samples, 1 / SAMPLE_RATE_HZ)
    triangles = np.minimum((frequencies - left) / (centre - left), (right - frequencies) / (right - centre))
    return np.maximum(0.0, triangles) * (2.0 / (right - left))


def mel_centres(spec: MelSpec) -> Float[np.ndarray, " mel"]:
    """Computes the frequency at which each band's filter peaks, in Hz."""
    return _edges_hz(spec)[1:-1]


_BREAK_HZ: Final = 1000.0
"""Frequency at which Slaney's scale changes from linear to logarithmic."""
_HZ_PER_MEL: Final = 200.0 / 3.0
"""Slope of the scale below the break."""
_BREAK_MEL: Final = _BREAK_HZ / _HZ_PER_MEL
"""`_BREAK_HZ` in mel."""
_LOG_STEP: Final = np.log(6.4) / 27.0
"""Natural logarithm of the ratio of neighbouring mels above the break: 27 of them lie between 1000 and 6400 Hz."""


def _edges_hz(spec: MelSpec) -> Float[np.ndarray, " edges"]:
    """Computes the corners of the triangular filters: filter m rises from edge m to m + 1 and falls to edge m + 2."""
    return _mel_to_hz(np.linspace(_hz_to_mel(spec.low_hz), _hz_to_mel(spec.high_hz), spec.mel_channels + 2))


def _hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _HZ_PER_MEL
    return float(_BREAK_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _mel_to_hz(mel: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    return np.where(mel < _BREAK_MEL, mel * _HZ_PER_MEL, _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL)))


def _fill(mel: Mel, waveform: Waveform, gain: float, spec: MelSpec) -> None:
    """Computes the first bins of a scaled waveform into `mel`, in chunks, without a copy of the waveform."""
    for first in range(0, mel.shape[1], _CHUNK_BINS):
        stop = min(mel.shape[1], first + _CHUNK_BINS)
        mel[:, first:stop] = _bins(waveform, range(first, stop), gain, spec)


def bin_samples(bins: range, spec: MelSpec) -> range:
    """Returns the range of samples that a range of bins is computed from; it may begin below 0."""
    return range(bins.start * HOP_SAMPLES - (spec.fft_samples - HOP_SAMPLES), bins.stop * HOP_SAMPLES)


def mel_bins(samples: Waveform, gain: float, spec: MelSpec) -> Float[np.ndarray, "mel bins"]:
    """Computes consecutive bins from the samples that `bin_samples` names, times a gain; silence gives exactly 0."""
    window = 0.5 * np.sin(np.pi * (np.arange(spec.fft_samples) + 0.5) / spec.fft_samples)
    scaled = (samples * np.float32(gain)).astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(scaled, spec.fft_samples)[::HOP_SAMPLES]
    magnitude = np.abs(np.fft.rfft(frames * window, axis=1))
    level_db = 20.0 * np.log10(np.maximum(_MIN_MAGNITUDE, mel_filters(spec) @ magnitude.T)) - spec.reference_db
    return np.clip((level_db - spec.floor_db) / -spec.floor_db, 0.0, 1.0)


def loudness_gain(energy: float, num_samples: int, spec: MelSpec) -> float:
    """Computes the factor that scales samples to a root mean square of `spec.loudness_rms`; at most 1000.

    Args:
        energy: Sum of the squared samples.
        num_samples: Their number.
        spec: Mel recipe, which states the loudness.
    """
    rms = float(np.sqrt(energy / max(1, num_samples)))
    return spec.loudness_rms / max(_MIN_RMS, rms)


def _loudness_gain(waveform: Waveform, spec: MelSpec) -> float:
    chunk = _ENERGY_CHUNK_SAMPLES
    starts = range(0, len(waveform), chunk)
    energy = sum(float(np.square(waveform[at : at + chunk], dtype=np.float64).sum()) for at in starts)
    return loudness_gain(energy, len(waveform), spec)


def _bins(waveform: Waveform, bins: range, gain: float, spec: MelSpec) -> Float[np.ndarray, "mel bins"]:
    """Computes a range of bins of a waveform, with silence before its start and after its end."""
    samples = bin_samples(bins, spec)
    part = np.zeros(len(samples), np.float32)
    inside = waveform[max(0, samples.start) : max(0, samples.stop)]
    offset = max(0, -samples.start)
    part[offset : offset + len(inside)] = inside
    return mel_bins(part, gain, spec)
