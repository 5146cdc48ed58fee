"""Any audio that PyAV reads becomes samples whose number and place in time are exact."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from jaxtyping import Float32

from pcavs.errors import InputError
from pcavs.media.source import decode, open_media, real_streams, time_origin
from pcavs.media.timeline import (
    LEAST_SPEECH_S,
    LEAST_SPEECH_SAMPLES,
    check_range,
    nearest_index,
    resampled_count,
)
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.types import Waveform

logger = logging.getLogger(__name__)

Block = Float32[np.ndarray, "channels samples"]

SILENCE_PEAK = 1e-4
"""Below -80 dB of full scale nothing can be heard, and loudness normalisation would only raise noise."""

_PLAIN_LAYOUTS = {"1 channels": "mono", "2 channels": "stereo"}
"""What FFmpeg calls the channels of a wav file that says only how many there are."""

_MOST_CHANNELS = 8
"""PyAV finds the planes of eight; of more it would read memory that is not the frame's."""

_LOWEST_RATE_HZ, _HIGHEST_RATE_HZ = 1000, 1_000_000
"""Resamplers take memory with the rate: a header that says two thousand million would fill any."""

_LONGEST_GAP_S = 3600
"""More missing sound at once is a damaged clock."""

# Half a frame. Matroska rounds times to milliseconds and recorders jitter; larger jumps are missing sound.
_JUMP_S = 0.02


def read_waveform(path: Path, start_s: float = 0.0, end_s: float | None = None) -> Waveform:
    """Reads the sound of any audio or video file as mono at 16 kHz.

    Channels are averaged (as librosa does for the published code). The codec's delay and end padding are
    removed where the file tells them: wav, flac, ogg, mp3 with a LAME header, mp4 and m4a give the same
    number of samples. A part of a film that has no sound is silence. Silence is allowed, with a warning.
    Memory: the result, plus a few blocks.

    Args:
        path: The file.
        start_s: Where to begin, in seconds.
        end_s: Where to stop, in seconds; None is the end.

    Raises:
        InputError: The file cannot be read, has no sound, or the range holds less than 0.2 s.
    """
    samples, peak = _Growing(), 0.0
    for piece in stream_waveform(path, start_s, end_s):
        samples.append(piece)
        peak = max(peak, float(np.abs(piece).max(initial=0.0)))
    waveform = samples.finish()
    check_speech(path, len(waveform), peak, start_s)
    return waveform


def stream_waveform(path: Path, start_s: float = 0.0, end_s: float | None = None) -> Iterator[Waveform]:
    """Streams the samples of `read_waveform` in pieces; memory does not grow with their number.

    Raises:
        InputError: The file cannot be read or has no sound.
    """
    check_range(start_s, end_s)
    with AudioReader(path) as reader:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE_HZ)
        native = given = 0
        for block in reader.blocks(start_s, end_s):
            mono = block.mean(axis=0, keepdims=True, dtype=np.float32)
            for frame in resampler.resample(make_frame(mono, reader.rate_hz, "mono", native)):
                given += frame.samples
                yield frame.to_ndarray()[0]
            native += block.shape[1]
        if not native:
            return
        missing = resampled_count(native, reader.rate_hz, SAMPLE_RATE_HZ) - given
        for frame in resampler.resample(None):
            last = frame.to_ndarray()[0][: max(0, missing)]
            missing -= len(last)
            yield last
        if missing > 0:
            yield np.zeros(missing, np.float32)


def check_speech(path: Path, num_samples: int, peak: float, start_s: float) -> None:
    """Refuses too little sound, and warns of silence.

    Raises:
        InputError: There is less than 0.2 s.
    """
    if num_samples < LEAST_SPEECH_SAMPLES:
        seconds = num_samples / SAMPLE_RATE_HZ
        where = f" from {start_s:g} s on" if start_s else ""
        raise InputError(f"{path} holds {seconds:.2f} s of sound{where}; at least {LEAST_SPEECH_S} s is needed")
    if peak < SILENCE_PEAK:
        logger.warning("%s is silent; the mouth will follow silence", path)


def make_frame(block: Block, rate_hz: int, layout: str, first_sample: int) -> AudioFrame:
    """Wraps samples for PyAV."""
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=layout)
    frame.sample_rate = rate_hz
    frame.time_base = Fraction(1, rate_hz)
    frame.pts = first_sample
    return frame


class AudioReader:
    """The first sound stream of a file, at its own rate and with its own channels, as a context manager.

    Attributes:
        rate_hz: Samples a second, as decoded.
        layout: FFmpeg's name of the channel layout, such as "stereo"; of more than eight channels the average is
            given, as "mono".
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stack = ExitStack()
        self.rate_hz = 0
        self.layout = self._stored_layout = ""

    def __enter__(self) -> "AudioReader":
        """Opens the file and decodes its first frame, the only sure source of rate and layout."""
        with ExitStack() as stack:
            container = stack.enter_context(open_media(self._path))
            streams = real_streams(container, "audio")
            if not streams:
                raise InputError(f"{self._path} has no sound; give a file with an audio stream")
            self._container, self._stream = container, streams[0]
            self._frames = decode(container, self._stream, self._path)
            stack.callback(self._frames.close)
            first = next(self._frames, None)
            if first is None:
                raise InputError(f"{self._path} has a sound stream without any sound; give another file")
            if not _LOWEST_RATE_HZ <= first.sample_rate <= _HIGHEST_RATE_HZ:
                raise InputError(
                    f"{self._path} says that it has {first.sample_rate} samples a second; {_LOWEST_RATE_HZ} to "
                    f"{_HIGHEST_RATE_HZ} are taken: convert it"
                )
            self._first = first
            self.rate_hz, self._stored_layout = first.sample_rate, first.layout.name
            self.layout = _PLAIN_LAYOUTS.get(self._stored_layout) or self._stored_layout
            if len(first.layout.channels) > _MOST_CHANNELS:
                self.layout = "mono"
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the file."""
        self._stack.close()

    def blocks(self, start_s: float = 0.0, end_s: float | None = None) -> Iterator[Block]:
        """Streams the samples from `start_s` to `end_s`, without a gap; once for each opening."""
        first = nearest_index(start_s, self.rate_hz)
        stop = None if end_s is None else nearest_index(end_s, self.rate_hz)
        stop = _earlier(stop, self._declared_samples())
        position = 0
        for block in self._placed_blocks():
            begin, end = position, position + block.shape[1]
            position = end
            kept = block[:, max(0, first - begin) : None if stop is None else max(0, stop - begin)]
            if kept.shape[1]:
                yield kept
            if stop is not None and position >= stop:
                return

    def _declared_samples(self) -> int | None:
        """The length without end padding. Only mp4's edit list states it; elsewhere the decoder knows or nobody."""
        if "mp4" not in self._container.format.name or not self._stream.duration:
            return None
        lead = 0
        if real_streams(self._container, "video"):
            start = Fraction((self._stream.start_time or 0) * self._stream.time_base)
            lead = max(0, nearest_index(start - time_origin(self._container), self.rate_hz))
        return lead + nearest_index(self._stream.duration * self._stream.time_base, self.rate_hz)

    def _placed_blocks(self) -> Iterator[Block]:
        """Decoded samples laid where their times say: missing sound becomes silence, doubled sound is dropped."""
        origin = (self._first.pts or 0) * Fraction(self._first.time_base)
        if real_streams(self._container, "video"):
            # Sound that begins later than the picture must stay later.
            origin = time_origin(self._container)
        position = 0
        for frame in self._converted():
            jump = 0
            if frame.pts is not None:
                time = frame.pts * Fraction(frame.time_base or 0)
                jump = nearest_index(time - origin, self.rate_hz) - position
            block = np.nan_to_num(self._samples(frame), posinf=0.0, neginf=0.0)
            if self._is_plausible_gap(jump, position):
                yield from _silence(block.shape[0], jump, self.rate_hz)
                position += jump
            elif jump < -_JUMP_S * self.rate_hz:
                block = block[:, -jump:]
            position += block.shape[1]
            yield block

    def _samples(self, frame: AudioFrame) -> Block:
        values = frame.to_ndarray()
        if frame.format.is_planar:
            return values
        channels = len(frame.layout.channels)
        return values.reshape(-1, channels).mean(axis=1, dtype=np.float32)[None]

    def _is_plausible_gap(self, jump: int, position: int) -> bool:
        if not _JUMP_S < jump / self.rate_hz <= _LONGEST_GAP_S:
            return False
        length_s = Fraction(self._container.duration or 0, av.time_base) + 1
        return position + jump <= length_s * self.rate_hz

    def _converted(self) -> Iterator[AudioFrame]:
        planar = len(self._first.layout.channels) <= _MOST_CHANNELS
        layout = self.layout if planar else self._stored_layout
        resampler = av.AudioResampler(format="fltp" if planar else "flt", layout=layout, rate=self.rate_hz)
        yield from resampler.resample(self._first)
        for frame in self._frames:
            # A stream may change its own rate or channels on the way; a resampler may not.
            if (frame.sample_rate, frame.layout.name) == (self.rate_hz, self._stored_layout):
                yield from resampler.resample(frame)


def _earlier(one: int | None, other: int | None) -> int | None:
    known = [stop for stop in (one, other) if stop is not None]
    return min(known, default=None)


def _silence(channels: int, samples: int, rate_hz: int) -> Iterator[Block]:
    while samples > 0:
        piece = min(samples, rate_hz)
        yield np.zeros((channels, piece), np.float32)
        samples -= piece


class _Growing:
    """A waveform of unknown length; growing in place costs less memory than joining a list of blocks."""

    def __init__(self) -> None:
        self._buffer = np.zeros(10 * SAMPLE_RATE_HZ, np.float32)
        self._used = 0

    def append(self, samples: Waveform) -> None:
        needed = self._used + len(samples)
        if needed > len(self._buffer):
            self._buffer.resize(max(needed, 3 * len(self._buffer) // 2), refcheck=False)
        self._buffer[self._used : needed] = samples
        self._used = needed

    def finish(self) -> Waveform:
        self._buffer.resize(self._used, refcheck=False)
        return self._buffer
