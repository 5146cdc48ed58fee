"""Decodes videos to RGB frames at exactly 25 a second, whatever their own frame rate."""

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from jaxtyping import UInt8

from pcavs.errors import InputError
from pcavs.media.colour import ColourTags, to_srgb
from pcavs.media.orientation import UPRIGHT, Orientation, from_display_matrix, turn_upright
from pcavs.media.side_data import display_matrix
from pcavs.media.source import decodable_streams, decode_frames, default_stream, open_media, time_origin
from pcavs.media.still import MAX_STILL_PX, is_still, over_grey, read_still
from pcavs.media.timeline import check_range, count_frames_between, nearest_index, resample_nearest
from pcavs.spec import FRAME_RATE
from pcavs.types import Picture

MAX_PIXELS: Final = 100_000_000
"""Pixels of the largest frame that is decoded; a larger one would take gigabytes. Tuned by hand."""
_LARGE_PIXELS: Final = 1920 * 1088
"""Pixels of a frame above which few are decoded at once: each takes 12 MB at 4K."""
_LARGE_THREADS: Final = 4
"""Threads that decode such a video; each holds a frame."""

_SEEK_FROM_S: Final = 5
"""Start time from which the reader seeks; for an earlier one it decodes from the beginning, which cannot miss a frame.
Tuned by hand."""
_MAX_STILL_S: Final = 600
"""Longest time between two frames that counts as a still; a longer one is a damaged timestamp, with which a file of
40 kB would give hours of one frame. Tuned by hand."""
_UNSPECIFIED_COLOUR: Final = 2
"""FFmpeg's code of a colour space that the file does not state."""
_STANDARD_DEFINITION_LINES: Final = 576
"""Height up to which such a video is taken as BT.601, a higher one as BT.709, as players do."""
_DOLBY_COLOURS: Final = {14: "ICtCp", 15: "IPT (Dolby Vision profile 5)"}
"""FFmpeg's codes of colour spaces that cannot be converted to RGB here."""
_RGB_FORMATS: Final = {
    (False, True): "rgb24",
    (False, False): "rgb48le",
    (True, True): "rgba",
    (True, False): "rgba64le",
}
"""Formats that frames are converted to: with an alpha channel or not, of sRGB or other colours."""
_MAX_PIXEL_ASPECT: Final = 4
"""Pixel aspect ratios beyond this, or below its inverse, are taken as damaged and replaced by 1. Tuned by hand."""


class _StoredFrame(NamedTuple):
    """A decoded frame before rotation, scaling and conversion to RGB."""

    frame: VideoFrame
    pixel_aspect: Fraction
    """Width of a pixel over its height."""


_TimedFrame: TypeAlias = tuple[Fraction, Fraction, _StoredFrame]
"""Time at which the frame is shown, time at which its display ends (both in seconds), and the frame."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """Size, rate and length of a video, as its header states them."""

    width_px: int
    """As shown: upright, with square pixels."""
    height_px: int
    """As shown."""
    frame_rate: Fraction
    """The file's own average, in frames a second."""
    duration_s: float
    """0 if the file does not state it."""
    num_frames: int
    """Frames at 25 a second, from the stated duration; `count_pictures` returns the exact number."""
    has_audio: bool


def probe_video(path: Path) -> VideoInfo:
    """Reads a video's size, rate and length; decodes only its first frame.

    Raises:
        InputError: The file cannot be read or has no video stream.
    """
    with open_media(path) as container:
        stream = _video_stream(container, path)
        first = next(decode_frames(container, stream, path), None)
        if not isinstance(first, VideoFrame):
            raise InputError(f"{path} has an empty video stream; give another video")
        width, height = _shown_size(_StoredFrame(first, _pixel_aspect(stream)), None)
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
            has_audio=bool(decodable_streams(container, "audio")),
        )


def read_frames(
    path: Path, start_s: float = 0.0, end_s: float | None = None, max_side_px: int | None = None
) -> Iterator[Picture]:
    """Streams a video's frames as RGB at exactly 25 a second; each output frame is the one nearest in time.

    Second 0 is where the file's picture or sound begins, whichever is earlier, so frames are in sync with
    `read_waveform`. Rotation and mirroring are applied, and oblong pixels become square. BT.2020 and P3 become sRGB,
    and high dynamic range (PQ, HLG) is mapped to it (`pcavs.media.colour`). Transparent pixels are composited onto mid
    grey, as those of photographs are. Each array is contiguous and may be changed by the caller. Errors are raised when
    the first frame is requested, not by the call.

    Args:
        path: A video; a still image counts as a video of one frame.
        start_s: Time of the first frame, in seconds.
        end_s: End of the range, in seconds; None is the end of the video.
        max_side_px: Larger frames are reduced until the longer side has this length; None keeps their size.

    Raises:
        InputError: The file cannot be read, has no video stream, ends before `start_s`, or shows one frame for more
            than ten minutes.
    """
    check_range(start_s, end_s)
    if is_still(path):
        if start_s >= 1 / FRAME_RATE:
            raise InputError(f"{path} has no picture at {start_s:g} s; it is a photograph")
        yield read_still(path, MAX_STILL_PX if max_side_px is None else max_side_px)
        return
    start, end = Fraction(start_s), None if end_s is None else Fraction(end_s)
    last: tuple[_StoredFrame, Picture] | None = None
    # One reformatter for the whole video: `VideoFrame.reformat` would set up a scaler and its threads every time.
    reformatter = VideoReformatter()
    with ExitStack() as stack:
        timed = _refuse_long_stills(_timed_frames(path, start, stack), path, start, end)
        for stored in resample_nearest(timed, start, end):
            if last is None or stored is not last[0]:
                last = stored, _to_picture(stored, max_side_px, reformatter)
                yield last[1]
            else:
                # A repeated frame is copied, so that the caller may change each of them.
                yield last[1].copy()
    if last is None:
        raise InputError(f"{path} has no picture at {start_s:g} s; it ends earlier")


def count_pictures(path: Path, start_s: float = 0.0, end_s: float | None = None) -> int:
    """Counts the frames that `read_frames` would return, from the timestamps alone.

    Raises:
        InputError: The file cannot be read or has no video stream.
    """
    check_range(start_s, end_s)
    if is_still(path):
        return 1
    with open_media(path) as container:
        stream = _video_stream(container, path)
        origin, usual = time_origin(container), _frame_duration(stream)
        last = Fraction(0)
        for packet in container.demux(stream):
            if packet.pts is None or packet.is_discard:
                continue
            length = packet.duration * stream.time_base if packet.duration else usual
            last = max(last, packet.pts * stream.time_base - origin + length)
    if end_s is not None:
        last = min(last, Fraction(end_s))
    start = Fraction(start_s)
    return max(count_frames_between(start, last), int(last > start))


def _video_stream(container: InputContainer, path: Path) -> Any:
    streams = decodable_streams(container, "video")
    if not streams:
        raise InputError(f"{path} has no picture; give a video or a photo")
    stream = streams[default_stream(streams)]
    if stream.width * stream.height > MAX_PIXELS:
        raise InputError(
            f"{path} is {stream.width} x {stream.height}, over {MAX_PIXELS // 1_000_000} million pixels; "
            "save it smaller"
        )
    stream.thread_type = "AUTO"
    if stream.width * stream.height > _LARGE_PIXELS:
        stream.codec_context.thread_count = _LARGE_THREADS
    return stream


def _timed_frames(path: Path, start: Fraction, stack: ExitStack) -> Iterator[_TimedFrame]:
    """Decodes frames with their times, beginning at or before `start`."""
    frames = _decode_from(path, start if start > _SEEK_FROM_S else None, stack)
    first = next(frames, None)
    if start > _SEEK_FROM_S and (first is None or first[0] > start):
        # Some files cannot seek, or the seek lands too late: read those from their beginning.
        frames = _decode_from(path, None, stack)
        first = next(frames, None)
    if first is None:
        raise InputError(f"{path} holds no frame that can be decoded; check that it plays, or convert it")
    return chain([first], frames)


def _refuse_long_stills(
    frames: Iterator[_TimedFrame], path: Path, start: Fraction, end: Fraction | None
) -> Iterator[_TimedFrame]:
    """Raises an `InputError` at a frame that is shown for too long within the range; shortens such a last frame."""
    last = start
    for shown, until, stored in frames:
        still_s = (shown if end is None else min(shown, end)) - last
        if still_s > _MAX_STILL_S:
            raise InputError(
                f"{path} shows one frame for {float(still_s):.0f} s from {float(last):.2f} s on, so its timestamps "
                f"seem damaged (at most {_MAX_STILL_S} s are accepted); convert it, or cut that part out"
            )
        last = max(last, shown)
        yield shown, min(until, last + _MAX_STILL_S), stored


def _decode_from(path: Path, seek: Fraction | None, stack: ExitStack) -> Iterator[_TimedFrame]:
    """Decodes frames from the keyframe before the time `seek`, or from the beginning; none if it cannot seek there."""
    container = stack.enter_context(open_media(path))
    stream = _video_stream(container, path)
    origin, usual, pixel_aspect = time_origin(container), _frame_duration(stream), _pixel_aspect(stream)
    if seek is not None:
        try:
            container.seek(nearest_index(seek + origin, 1 / stream.time_base), stream=stream)
        except FFmpegError:
            return
    following = Fraction(0)
    for frame in decode_frames(container, stream, path):
        if not isinstance(frame, VideoFrame):
            continue
        if frame.colorspace in _DOLBY_COLOURS:
            name = _DOLBY_COLOURS[frame.colorspace]
            raise InputError(f"{path} has colours in {name}, which cannot be read; convert it to HDR10 or to SDR")
        if frame.pts is not None:
            shown = frame.pts * Fraction(frame.time_base or 0) - origin
        elif seek is None:
            shown = following
        else:
            return  # without a timestamp the frame's time after a seek is unknown
        following = shown + (frame.duration * Fraction(frame.time_base or 0) if frame.duration else usual)
        yield shown, following, _StoredFrame(frame, pixel_aspect)


def _frame_duration(stream: Any) -> Fraction:
    """Returns the average duration of a frame in seconds, for frames that state none."""
    return 1 / Fraction(stream.average_rate or stream.guessed_rate or FRAME_RATE)


def _pixel_aspect(stream: Any) -> Fraction:
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    return aspect if Fraction(1, _MAX_PIXEL_ASPECT) <= aspect <= _MAX_PIXEL_ASPECT else Fraction(1)


def _orientation(frame: VideoFrame) -> Orientation:
    matrix = display_matrix(frame)
    return UPRIGHT if matrix is None else from_display_matrix(matrix)


def _shown_size(stored: _StoredFrame, max_side_px: int | None) -> tuple[int, int]:
    """Returns width and height with square pixels, before the frame is turned upright."""
    width, height = stored.frame.width * stored.pixel_aspect, Fraction(stored.frame.height)
    scale = min(Fraction(1), max_side_px / max(width, height)) if max_side_px else Fraction(1)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _to_picture(stored: _StoredFrame, max_side_px: int | None, reformatter: VideoReformatter) -> Picture:
    frame = stored.frame
    size = _shown_size(stored, max_side_px)
    has_alpha = any(component.is_alpha for component in frame.format.components)
    # Transparent pixels are composited before they are averaged, because their hidden colours would bleed.
    width, height = (frame.width, frame.height) if has_alpha else size
    tags = ColourTags(int(frame.color_primaries), int(frame.color_trc))
    is_untagged_hd = frame.colorspace == _UNSPECIFIED_COLOUR and frame.height > _STANDARD_DEFINITION_LINES
    pixels = reformatter.reformat(
        frame,
        width=width,
        height=height,
        # Sixteen bits keep the shadows of HDR, whose codes are far apart in 8 bits.
        format=_RGB_FORMATS[has_alpha, tags.is_srgb],
        # None lets FFmpeg choose: the stated colour space, or BT.601.
        src_colorspace=Colorspace.ITU709 if is_untagged_hd else None,
        interpolation=Interpolation.AREA if width < frame.width else Interpolation.BICUBIC,
        threads=1,
    )
    stored_pixels = pixels.to_ndarray()
    picture = to_srgb(stored_pixels[..., :3], tags)
    if has_alpha:
        alpha = stored_pixels[..., 3].astype(np.uint16)
        alpha = alpha if stored_pixels.dtype == np.uint8 else alpha >> 8
        picture = _resized(over_grey(picture, alpha), size)
    return turn_upright(picture, _orientation(frame))


def _resized(picture: Picture, size: tuple[int, int]) -> UInt8[np.ndarray, "rows columns 3"]:
    """Resizes a picture to a width and a height; where it becomes smaller, pixels are averaged."""
    height, width = picture.shape[:2]
    if size == (width, height):
        return picture
    method = cv2.INTER_AREA if size[0] < width else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=method), np.uint8)
