"""A photo, or the first frame of a film, becomes one RGB picture of bounded size."""

import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Shaped

from pcavs.errors import InputError
from pcavs.media.imageheader import ImageHeader, read_header
from pcavs.media.orientation import turn_upright
from pcavs.media.video import read_frames
from pcavs.types import Picture

MAX_DECODED_BYTES = 400_000_000
"""A picture that would need more memory than this while it is decoded is refused."""

MID_GREY = 128
"""What shines through where a picture is transparent."""

_STRIP_ROWS = 256
_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def read_picture(path: Path, max_side_px: int = 2048) -> Picture:
    """Reads a photo as it is meant to be seen, or the first frame of a film.

    EXIF orientation is applied, transparent pixels are laid over mid grey (128), greyscale becomes RGB, 16-bit
    becomes 8-bit. The size is read from the header first, and large JPEGs are decoded at a half, a quarter or
    an eighth, so that no picture takes more than some 400 MB while it is read.

    Args:
        path: PNG, JPEG, WebP, or anything that `read_frames` takes.
        max_side_px: Larger pictures are reduced until the longer side has this many pixels.

    Raises:
        InputError: The file cannot be read, is damaged, or is too large to decode.
    """
    try:
        header = read_header(path)
    except (struct.error, ValueError, IndexError) as error:
        raise _damaged(path) from error
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check the name and its rights") from error
    if header is None:
        return _first_frame(path, max_side_px)
    reduction = _choose_reduction(header, max_side_px)
    _check_size(path, header, reduction)
    pixels = _decode(path, header, reduction)
    # Colours under transparent pixels must not bleed when pixels are averaged, so those are laid over grey first.
    # Anything else is reduced first, which spares a second large array.
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
    """The largest of the reductions which JPEG decodes at no cost that leaves enough pixels."""
    if header.kind != "JPEG":
        return 1
    fitting = [factor for factor in _REDUCED if max(header.width, header.height) // factor >= max_side_px]
    return max(fitting, default=1)


def _check_size(path: Path, header: ImageHeader, reduction: int) -> None:
    stored = header.width * header.height * header.bytes_per_pixel
    if header.bytes_per_pixel % 4 == 0 and header.kind != "JPEG":
        # An RGB copy beside the transparent picture.
        stored += header.width * header.height * 3
    # A progressive JPEG is held whole, as coefficients, whatever the size wanted.
    needed = stored if header.is_progressive else stored // reduction**2
    if needed > MAX_DECODED_BYTES:
        raise InputError(
            f"{path} is {header.width} x {header.height} pixels and would take {needed / 1e9:.1f} GB to decode; "
            "save it smaller, 4096 pixels a side are plenty"
        )


def _decode(path: Path, header: ImageHeader, reduction: int) -> Shaped[np.ndarray, "height width *channels"]:
    # The orientation is applied at the end, alike for all formats; "unchanged" ignores it by itself.
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
    """OpenCV's grey, BGR or BGRA of 8 or 16 bits to RGB, strip by strip to keep the wider numbers between small."""
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
    return InputError(f"{path} begins like a picture but cannot be decoded; open it elsewhere and save it again")
