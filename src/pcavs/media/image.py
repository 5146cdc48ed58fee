"""Reads a photograph, or the first frame of a video, as one RGB picture of bounded size."""

import struct
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from jaxtyping import Shaped

from pcavs.errors import InputError
from pcavs.media.image_header import ImageHeader, read_header
from pcavs.media.orientation import turn_upright
from pcavs.media.video import read_frames
from pcavs.types import Picture

MAX_DECODED_BYTES: Final = 400_000_000
"""Memory that decoding an image may take; larger images are refused. 130 million RGB pixels fit. Tuned by hand."""

MID_GREY: Final = 128
"""Grey level of the background onto which transparent pixels are composited."""

_STRIP_ROWS: Final = 256
"""Rows that are converted to RGB at once, which bounds the memory for wider integers."""
_REDUCED: Final = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
"""OpenCV's flag for each factor by which JPEG can be reduced while it is decoded."""


def read_picture(path: Path, max_side_px: int = 2048) -> Picture:
    """Reads a photograph, or the first frame of a video, as 8-bit RGB.

    The EXIF orientation is applied, transparent pixels are composited onto mid grey (128), greyscale becomes RGB and
    16 bits become 8. The size is read from the header first; large JPEGs are decoded at a half, a quarter or an eighth
    of it. No image takes more than about 400 MB while it is read.

    Args:
        path: PNG, JPEG, WebP, or anything that `read_frames` takes.
        max_side_px: Larger images are reduced by area averaging until the longer side has this length.

    Raises:
        InputError: The file cannot be read, is damaged, or is too large to decode.
    """
    try:
        header = read_header(path)
    except (struct.error, ValueError, IndexError) as error:
        raise _damaged(path) from error
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check its name and permissions") from error
    if header is None:
        return _first_frame(path, max_side_px)
    reduction = _choose_reduction(header, max_side_px)
    _check_size(path, header, reduction)
    pixels = _decode(path, header, reduction)
    # Transparent pixels are composited before averaging, because their hidden colours would bleed into neighbours.
    # Other images are reduced first, which avoids a second large array.
    has_alpha = pixels.ndim == 3 and pixels.shape[2] == 4
    small = _shrink(_to_rgb(pixels), max_side_px) if has_alpha else _to_rgb(_shrink(pixels, max_side_px))
    return turn_upright(small, header.orientation)


def _first_frame(path: Path, max_side_px: int) -> Picture:
    frames: Any = read_frames(path, max_side_px=max_side_px)
    try:
        return next(frames)
    finally:
        frames.close()


def _choose_reduction(header: ImageHeader, max_side_px: int) -> int:
    """Returns the largest factor by which a JPEG can be reduced while decoding with `max_side_px` pixels left."""
    if header.kind != "JPEG":
        return 1
    fitting = [factor for factor in _REDUCED if max(header.width, header.height) // factor >= max_side_px]
    return max(fitting, default=1)


def _check_size(path: Path, header: ImageHeader, reduction: int) -> None:
    stored = header.width * header.height * header.bytes_per_pixel
    if header.bytes_per_pixel % 4 == 0 and header.kind != "JPEG":
        # The composited RGB copy exists beside the image with transparency.
        stored += header.width * header.height * 3
    # The decoder of a progressive JPEG holds all coefficients, whatever the reduction.
    needed = stored if header.is_progressive else stored // reduction**2
    if needed > MAX_DECODED_BYTES:
        raise InputError(
            f"{path} is {header.width} x {header.height} pixels and would take {needed / 1e9:.1f} GB to decode; "
            "save it smaller, 4096 pixels a side are plenty"
        )


def _decode(path: Path, header: ImageHeader, reduction: int) -> Shaped[np.ndarray, "height width *channels"]:
    # Orientation is applied later, in the same way for all formats; IMREAD_UNCHANGED never applies it.
    is_jpeg = header.kind == "JPEG"
    flags = _REDUCED[reduction] | cv2.IMREAD_IGNORE_ORIENTATION if is_jpeg else cv2.IMREAD_UNCHANGED
    try:
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), flags)
    except cv2.error as error:
        raise _damaged(path) from error
    if pixels is None:
        raise _damaged(path)
    return pixels


def _to_rgb(pixels: Shaped[np.ndarray, "height width *channels"]) -> Picture:
    """Converts OpenCV's grey, BGR or BGRA of 8 or 16 bits to 8-bit RGB, strip by strip to save memory."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    picture = np.empty((*pixels.shape[:2], 3), np.uint8)
    for top in range(0, len(pixels), _STRIP_ROWS):
        strip = pixels[top : top + _STRIP_ROWS]
        if strip.dtype == np.uint16:
            strip = ((strip.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        if strip.shape[2] == 4:
            strip = _over_grey(strip)
        picture[top : top + _STRIP_ROWS] = strip[:, :, ::-1]
    return picture


def _over_grey(strip: Shaped[np.ndarray, "rows width 4"]) -> Picture:
    """Composites BGRA onto mid grey; returns BGR."""
    alpha = strip[:, :, 3:].astype(np.uint16)
    mixed = strip[:, :, :3] * alpha + MID_GREY * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def _shrink(
    pixels: Shaped[np.ndarray, "height width *channels"], max_side_px: int
) -> Shaped[np.ndarray, "rows columns *channels"]:
    height, width = pixels.shape[:2]
    scale = max_side_px / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is a damaged image; open it in another program and save it again")
