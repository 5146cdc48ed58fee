"""Converts pictures from RGB to the luma and chroma that encoders take: BT.709, limited range.

Of large frames only the part that differs from the frame before is converted. Frames of a head in a photograph differ
in the head alone; the result equals a whole conversion to the bit.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from jaxtyping import UInt8

from pcavs.spec import FRAME_RATE
from pcavs.types import Cutout, Picture

SMALL_PIXELS: Final = 512 * 512
"""Frames up to this size are converted whole, as those of a head alone: nearly all of it moves."""
LARGE_PIXELS: Final = 1920 * 1088
"""Larger frames are converted whole, since the last frame would be kept: 37 MB at 4K."""
_MOST_CHANGED: Final = 0.7
"""Share of a frame above which it is converted whole. Tuned by hand."""
_GUARD_PX: Final = 8
"""Rows around the part that are converted and left out: chroma is a mean over rows, which ends at the part's edge."""
_LINES: Final = 32
"""Rows, or columns, that are compared at once, so that a frame that differs everywhere is known soon. Even."""

_Plane = UInt8[np.ndarray, "rows columns"]
_Sides = tuple[int, int, int, int]
"""First row, row after the last, first column, column after the last."""


def rgb_frame(picture: Picture | Cutout, number: int) -> VideoFrame:
    """Returns a picture, RGB or RGBA, as frame `number` of a film."""
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24" if picture.shape[2] == 3 else "rgba")
    frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
    return frame


class WholeConverter:
    """Converts whole pictures."""

    def __init__(self, pixel_format: str) -> None:
        """Takes the format of the frames that the encoder takes."""
        self._pixel_format = pixel_format
        # One reformatter for the whole video: `VideoFrame.reformat` would set up a scaler and its threads every time.
        self._reformatter = VideoReformatter()

    def __call__(self, picture: Picture | Cutout, number: int) -> VideoFrame:
        """Converts frame `number` of a film, RGB or RGBA."""
        frame = rgb_frame(picture, number)
        converted = self._reformatter.reformat(
            frame,
            format=self._pixel_format,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        converted.pts, converted.time_base = frame.pts, frame.time_base
        return converted


class PartialConverter:
    """Converts to yuv420p what differs from the frame before, and copies the rest of that."""

    def __init__(self) -> None:
        self._whole, self._part = WholeConverter("yuv420p"), WholeConverter("yuv420p")
        self._last: tuple[Picture, VideoFrame] | None = None

    def __call__(self, picture: Picture, number: int) -> Iterator[VideoFrame]:
        """Converts frame `number` of a film, RGB; it must not be changed until the next one has been converted."""
        converted = self._update(picture, number) or self._whole(picture, number)
        self._last = picture, converted
        return iter([converted])

    def _update(self, picture: Picture, number: int) -> VideoFrame | None:
        """Converts a part; returns None if the frame has to be converted whole."""
        if self._last is None or np.may_share_memory(picture, self._last[0]):
            return None
        before, converted = self._last
        sides = _changed(picture, before)
        if sides is None:
            return None
        frame = VideoFrame(picture.shape[1], picture.shape[0], "yuv420p")
        frame.pts, frame.time_base = number, converted.time_base
        frame.colorspace, frame.color_range = converted.colorspace, converted.color_range
        for new, old in zip(_planes(frame), _planes(converted), strict=True):
            new[:] = old
        top, bottom, left, right = sides
        first, last = max(top - _GUARD_PX, 0), min(bottom + _GUARD_PX, len(picture))
        part = self._part(picture[first:last, left:right], number)
        for new, changed, step in zip(_planes(frame), _planes(part), (1, 2, 2), strict=True):
            kept = slice((top - first) // step, (bottom - first) // step)
            new[top // step : bottom // step, left // step : right // step] = changed[kept]
        return frame


def _planes(frame: VideoFrame) -> list[_Plane]:
    """Returns luma and both chroma planes, which can be written to."""
    return [
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]  # pyright: ignore
        for plane in frame.planes
    ]


def _changed(picture: Picture, before: Picture) -> _Sides | None:
    """Returns the sides, all even, of the part in which two pictures differ; None if it is most of the picture.

    Of equal pictures it is a part of 2 x 2 pixels.
    """
    height, width = picture.shape[:2]

    def differ(rows: slice, columns: slice = slice(None)) -> bool:
        return cv2.norm(picture[rows, columns], before[rows, columns], cv2.NORM_INF) > 0  # three times as fast as numpy

    top, bottom = 0, height
    while top < height and not differ(slice(top, top + _LINES)):
        top += _LINES
    if top >= height:
        return 0, 2, 0, 2
    while not differ(slice(max(bottom - _LINES, 0), bottom)):
        bottom -= _LINES
    rows = slice(top, bottom)
    if differ(rows, slice(_LINES)) and differ(rows, slice(width - _LINES, width)):
        return None
    left, right = 0, width
    while not differ(rows, slice(left, left + _LINES)):
        left += _LINES
    while not differ(rows, slice(max(right - _LINES, 0), right)):
        right -= _LINES
    return (top, bottom, left, right) if (bottom - top) * (right - left) <= _MOST_CHANGED * height * width else None
