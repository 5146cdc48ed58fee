"""Takes speech in pieces as it is spoken: checks and resamples it, measures its running loudness, computes its mel.

What is computed for a frame depends on the sound up to a fixed time after it and on nothing else, so it does not
depend on the pieces in which the sound arrives.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import av
import numpy as np
from jaxtyping import Float64

from pcavs.errors import InputError
from pcavs.media.audio import to_audio_frame
from pcavs.media.mel import LazyMel, bin_samples, loudness_gain, mel_bins
from pcavs.media.mixing import Channels
from pcavs.media.timeline import (
    MEL_LEAD_BINS,
    MEL_LEAD_FRAMES,
    count_samples,
    group_samples,
    resampled_count,
    window_bins,
)
from pcavs.spec import MEL_BINS_PER_FRAME, MEL_WINDOW_FRAMES, SAMPLE_RATE_HZ, FeatureSpec, MelSpec
from pcavs.types import MelWindows, Waveform

LIVE_RATES_HZ: Final = (8000, 192_000)
"""Smallest and largest sampling rate of pushed sound."""
_MAX_CHANNELS: Final = 8
_INT16_SCALE: Final = np.float32(1 / 32768)
_LARGEST_SAMPLE: Final = 16.0
"""Samples beyond this are clipped: floats of a wrong scale must not become infinite in a spectrum."""

_BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 100
"""Block whose energy is measured: 10 ms."""
_ACTIVE_RANGE: Final = 1e-3
"""Blocks count as speech if their energy is within 30 dB of the peak."""
_LEAST_ENERGY: Final = 1e-8
"""Mean square below which a block never counts as speech: -80 dB."""
_PRIOR_BLOCKS: Final = 30
"""Blocks of the usual loudness that the running loudness begins with: 0.3 s. Tuned by hand; not
measured alone."""
_HALF_LIFE_BLOCKS: Final = 3000
"""Blocks after which a block counts half: 30 s of speech."""
_PEAK_DECAY: Final = 10 ** (-0.3 / 100)
"""The peak falls by 3 dB a second of speech, so that one loud noise does not hide what follows."""


def checked_samples(samples: np.ndarray, rate_hz: int) -> Channels:
    """Checks pushed sound and converts it to float32, channels x samples.

    Args:
        samples: (samples,) or (channels, samples), 16-bit integers or floats.
        rate_hz: Sampling rate.

    Raises:
        InputError: It is no sound: another type or shape, values that are not finite, or an implausible rate.
    """
    low, high = LIVE_RATES_HZ
    if not low <= rate_hz <= high or int(rate_hz) != rate_hz:
        raise InputError(f"a sampling rate of {rate_hz} Hz cannot be used; give a whole number from {low} to {high}")
    array = np.asarray(samples)
    if array.dtype == np.int16:
        array = array.astype(np.float32) * _INT16_SCALE
    elif array.dtype == np.float32 or array.dtype == np.float64:
        array = array.astype(np.float32)
    else:
        raise InputError(f"samples of type {array.dtype} cannot be used; give float32, or 16-bit integers (int16)")
    block = np.atleast_2d(array)
    if block.ndim != 2 or not 1 <= len(block) <= _MAX_CHANNELS:
        raise InputError(
            f"sound of shape {array.shape} cannot be used; give (samples,) or (channels, samples) with up to "
            f"{_MAX_CHANNELS} channels"
        )
    if not np.isfinite(block).all():
        raise InputError("the sound has values that are not finite; push the samples as they were recorded")
    return block.clip(-_LARGEST_SAMPLE, _LARGEST_SAMPLE)


class LiveSpeech:
    """Speech at 16 kHz that grows as it is pushed; only the last part of it is kept.

    Channels are averaged. Unlike in files (`media.mixing`), channels of opposite phase cancel each other: to notice
    them takes a second.

    Args:
        rate_hz: Sampling rate of what is pushed.
        keep_all: Keeps all of the sound; otherwise `forget` frees what is not needed.
    """

    def __init__(self, rate_hz: int, *, keep_all: bool = False) -> None:
        self._rate_hz, self._keep_all = rate_hz, keep_all
        self._resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE_HZ)
        self._pieces: list[Waveform] = []
        self._buffer = np.zeros(0, np.float32)
        self._first = self._num_native = 0
        self.num_samples = 0
        """Samples at 16 kHz that are known."""
        self.is_finished = False
        """Whether this is all of the sound; what follows is silence."""

    def push(self, block: Channels) -> None:
        """Takes the next samples."""
        if not block.shape[1]:
            return
        mono = block.mean(axis=0, keepdims=True, dtype=np.float32)
        for frame in self._resampler.resample(to_audio_frame(mono, self._rate_hz, "mono", self._num_native)):
            self._append(frame.to_ndarray()[0])
        self._num_native += block.shape[1]

    def finish(self) -> None:
        """Ends the sound; takes what the resampler still holds."""
        if self._num_native and not self.is_finished:
            # The resampler delays its output and pads its end, and the exact count is known.
            missing = resampled_count(self._num_native, self._rate_hz, SAMPLE_RATE_HZ) - self.num_samples
            for frame in self._resampler.resample(None):
                last = frame.to_ndarray()[0][: max(0, missing)]
                missing -= len(last)
                self._append(last)
            self._append(np.zeros(max(0, missing), np.float32))
        self.is_finished = True

    def read(self, samples: range) -> Waveform:
        """Returns a range of samples, with zeros before the sound, after its end, and where it was forgotten."""
        self._join()
        part = np.zeros(len(samples), np.float32)
        inside = self._buffer[max(0, samples.start - self._first) : max(0, samples.stop - self._first)]
        offset = max(0, self._first - samples.start)
        part[offset : offset + len(inside)] = inside
        return part

    def forget(self, before: int) -> None:
        """Frees the samples before an index."""
        surplus = before - self._first
        if surplus > 0 and not self._keep_all:
            self._join()
            self._buffer, self._first = self._buffer[surplus:].copy(), self._first + min(surplus, len(self._buffer))

    def _append(self, samples: Waveform) -> None:
        if len(samples):
            self._pieces.append(samples)
            self.num_samples += len(samples)

    def _join(self) -> None:
        if self._pieces:
            self._buffer = np.concatenate([self._buffer, *self._pieces])
            self._pieces = []


class LiveWindows:
    """Cuts the windows of sound that speech features are computed from (`speech.WindowReader`)."""

    def __init__(self, speech: LiveSpeech, spec: FeatureSpec) -> None:
        """Takes the growing speech, and the lengths of the windows."""
        self._speech, self._spec = speech, spec

    def windows(self, groups: Iterable[int]) -> Iterator[Waveform]:
        """Yields the window of each group of frames, with zeros beyond both ends of the sound."""
        for group in groups:
            yield self._speech.read(group_samples(group, self._spec))


class RunningLoudness:
    """The loudness of the speech so far, from which the gain of what follows is computed.

    Blocks of 10 ms count if they are within 30 dB of the loudest; older ones count less. It begins as if 0.3 s of the
    usual loudness (`MelSpec.loudness_rms`) had been heard.
    """

    def __init__(self, spec: MelSpec) -> None:
        """Takes the talker's mel spectrogram, which states the usual loudness."""
        self._spec = spec
        self._weight = float(_PRIOR_BLOCKS)
        self._energy = _PRIOR_BLOCKS * spec.loudness_rms**2
        self._peak = 0.0

    def add(self, samples: Waveform) -> None:
        """Takes the samples of the next blocks."""
        for energy in np.square(samples, dtype=np.float64).reshape(-1, _BLOCK_SAMPLES).mean(axis=1).tolist():
            if energy < max(_LEAST_ENERGY, _ACTIVE_RANGE * self._peak):
                continue
            decay = 0.5 ** (1 / _HALF_LIFE_BLOCKS)
            self._peak = max(energy, self._peak * _PEAK_DECAY)
            self._weight = self._weight * decay + 1
            self._energy = self._energy * decay + energy

    @property
    def gain(self) -> float:
        """Factor that brings the speech to the usual loudness."""
        return loudness_gain(self._energy / self._weight, 1, self._spec)


class LiveMel(LazyMel):
    """Mel windows and levels of growing speech; bins are computed once, in order, and old ones are freed.

    Args:
        speech: The growing speech.
        spec: The talker's mel spectrogram.
        loudness: Running loudness, which this object continues; a number is a gain that does not change.
    """

    def __init__(self, speech: LiveSpeech, spec: MelSpec, loudness: RunningLoudness | float) -> None:
        self._speech, self._spec, self._loudness = speech, spec, loudness
        # Bins are numbered as in the padded mel, whose first ones are silence.
        self._bins = np.zeros((spec.mel_channels, MEL_LEAD_BINS), np.float32)
        self._first = 0
        self._levels: dict[int, float] = {}
        self._num_frames = 0
        """Frames whose four bins are known."""

    def level(self, frame: int) -> float:
        """Returns the level of a frame, 0 to 1: the mean of its four bins; each may be asked for once, in order."""
        self._extend(frame + 1)
        return self._levels.pop(frame)

    def windows(self, frames: Sequence[int] | None = None) -> MelWindows:
        """Returns the mel windows of frames that were not forgotten."""
        assert frames is not None
        self._extend(max(frames) + MEL_WINDOW_FRAMES - MEL_LEAD_FRAMES)
        slices = (window_bins(frame) for frame in frames)
        return np.stack([self._bins[None, :, at.start - self._first : at.stop - self._first] for at in slices])

    def forget(self, before: int) -> None:
        """Frees what the windows of frames before an index need."""
        surplus = min(window_bins(before).start - self._first, self._bins.shape[1])
        if surplus > 0:
            self._bins, self._first = self._bins[:, surplus:].copy(), self._first + surplus

    def levels(self, num_frames: int) -> Float64[np.ndarray, " time"]:
        """Returns the levels of the first frames."""
        return np.array([self.level(frame) for frame in range(num_frames)])

    def _extend(self, num_frames: int) -> None:
        for frame in range(self._num_frames, num_frames):
            bins = range(frame * MEL_BINS_PER_FRAME, (frame + 1) * MEL_BINS_PER_FRAME)
            if isinstance(self._loudness, RunningLoudness):
                self._loudness.add(self._speech.read(range(count_samples(frame), count_samples(frame + 1))))
                gain = self._loudness.gain
            else:
                gain = self._loudness
            mel = mel_bins(self._speech.read(bin_samples(bins, self._spec)), gain, self._spec)
            self._bins = np.concatenate([self._bins, mel.astype(np.float32)], axis=1)
            self._levels[frame] = float(mel.mean())
        self._num_frames = max(self._num_frames, num_frames)
