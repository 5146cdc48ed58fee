"""The published mel spectrogram, with numpy alone.

Reference: the published code's AudioConfig (lws STFT in "speech" mode, librosa's slaney filters), restated in
closed form: window 0.5 sin(pi (n + 0.5) / 1280), hop 160, 1120 zeros before the first sample.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64

from pcavs.media.timeline import MEL_LEAD_BINS, count_padded_bins, window_bins
from pcavs.spec import HOP_SAMPLES, MEL_BINS_PER_FRAME, MEL_WINDOW_BINS, SAMPLE_RATE_HZ, MelSpec
from pcavs.types import Mel, MelWindows, Waveform

_CHUNK_BINS = 256
_ENERGY_CHUNK = 2**18
_LEAST_RMS = 1e-4
_LEAST_MAGNITUDE = 1e-5


def normalise_loudness(waveform: Waveform, spec: MelSpec) -> Waveform:
    """Scales a whole file to a root mean square of `spec.loudness_rms`; near silence is raised a thousandfold at most.

    Cost: one copy of the waveform.
    """
    return waveform * np.float32(_loudness_gain(waveform, spec))


def mel_spectrogram(waveform: Waveform, spec: MelSpec) -> Mel:
    """Turns a waveform into log-mel in [0, 1], with ceil(samples / 160) + 7 bins.

    Bin m is centred at sample 160 m - 480. The waveform should have been through `normalise_loudness`. The
    extra memory does not grow with the length.
    """
    mel = np.empty((spec.mel_channels, count_mel_bins(len(waveform), spec)), np.float32)
    _fill(mel, waveform, 1.0, spec)
    return mel


def count_mel_bins(num_samples: int, spec: MelSpec) -> int:
    """Counts the bins of a mel spectrogram: ceil(samples / 160) + 7."""
    return -(-num_samples // HOP_SAMPLES) + spec.fft_samples // HOP_SAMPLES - 1


def published_mel(waveform: Waveform, spec: MelSpec) -> Mel:
    """Makes the mel spectrogram as the published code does: loudness of the whole file, nothing put in front.

    Its window of `[:, 4 * i : 4 * i + 20]` belongs to the moment of frame i + 2.
    """
    mel = np.empty((spec.mel_channels, count_mel_bins(len(waveform), spec)), np.float32)
    _fill(mel, waveform, _loudness_gain(waveform, spec), spec)
    return mel


def padded_mel(waveform: Waveform, num_frames: int, spec: MelSpec) -> Mel:
    """Makes the mel spectrogram from which every one of `num_frames` frames can take its window.

    Normalises the loudness, then puts two frames (1280 samples, exactly 8 bins) of silence in front, which
    gives frames 0 and 1 a window (the published code leaves them out and runs 80 ms early), and silence
    behind. Frame i's window is `[:, 4 * i : 4 * i + 20]`.

    Returns:
        Log-mel of 4 `num_frames` + 16 bins.
    """
    padded = np.zeros((spec.mel_channels, count_padded_bins(num_frames)), np.float32)
    # Silent samples give bins of exactly 0, so padding bins equals padding samples.
    kept = min(padded.shape[1] - MEL_LEAD_BINS, count_mel_bins(len(waveform), spec))
    _fill(padded[:, MEL_LEAD_BINS : MEL_LEAD_BINS + kept], waveform, _loudness_gain(waveform, spec), spec)
    return padded


class LazyMel(ABC):
    """A mel spectrogram that is made piece by piece when it is asked for: `pcavs.media.speech.MelStream`."""

    @abstractmethod
    def windows(self, frames: Sequence[int] | None) -> MelWindows:
        """Gives what `mel_windows` gives."""

    @abstractmethod
    def levels(self, num_frames: int) -> Float64[np.ndarray, " time"]:
        """Gives what `frame_levels` gives."""


def mel_windows(padded: Mel | LazyMel, frames: Sequence[int] | None = None) -> MelWindows:
    """Cuts one window a frame out of a padded mel spectrogram.

    Args:
        padded: What `padded_mel` or `published_mel` made, or will make.
        frames: The frames wanted; None is all of them (6.4 kB a frame).
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
    """Measures how loud each frame is, 0 to 1: the mean of the four bins in the middle of its window."""
    if isinstance(padded, LazyMel):
        return padded.levels(num_frames)
    middle = (MEL_WINDOW_BINS - MEL_BINS_PER_FRAME) // 2
    bins = np.arange(num_frames)[:, None] * MEL_BINS_PER_FRAME + np.arange(middle, middle + MEL_BINS_PER_FRAME)
    return padded.mean(axis=0, dtype=np.float64)[bins.clip(max=padded.shape[1] - 1)].mean(axis=1)


def windows_at(waveform: Waveform, frames: Sequence[int], spec: MelSpec) -> MelWindows:
    """Makes the windows of a few frames alone: those of `mel_windows(padded_mel(...))`, without the rest.

    Cost: about 1 ms a frame, whatever the waveform's length.
    """
    gain = _loudness_gain(waveform, spec)
    made = np.empty((len(frames), 1, spec.mel_channels, MEL_WINDOW_BINS), np.float32)
    for row, frame in enumerate(frames):
        bins = window_bins(frame)
        shifted = range(bins.start - MEL_LEAD_BINS, bins.stop - MEL_LEAD_BINS)
        made[row, 0] = _bins(waveform, shifted, gain, spec)
    return made


@functools.lru_cache(maxsize=4)
def mel_filters(spec: MelSpec) -> Float[np.ndarray, "mel frequencies"]:
    """Makes triangular filters of equal area on Slaney's mel scale, for magnitudes of a real FFT.

    Reference: Slaney, Auditory Toolbox, 1998: linear to 1000 Hz (3 mel in 200 Hz), then logarithmic.
    """
    edges_hz = _edges_hz(spec)
    left, centre, right = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    frequencies = np.fft.rfftfreq(spec.fft_samples, 1 / SAMPLE_RATE_HZ)
    triangles = np.minimum((frequencies - left) / (centre - left), (right - frequencies) / (right - centre))
    return np.maximum(0.0, triangles) * (2.0 / (right - left))


def mel_centres(spec: MelSpec) -> Float[np.ndarray, " mel"]:
    """Gives the frequency at which each band's filter peaks, in Hz."""
    return _edges_hz(spec)[1:-1]


_BREAK_HZ = 1000.0
_HZ_PER_MEL = 200.0 / 3.0
_BREAK_MEL = _BREAK_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def _edges_hz(spec: MelSpec) -> Float[np.ndarray, " edges"]:
    return _mel_to_hz(np.linspace(_hz_to_mel(spec.low_hz), _hz_to_mel(spec.high_hz), spec.mel_channels + 2))


def _hz_to_mel(hz: float) -> float:
    if hz < _BREAK_HZ:
        return hz / _HZ_PER_MEL
    return float(_BREAK_MEL + np.log(hz / _BREAK_HZ) / _LOG_STEP)


def _mel_to_hz(mel: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    return np.where(mel < _BREAK_MEL, mel * _HZ_PER_MEL, _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL)))


def _fill(mel: Mel, waveform: Waveform, gain: float, spec: MelSpec) -> None:
    """Writes the first bins of a scaled waveform, chunk by chunk, so that nothing as long as it is made."""
    for first in range(0, mel.shape[1], _CHUNK_BINS):
        stop = min(mel.shape[1], first + _CHUNK_BINS)
        mel[:, first:stop] = _bins(waveform, range(first, stop), gain, spec)


def bin_samples(bins: range, spec: MelSpec) -> range:
    """Gives the samples that some neighbouring bins look at."""
    return range(bins.start * HOP_SAMPLES - (spec.fft_samples - HOP_SAMPLES), bins.stop * HOP_SAMPLES)


def mel_bins(samples: Waveform, gain: float, spec: MelSpec) -> Float[np.ndarray, "mel bins"]:
    """Makes neighbouring bins of the samples that `bin_samples` names, scaled by a gain; silence gives exactly 0."""
    window = 0.5 * np.sin(np.pi * (np.arange(spec.fft_samples) + 0.5) / spec.fft_samples)
    scaled = (samples * np.float32(gain)).astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(scaled, spec.fft_samples)[::HOP_SAMPLES]
    magnitude = np.abs(np.fft.rfft(frames * window, axis=1))
    level_db = 20.0 * np.log10(np.maximum(_LEAST_MAGNITUDE, mel_filters(spec) @ magnitude.T)) - spec.reference_db
    return np.clip((level_db - spec.floor_db) / -spec.floor_db, 0.0, 1.0)


def loudness_gain(energy: float, num_samples: int, spec: MelSpec) -> float:
    """Gives the factor that brings samples of a summed square to a root mean square of `spec.loudness_rms`."""
    rms = float(np.sqrt(energy / max(1, num_samples)))
    return spec.loudness_rms / max(_LEAST_RMS, rms)


def _loudness_gain(waveform: Waveform, spec: MelSpec) -> float:
    starts = range(0, len(waveform), _ENERGY_CHUNK)
    energy = sum(float(np.square(waveform[at : at + _ENERGY_CHUNK], dtype=np.float64).sum()) for at in starts)
    return loudness_gain(energy, len(waveform), spec)


def _bins(waveform: Waveform, bins: range, gain: float, spec: MelSpec) -> Float[np.ndarray, "mel bins"]:
    """Some bins of a waveform, beyond which there is silence."""
    wanted = bin_samples(bins, spec)
    part = np.zeros(len(wanted), np.float32)
    inside = waveform[max(0, wanted.start) : max(0, wanted.stop)]
    offset = max(0, -wanted.start)
    part[offset : offset + len(inside)] = inside
    return mel_bins(part, gain, spec)
