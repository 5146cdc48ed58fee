"""Decodes the audio of any file that PyAV reads into samples with exact count and timing.

`read_waveform` and `stream_waveform` give 16 kHz mono, which the speech encoder needs; `AudioReader` gives the samples
at their own rate and with their own channels, which `pcavs.media.film` needs.
"""

import itertools
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, NamedTuple

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.error import FFmpegError

from pcavs.errors import InputError
from pcavs.media.mixing import Channels, mixed
from pcavs.media.source import decodable_streams, decode_frames, default_stream, open_media, tags_of, time_origin
from pcavs.media.timeline import (
    MIN_SPEECH_S,
    MIN_SPEECH_SAMPLES,
    check_range,
    nearest_index,
    resampled_count,
)
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.types import Waveform

logger = logging.getLogger(__name__)

Block = Channels
"""Consecutive samples of all channels; full scale is 1."""

SILENCE_PEAK: Final = 1e-4
"""Peak amplitude (full scale 1) below which sound counts as silence: -80 dB. Tuned by hand; not measured."""

_PLAIN_LAYOUTS: Final = {"1 channels": "mono", "2 channels": "stereo"}
"""FFmpeg's names for the channel layouts of WAV files that state only a number of channels."""

_MAX_PLANES: Final = 7
"""Channels that PyAV can address in a planar frame; for more it reads memory outside of the frame."""
_MAX_CHANNELS: Final = 8
"""Most channels that are kept; more are mixed into one."""

_MIN_RATE_HZ: Final = 1000
"""Smallest sampling rate that is accepted."""
_MAX_RATE_HZ: Final = 1_000_000
"""Largest sampling rate that is accepted. A resampler's memory grows with the rate that a (damaged) header claims."""

_MAX_GAP_S: Final = 3600
"""Longest gap between timestamps that is filled with silence; a longer one is a damaged clock. Tuned by hand."""

_MAX_OVERLAP_S: Final = 1.0
"""Longest overlap of timestamps that is dropped; with a longer one they began again. Tuned by hand."""

_MIN_JUMP_S: Final = 0.02
"""Timestamp jump from which samples are inserted or dropped: half a frame. Below it lie Matroska's rounding to
milliseconds and the jitter of recorders."""


def read_waveform(path: Path, start_s: float = 0.0, end_s: float | None = None) -> Waveform:
    """Reads the sound of an audio or video file as mono at 16 kHz.

    Channels are averaged, as librosa does for the published code, unless they cancel each other (`mixing`). Codec delay
    and end padding are removed where the file states them, so wav, flac, ogg, mp3 with a LAME header, mp4 and m4a give
    the same number of samples. Gaps between timestamps become silence; files that were joined end to end are read
    whole. Silence is accepted with a logged warning.
    Memory: the result, plus a few blocks.

    Args:
        path: Any file with an audio stream.
        start_s: Start of the range, in seconds.
        end_s: End of the range, in seconds; None is the end of the file.

    Raises:
        InputError: The file cannot be read, has no sound, or the range holds less than 0.2 s.
    """
    samples, peak = _GrowingWaveform(), 0.0
    for piece in stream_waveform(path, start_s, end_s):
        samples.append(piece)
        peak = max(peak, float(np.abs(piece).max(initial=0.0)))
    waveform = samples.finish()
    check_speech(path, len(waveform), peak, start_s)
    return waveform


def stream_waveform(
    path: Path,
    start_s: float = 0.0,
    end_s: float | None = None,
    stream: int | None = None,
    rate_hz: int = SAMPLE_RATE_HZ,
) -> Iterator[Waveform]:
    """Streams the samples of `read_waveform` in pieces of any length; memory does not grow with the duration.

    It does not check that there is enough sound: `check_speech` does. `stream` is that of `AudioReader`, `rate_hz` the
    sampling rate of the samples.

    Raises:
        InputError: The file cannot be read or has no sound.
    """
    check_range(start_s, end_s)
    with AudioReader(path, stream) as reader:
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate_hz)
        num_native = num_output = 0
        for mono in mixed(reader.blocks(start_s, end_s), reader.rate_hz):
            for frame in resampler.resample(to_audio_frame(mono, reader.rate_hz, "mono", num_native)):
                num_output += frame.samples
                yield frame.to_ndarray()[0]
            num_native += mono.shape[1]
        if not num_native:
            return
        # The resampler delays its output and pads its end; the exact count is known, so the end is cut or padded to it.
        missing = resampled_count(num_native, reader.rate_hz, rate_hz) - num_output
        for frame in resampler.resample(None):
            last = frame.to_ndarray()[0][: max(0, missing)]
            missing -= len(last)
            yield last
        if missing > 0:
            yield np.zeros(missing, np.float32)


def check_speech(path: Path, num_samples: int, peak: float, start_s: float) -> None:
    """Refuses speech that is too short and warns of silence.

    Args:
        path: The file, for messages.
        num_samples: Samples at 16 kHz.
        peak: Largest absolute sample value; full scale is 1.
        start_s: Where reading began, for messages.

    Raises:
        InputError: There is less than 0.2 s of sound.
    """
    if num_samples < MIN_SPEECH_SAMPLES:
        seconds = num_samples / SAMPLE_RATE_HZ
        where = f" from {start_s:g} s on" if start_s else ""
        raise InputError(f"{path} holds {seconds:.2f} s of sound{where}; at least {MIN_SPEECH_S} s is needed")
    if peak < SILENCE_PEAK:
        logger.warning("%s is silent; the mouth will follow silence", path)


def to_audio_frame(block: Block, rate_hz: int, layout: str, first_sample: int) -> AudioFrame:
    """Converts samples to a PyAV frame whose timestamp is the index of its first sample."""
    sample_format = _sample_format(len(block))
    values = block if sample_format == "fltp" else block.T.reshape(1, -1)
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(values), format=sample_format, layout=layout)
    frame.sample_rate = rate_hz
    frame.time_base = Fraction(1, rate_hz)
    frame.pts = first_sample
    return frame


def stream_notes(path: Path, stream: int | None) -> list[str]:
    """Returns a note that says which of several audio streams is heard; none for a file with one.

    Raises:
        InputError: There is no such stream, or the file cannot be read.
    """
    with open_media(path) as container:
        streams = decodable_streams(container, "audio")
        if len(streams) < 2:
            return []
        chosen = _choose_stream(streams, stream, path)
        facts = [tags_of(streams[chosen]).get(tag, "") for tag in ("language", "title")]
        named = ", ".join(fact for fact in facts if fact and fact != "und")
        heard = f"number {chosen}{f' ({named})' if named else ''}"
        choices = f"--audio-stream 0 to {len(streams) - 1} chooses another"
        return [f"{path.name} has {len(streams)} audio streams; {heard} is heard ({choices})"]


def _choose_stream(streams: list[Any], stream: int | None, path: Path) -> int:
    """Returns the index of the audio stream to read.

    Raises:
        InputError: There is no stream of this number.
    """
    if stream is None:
        return default_stream(streams)
    if not 0 <= stream < len(streams):
        number = "one audio stream" if len(streams) == 1 else f"{len(streams)} audio streams"
        known = "0" if len(streams) == 1 else f"0 to {len(streams) - 1}"
        raise InputError(f"{path} has {number}, so there is no number {stream}; give {known}")
    return stream


class _TimedBlock(NamedTuple):
    """Samples of the decoder."""

    samples: Block
    time_s: Fraction | None
    """Of the first sample, on the file's clock; None where the file does not state it."""
    is_usual: bool
    """Whether the samples have the kind of the file's first frame; times of others cannot be trusted."""


class AudioReader:
    """Decodes an audio stream of a file at its own rate and with its own channels; a context manager.

    Args:
        path: Any file with an audio stream.
        stream: Number of the audio stream, from 0; None is the one that is marked default, or else the first.

    Attributes:
        rate_hz: Sampling rate.
        layout: FFmpeg's name of the channel layout, such as "stereo". More than eight channels are mixed into "mono".

    Raises:
        InputError: On entering: the file cannot be read, has no sound, or states an implausible sampling rate;
            or it has no such stream.
    """

    def __init__(self, path: Path, stream: int | None = None) -> None:
        self._path, self._number = path, stream
        self._stack = ExitStack()
        self.rate_hz = self._num_channels = 0
        self.layout = self._stored_layout = ""

    def __enter__(self) -> "AudioReader":
        """Opens the file and decodes its first frame, because headers may state a wrong rate or layout."""
        with ExitStack() as stack:
            container = stack.enter_context(open_media(self._path))
            streams = decodable_streams(container, "audio")
            if not streams:
                raise InputError(f"{self._path} has no audio stream; give a file with sound")
            self._container = container
            self._stream = streams[_choose_stream(streams, self._number, self._path)]
            self._frames = decode_frames(container, self._stream, self._path)
            stack.callback(self._frames.close)
            first = next(self._frames, None)
            if first is None:
                raise InputError(f"{self._path} has an empty audio stream; give another file")
            if not _MIN_RATE_HZ <= first.sample_rate <= _MAX_RATE_HZ:
                raise InputError(
                    f"{self._path} has a sampling rate of {first.sample_rate} Hz; {_MIN_RATE_HZ} to {_MAX_RATE_HZ} Hz "
                    "can be read: convert it"
                )
            self._first = first
            self.rate_hz, self._stored_layout = first.sample_rate, first.layout.name
            self._num_channels = len(first.layout.channels)
            self.layout = _PLAIN_LAYOUTS.get(self._stored_layout) or self._stored_layout
            if self._num_channels > _MAX_CHANNELS:
                self.layout = "mono"
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the file."""
        self._stack.close()

    def blocks(self, start_s: float = 0.0, end_s: float | None = None) -> Iterator[Block]:
        """Streams the samples from `start_s` to `end_s` seconds without gaps; may be called once after each opening."""
        first = nearest_index(start_s, self.rate_hz)
        stop = None if end_s is None else nearest_index(end_s, self.rate_hz)
        stop = _smaller(stop, self._declared_samples())
        position = 0
        placed = self._placed_blocks()
        for block in mixed(placed, self.rate_hz) if self._num_channels > _MAX_CHANNELS else placed:
            begin, end = position, position + block.shape[1]
            position = end
            kept = block[:, max(0, first - begin) : None if stop is None else max(0, stop - begin)]
            if kept.shape[1]:
                yield kept
            if stop is not None and position >= stop:
                return

    def _declared_samples(self) -> int | None:
        """Returns the number of samples without end padding, from the edit list of mp4; None for other formats.

        In other formats the decoder removes the padding itself, or the file does not state it.
        """
        if "mp4" not in self._container.format.name or not self._stream.duration:
            return None
        lead = 0
        if decodable_streams(self._container, "video"):
            start = Fraction((self._stream.start_time or 0) * self._stream.time_base)
            lead = max(0, nearest_index(start - time_origin(self._container), self.rate_hz))
        return lead + nearest_index(self._stream.duration * self._stream.time_base, self.rate_hz)

    def _placed_blocks(self) -> Iterator[Block]:
        """Streams the decoded samples, placed by their timestamps: gaps become silence, overlaps are dropped.

        Where timestamps begin again (files that were joined end to end), or cannot be trusted because the sampling rate
        changed, the sound continues without a gap.
        """
        origin = (self._first.pts or 0) * Fraction(self._first.time_base)
        if decodable_streams(self._container, "video"):
            # Second 0 is shared with the picture: sound that begins later than the picture must stay later.
            origin = time_origin(self._container)
        position, was_usual = 0, True
        for samples, time, is_usual in self._converted():
            block = np.nan_to_num(samples, posinf=0.0, neginf=0.0)
            jump = 0
            if is_usual and time is not None:
                jump = nearest_index(time - origin, self.rate_hz) - position
                if not was_usual or jump < -self._longest_overlap(time):
                    origin, jump = time - Fraction(position, self.rate_hz), 0
            was_usual = is_usual
            if self._is_plausible_gap(jump, position):
                yield from _silence(block.shape[0], jump, self.rate_hz)
                position += jump
            elif jump < -_MIN_JUMP_S * self.rate_hz:
                block = block[:, -jump:]
            position += block.shape[1]
            yield block

    def _longest_overlap(self, time_s: Fraction) -> float:
        """Returns how many samples a frame at a time may overlap; with a longer overlap, timestamps began again."""
        first_s = (self._first.pts or 0) * Fraction(self._first.time_base or 0)
        return (_MIN_JUMP_S if abs(time_s - first_s) < _MIN_JUMP_S else _MAX_OVERLAP_S) * self.rate_hz

    def _converted(self) -> Iterator[_TimedBlock]:
        """Converts the decoded frames to float samples of the first frame's rate and channels."""
        resampler: av.AudioResampler | None = None
        usual = kind = _kind(self._first)
        left_out = 0
        for frame in itertools.chain([self._first], self._frames):
            if _kind(frame) != kind or resampler is None:
                if resampler is not None:
                    yield from self._rest(resampler, is_usual=kind == usual)
                resampler, kind = self._resampler(), _kind(frame)
            time = None if frame.pts is None else frame.pts * Fraction(frame.time_base or 0)
            try:
                if not _MIN_RATE_HZ <= frame.sample_rate <= _MAX_RATE_HZ:
                    raise ValueError(frame.sample_rate)
                for converted in resampler.resample(frame):
                    yield _TimedBlock(self._samples(converted), time, is_usual=kind == usual)
            except (FFmpegError, ValueError):
                left_out, resampler = left_out + 1, None
        if resampler is not None:
            yield from self._rest(resampler, is_usual=kind == usual)
        if left_out:
            logger.warning("%s: left out %d blocks of sound that cannot be converted", self._path, left_out)

    def _rest(self, resampler: av.AudioResampler, *, is_usual: bool) -> Iterator[_TimedBlock]:
        """Yields what a resampler that changed the rate still holds."""
        if not is_usual:
            for frame in resampler.resample(None):
                yield _TimedBlock(self._samples(frame), None, is_usual=False)

    def _resampler(self) -> av.AudioResampler:
        layout = self._stored_layout if self._num_channels > _MAX_CHANNELS else self.layout
        return av.AudioResampler(format=_sample_format(self._num_channels), layout=layout, rate=self.rate_hz)

    def _samples(self, frame: AudioFrame) -> Block:
        """Converts a frame to an array of channels and samples."""
        values = frame.to_ndarray()
        return values if frame.format.is_planar else values.reshape(-1, self._num_channels).T

    def _is_plausible_gap(self, jump: int, position: int) -> bool:
        """Tells a gap in the sound, `jump` samples after `position`, from jitter and from a damaged clock."""
        if not _MIN_JUMP_S < jump / self.rate_hz <= _MAX_GAP_S:
            return False
        # No gap reaches beyond the file's own length, with a second to spare for rounding.
        length_s = Fraction(self._container.duration or 0, av.time_base) + 1
        return position + jump <= length_s * self.rate_hz


def _kind(frame: AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


def _sample_format(num_channels: int) -> str:
    """Returns FFmpeg's name of float samples: one plane for each channel, interleaved where PyAV cannot read planes."""
    return "fltp" if num_channels <= _MAX_PLANES else "flt"


def _smaller(one: int | None, other: int | None) -> int | None:
    known = [stop for stop in (one, other) if stop is not None]
    return min(known, default=None)


def _silence(channels: int, samples: int, rate_hz: int) -> Iterator[Block]:
    """Streams silence in blocks of at most a second, so that an hour of it takes no memory."""
    while samples > 0:
        piece = min(samples, rate_hz)
        yield np.zeros((channels, piece), np.float32)
        samples -= piece


class _GrowingWaveform:
    """Collects samples of unknown number in one buffer, which takes less memory than joining a list of blocks."""

    def __init__(self) -> None:
        self._buffer = np.zeros(10 * SAMPLE_RATE_HZ, np.float32)  # 10 s; grows by half when full
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
