"""Films become RGB frames at exactly 25 a second, whatever their own rate."""

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter

from pcavs.errors import InputError
from pcavs.media.orientation import UPRIGHT, Orientation, from_display_matrix, turn_upright
from pcavs.media.source import decode, open_media, real_streams, time_origin
from pcavs.media.timeline import check_range, count_frames_between, nearest_index, resample_nearest
from pcavs.spec import FRAME_RATE
from pcavs.types import Picture

MAX_PIXELS = 100_000_000
"""A larger picture or frame is refused before it is decoded: it would take gigabytes."""

# Before this time decoding from the start costs less than a seek can go wrong.
_SEEK_FROM_S = 5
# A longer time between two frames is a damaged clock, not a still: a file of 40 kB would give hours of one frame.
_LONGEST_STILL_S = 600
_UNSPECIFIED_COLOUR = 2
_STANDARD_DEFINITION_LINES = 576
_EXTREME_PIXEL_SHAPE = 4


class _Stored(NamedTuple):
    """A decoded frame as it lies in the file."""

    frame: VideoFrame
    pixel_shape: Fraction
    """Width of a pixel over its height."""


_Timed: TypeAlias = tuple[Fraction, Fraction, _Stored]
"""Time shown, time its showing ends (seconds), frame."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What the header of a film says."""

    width_px: int
    """As shown: upright, with square pixels."""
    height_px: int
    frame_rate: Fraction
    """The file's own average, frames a second."""
    duration_s: float
    """0 when the file does not say."""
    num_frames: int
    """Frames at 25 a second, by the stated duration; `count_pictures` gives the exact number."""
    has_audio: bool


def probe_video(path: Path) -> VideoInfo:
    """Reads a film's size, rate and length; decodes its first frame only.

    Raises:
        InputError: The file cannot be read or has no picture.
    """
    with open_media(path) as container:
        stream = _video_stream(container, path)
        first = next(decode(container, stream, path), None)
        if not isinstance(first, VideoFrame):
            raise InputError(f"{path} has a video stream without any frame; give another film")
        width, height = _shown_size(_Stored(first, _pixel_shape(stream)), None)
        if _orientation(first).transposed:
            width, height = height, width
        if stream.duration is not None:
            duration = Fraction(stream.duration) * stream.time_base
        else:
            duration = Fraction(container.duration or 0, av.time_base)
        return VideoInfo(
            width_px=width,
            height_px=height,
            frame_rate=Fraction(stream.average_rate or stream.guessed_rate or FRAME_RATE),
            duration_s=float(duration),
            num_frames=max(1, count_frames_between(Fraction(0), duration)),
            has_audio=bool(real_streams(container, "audio")),
        )


def read_frames(
    path: Path, start_s: float = 0.0, end_s: float | None = None, max_side_px: int | None = None
) -> Iterator[Picture]:
    """Streams a film's frames at exactly 25 a second, each grid time taking the frame nearest in time.

    Second 0 is where the file's picture or sound begins, whichever is earlier, so frames and `read_waveform`
    keep step. Rotation, mirroring and oblong pixels are applied. Every array is contiguous and the caller's
    own. Errors are raised when the first frame is asked for.

    Args:
        path: A film; a single picture counts as a film of one frame.
        start_s: Time of the first frame, in seconds.
        end_s: Where to stop, in seconds; None is the end.
        max_side_px: Larger frames are reduced until the longer side has this many pixels.

    Raises:
        InputError: The file cannot be read, has no picture, ends before `start_s`, or stands still for ten minutes.
    """
    check_range(start_s, end_s)
    start, end = Fraction(start_s), None if end_s is None else Fraction(end_s)
    last: tuple[_Stored, Picture] | None = None
    reformatter = VideoReformatter()  # a frame's own would set up a scaler, with its threads, for every frame
    with ExitStack() as stack:
        timed = _plausible(_timed_frames(path, start, stack), path, start, end)
        for stored in resample_nearest(timed, start, end):
            if last is None or stored is not last[0]:
                last = stored, _to_picture(stored, max_side_px, reformatter)
                yield last[1]
            else:
                # A repeated frame is a copy, so that drawing on one does not draw on the other.
                yield last[1].copy()
    if last is None:
        raise InputError(f"{path} has no picture at {start_s:g} s; it ends earlier")


def count_pictures(path: Path, start_s: float = 0.0, end_s: float | None = None) -> int:
    """Counts the frames that `read_frames` would give, without decoding them.

    Raises:
        InputError: The file cannot be read or has no picture.
    """
    check_range(start_s, end_s)
    with open_media(path) as container:
        stream = _video_stream(container, path)
        origin, spare = time_origin(container), _frame_duration(stream)
        last = Fraction(0)
        for packet in container.demux(stream):
            if packet.pts is None or packet.is_discard:
                continue
            length = packet.duration * stream.time_base if packet.duration else spare
            last = max(last, packet.pts * stream.time_base - origin + length)
    if end_s is not None:
        last = min(last, Fraction(end_s))
    start = Fraction(start_s)
    return max(count_frames_between(start, last), int(last > start))


def _video_stream(container: InputContainer, path: Path) -> Any:
    streams = real_streams(container, "video")
    if not streams:
        raise InputError(f"{path} has no picture; give a film or a photo")
    stream = streams[0]
    if stream.width * stream.height > MAX_PIXELS:
        raise InputError(
            f"{path} is {stream.width} x {stream.height}, over {MAX_PIXELS // 1_000_000} million pixels; "
            "save it smaller"
        )
    stream.thread_type = "AUTO"
    return stream


def _timed_frames(path: Path, start: Fraction, stack: ExitStack) -> Iterator[_Timed]:
    """Frames with the times between which they are shown, from the last one at or before `start` on."""
    frames = _decoded(path, start if start > _SEEK_FROM_S else None, stack)
    first = next(frames, None)
    if start > _SEEK_FROM_S and (first is None or first[0] > start):
        # Some files cannot seek, or land too late: read those from their beginning.
        frames = _decoded(path, None, stack)
        first = next(frames, None)
    if first is None:
        raise InputError(f"{path} holds no frame that can be decoded; check that it plays, or convert it")
    return chain([first], frames)


def _plausible(frames: Iterator[_Timed], path: Path, start: Fraction, end: Fraction | None) -> Iterator[_Timed]:
    """Refuses what stands still for too long between `start` and `end`, and shortens such a last frame."""
    last = start
    for shown, until, stored in frames:
        still_s = (shown if end is None else min(shown, end)) - last
        if still_s > _LONGEST_STILL_S:
            raise InputError(
                f"{path} stands still for {float(still_s):.0f} s from {float(last):.2f} s on, as if its clock were "
                f"damaged; at most {_LONGEST_STILL_S} s are taken: convert it, or cut that part out"
            )
        last = max(last, shown)
        yield shown, min(until, last + _LONGEST_STILL_S), stored


def _decoded(path: Path, seek: Fraction | None, stack: ExitStack) -> Iterator[_Timed]:
    container = stack.enter_context(open_media(path))
    stream = _video_stream(container, path)
    origin, spare, pixel_shape = time_origin(container), _frame_duration(stream), _pixel_shape(stream)
    if seek is not None:
        try:
            container.seek(nearest_index(seek + origin, 1 / stream.time_base), stream=stream)
        except FFmpegError:
            return
    following = Fraction(0)
    for frame in decode(container, stream, path):
        if not isinstance(frame, VideoFrame):
            continue
        if frame.pts is not None:
            shown = frame.pts * Fraction(frame.time_base or 0) - origin
        elif seek is None:
            shown = following
        else:
            return
        following = shown + (frame.duration * Fraction(frame.time_base or 0) if frame.duration else spare)
        yield shown, following, _Stored(frame, pixel_shape)


def _frame_duration(stream: Any) -> Fraction:
    return 1 / Fraction(stream.average_rate or stream.guessed_rate or FRAME_RATE)


def _pixel_shape(stream: Any) -> Fraction:
    shape = Fraction(stream.sample_aspect_ratio or 1)
    return shape if Fraction(1, _EXTREME_PIXEL_SHAPE) <= shape <= _EXTREME_PIXEL_SHAPE else Fraction(1)


def _orientation(frame: VideoFrame) -> Orientation:
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return UPRIGHT if matrix is None else from_display_matrix(bytes(matrix))


def _shown_size(stored: _Stored, max_side_px: int | None) -> tuple[int, int]:
    """Width and height with square pixels, before the frame is turned upright."""
    width, height = stored.frame.width * stored.pixel_shape, Fraction(stored.frame.height)
    scale = min(Fraction(1), max_side_px / max(width, height)) if max_side_px else Fraction(1)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _to_picture(stored: _Stored, max_side_px: int | None, reformatter: VideoReformatter) -> Picture:
    frame = stored.frame
    width, height = _shown_size(stored, max_side_px)
    is_untagged_hd = frame.colorspace == _UNSPECIFIED_COLOUR and frame.height > _STANDARD_DEFINITION_LINES
    pixels = reformatter.reformat(
        frame,
        width=width,
        height=height,
        format="rgb24",
        # As players do: what says nothing is BT.601 when small and BT.709 when large.
        src_colorspace=Colorspace.ITU709 if is_untagged_hd else None,
        interpolation=Interpolation.AREA if width < frame.width else Interpolation.BICUBIC,
        threads=1,
    )
    return turn_upright(pixels.to_ndarray(), _orientation(frame))
