"""Reads photographs as 8-bit sRGB of bounded size.

PNG, JPEG and WebP are decoded by OpenCV; HEIC, AVIF, TIFF, BMP, JPEG 2000 and CMYK JPEG by Pillow. Colours of other
spaces are converted to sRGB: embedded profiles by Little CMS, spaces that a file names by `pcavs.media.colour`.
"""

import functools
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8
from pi_heif import register_heif_opener
from PIL import Image, UnidentifiedImageError

from pcavs.errors import InputError
from pcavs.media.colour import ColourTags, to_srgb
from pcavs.media.colour_profile import Profile, tags_of
from pcavs.media.image_header import ImageHeader, read_header
from pcavs.media.orientation import EXIF_ORIENTATIONS, UPRIGHT, Orientation, turn_upright
from pcavs.types import Picture

MAX_DECODED_BYTES: Final = 400_000_000
"""Memory that decoding an image may take; larger images are refused. 130 million RGB pixels fit. Tuned by hand."""

MAX_STILL_PX: Final = 8192
"""Longer side to which photographs are reduced at most, which bounds the memory that they take. Tuned by hand."""
MID_GREY: Final = 128
"""Grey level of the background onto which transparent pixels are composited."""
_OPAQUE: Final = 255
"""Alpha of an opaque pixel."""

_STRIP_ROWS: Final = 256
"""Rows that are converted to RGB at once, which bounds the memory for wider integers."""
_REDUCED: Final = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
"""OpenCV's flag for each factor by which JPEG can be reduced while it is decoded."""

_PILLOW_FORMATS: Final = ("HEIF", "AVIF", "TIFF", "BMP", "DIB", "JPEG2000", "PPM")
"""Formats of photographs that Pillow decodes; what is in none of them and no PNG, JPEG or WebP is read as video."""
_PROFILED_FORMATS: Final = (*_PILLOW_FORMATS, "JPEG", "PNG", "WEBP")
_EXIF_ORIENTATION: Final = 0x0112
_TURNING_BOXES: Final = (b"irot", b"imir")
"""Boxes of HEIC files that rotate and mirror."""
_HEADER_BYTES: Final = 1 << 20
"""Bytes of a file in which they are searched: they lie before the compressed pixels."""
_TIFF_SUBFILE_TYPE: Final = 254
"""TIFF tag whose lowest bit says that the image is a reduced version of another one in the file."""
_DNG_VERSION: Final = 50706
"""TIFF tag of raw photographs."""
_DEEP_GREY: Final = ("I;16", "I;16B", "I;16L", "I;16N", "I")
"""Pillow's modes of grey levels of 16 bits."""


_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _without_warnings(read: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Decorates a reader: Pillow's warnings of large or slightly damaged pictures are not shown to users.

    Sizes are checked here, against the memory that they take, and what is too damaged is refused.
    """

    @functools.wraps(read)
    def quiet(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")
            return read(*args, **kwargs)

    return quiet


class _Pixels(NamedTuple):
    """A decoded photograph before its colours are converted."""

    pixels: Shaped[np.ndarray, "height width *channels"]
    """Grey, RGB, RGBA or CMYK, as stored; 8 or 16 bits."""
    orientation: Orientation
    profile: Profile | None
    """The embedded colour profile, if there is one that is not sRGB's."""
    tags: ColourTags
    """The colour space that the file names."""


@_without_warnings
def is_still(path: Path) -> bool:
    """Tells whether a file is a photograph; other files, animations included, are read as video.

    Raises:
        InputError: The file cannot be opened, or its header is damaged.
    """
    if _header(path) is not None:
        return True
    image = _open_image(path, _PILLOW_FORMATS)
    if image is None:
        return False
    with image:
        # Several pictures in a HEIC or TIFF file are variants or pages; AVIF sequences are films.
        return image.format != "AVIF" or getattr(image, "n_frames", 1) < 2


@_without_warnings
def read_still(path: Path, max_side_px: int = 2048) -> Picture:
    """Reads a photograph as 8-bit sRGB.

    The orientation is applied, transparent pixels are composited onto mid grey (128), greyscale becomes RGB and 16 bits
    become 8. The size is read from the header first; large JPEGs are decoded at a half, a quarter or an eighth of it.
    No image takes more than about 400 MB while it is decoded.

    Args:
        path: A file for which `is_still` is true.
        max_side_px: Larger images are reduced by area averaging until the longer side has this length.

    Raises:
        InputError: The file cannot be read, is damaged, or is too large to decode.
    """
    return _finish(_read_stored(path, max_side_px), max_side_px)


@_without_warnings
def read_alpha(path: Path, max_side_px: int = 2048) -> UInt8[np.ndarray, "height width"] | None:
    """Reads the opacity of a photograph's pixels, 0 to 255; None if all are opaque.

    Args:
        path: A file for which `is_still` is true.
        max_side_px: As for `read_still`, whose picture has the same size.

    Raises:
        InputError: The file cannot be read, is damaged, or is too large to decode.
    """
    stored = _read_stored(path, max_side_px)
    if not _has_alpha(stored):
        return None
    alpha = stored.pixels[:, :, 3]
    alpha = alpha if alpha.dtype == np.uint8 else (alpha >> 8).astype(np.uint8)
    if alpha.min() == _OPAQUE:
        return None
    return turn_upright(_shrink(np.ascontiguousarray(alpha), max_side_px), stored.orientation)


def _read_stored(path: Path, max_side_px: int) -> _Pixels:
    header = _header(path)
    try:
        image = _open_image(path, _PROFILED_FORMATS)
    except InputError:
        if header is None:
            raise
        image = None  # Pillow finds it too large, but a JPEG may be decoded at an eighth; its profile stays unknown
    if header is None or (image is not None and image.mode == "CMYK"):
        if image is None:
            raise _damaged(path)
        with image:
            return _decode_with_pillow(path, image)
    reduction = _choose_reduction(header, max_side_px)
    _check_size(path, header, reduction)
    profile, tags = (None, ColourTags()) if image is None else _colours_of(path, image)
    return _Pixels(_decode(path, header, reduction), header.orientation, profile, tags)


@_without_warnings
def still_size(path: Path) -> tuple[int, int]:
    """Returns width and height of a photograph as stored, from its header.

    Raises:
        InputError: The file cannot be read.
    """
    header = _header(path)
    if header is not None:
        return header.width, header.height
    image = _open_image(path, _PILLOW_FORMATS)
    if image is None:
        raise _damaged(path)
    with image:
        return image.size


def _header(path: Path) -> ImageHeader | None:
    try:
        return read_header(path)
    except (struct.error, ValueError, IndexError) as error:
        raise _damaged(path) from error
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check its name and permissions") from error


def _open_image(path: Path, formats: tuple[str, ...]) -> Image.Image | None:
    """Opens a picture without decoding it; None if it is in none of these formats, or too damaged to tell.

    Raises:
        InputError: It has more pixels than Pillow opens.
    """
    Image.init()
    if "HEIF" not in Image.OPEN:
        register_heif_opener()
    try:
        return Image.open(path, formats=formats)
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} has over 178 million pixels; save it smaller, 4096 a side are plenty") from error
    except UnidentifiedImageError:
        return None
    except (OSError, ValueError, SyntaxError, EOFError, RuntimeError, struct.error):
        # Pillow's readers raise any of these for damaged headers.
        return None


def _decode_with_pillow(path: Path, image: Image.Image) -> _Pixels:
    _refuse_previews(path, image)
    channels = len(image.getbands()) * (2 if image.mode in _DEEP_GREY else 1)
    _check_memory(path, image.size, image.width * image.height * channels)
    try:
        image.load()
        orientation = _orientation_of(path, image)
        profile, tags = _colours_of(path, image)
        return _Pixels(_pixels_of(image, profile), orientation, profile, tags)
    except MemoryError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, RuntimeError, struct.error, TypeError) as error:
        raise _damaged(path) from error


def _orientation_of(path: Path, image: Image.Image) -> Orientation:
    """Returns how to turn the pixels of a picture that Pillow decoded.

    The library of HEIC applies the orientation of the container. Some programs write that of Exif alone, which counts
    if the container states none.
    """
    stated: Any = image.getexif().get(_EXIF_ORIENTATION, 1)
    if image.format == "HEIF":
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
        stated = 1 if any(box in head for box in _TURNING_BOXES) else image.info.get("original_orientation")
    return EXIF_ORIENTATIONS.get(stated, UPRIGHT)


def _refuse_previews(path: Path, image: Image.Image) -> None:
    tags: Any = getattr(image, "tag_v2", {})
    if _DNG_VERSION in tags or tags.get(_TIFF_SUBFILE_TYPE, 0) & 1:
        raise InputError(f"{path} is a raw photograph, of which only a preview could be read; export it as JPEG or PNG")


def _pixels_of(image: Image.Image, profile: Profile | None) -> Shaped[np.ndarray, "height width *channels"]:
    """Returns a decoded image as an array of grey, RGB, RGBA or, if its profile is needed to convert it, CMYK."""
    if image.mode in _DEEP_GREY:
        return np.asarray(image).clip(0, 65535).astype(np.uint16)
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.mode == "CMYK" and profile is not None and profile.space == "CMYK":
        return np.asarray(image)
    if image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode != "RGBA" and image.has_transparency_data:
        image = image.convert("RGBA")
    return np.asarray(image)


def _colours_of(path: Path, image: Image.Image) -> tuple[Profile | None, ColourTags]:
    """Returns what is known about the colours of a picture: its profile, or else the space that it names."""
    profile = Profile.read(image.info.get("icc_profile"))
    if profile is not None:
        return profile, ColourTags()
    try:
        return None, tags_of(path, image)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, struct.error):
        return None, ColourTags()  # damaged Exif data


def _finish(stored: _Pixels, max_side_px: int) -> Picture:
    pixels = stored.pixels
    # Transparent pixels are composited before averaging, because their hidden colours would bleed into neighbours.
    # Other images are reduced first, which avoids a second large array.
    if not _has_alpha(stored):
        pixels = _shrink(pixels, max_side_px)
    picture = _shrink(_to_rgb(pixels, stored), max_side_px)
    return picture if stored.orientation == UPRIGHT else turn_upright(picture, stored.orientation)


def _has_alpha(stored: _Pixels) -> bool:
    return stored.pixels.ndim == 3 and stored.pixels.shape[2] == 4 and not _is_cmyk(stored)


def _is_cmyk(stored: _Pixels) -> bool:
    return stored.profile is not None and stored.profile.space == "CMYK" and stored.pixels.ndim == 3


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
    _check_memory(path, (header.width, header.height), needed)


def _check_memory(path: Path, size: tuple[int, int], num_bytes: int) -> None:
    if num_bytes > MAX_DECODED_BYTES:
        raise InputError(
            f"{path} is {size[0]} x {size[1]} pixels and would take {num_bytes / 1e9:.1f} GB to decode; "
            "save it smaller, 4096 pixels a side are plenty"
        )


def _decode(path: Path, header: ImageHeader, reduction: int) -> Shaped[np.ndarray, "height width *channels"]:
    """Decodes PNG, JPEG or WebP to grey, RGB or RGBA."""
    # Orientation is applied later, in the same way for all formats; IMREAD_UNCHANGED never applies it.
    is_jpeg = header.kind == "JPEG"
    flags = _REDUCED[reduction] | cv2.IMREAD_IGNORE_ORIENTATION if is_jpeg else cv2.IMREAD_UNCHANGED
    try:
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), flags)
    except cv2.error as error:
        raise _damaged(path) from error
    if pixels is None:
        raise _damaged(path)
    if pixels.ndim == 2:
        return pixels
    # OpenCV's BGR becomes RGB in place, which needs no second large array.
    code = cv2.COLOR_BGR2RGB if pixels.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
    return cv2.cvtColor(pixels, code, dst=pixels)


def _to_rgb(pixels: Shaped[np.ndarray, "height width *channels"], stored: _Pixels) -> Picture:
    """Converts decoded pixels to 8-bit sRGB, strip by strip to save memory.

    Three channels of 8 bits are converted in place.
    """
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    in_place = pixels.shape[2] == 3 and pixels.dtype == np.uint8 and pixels.flags.writeable
    picture = pixels if in_place else np.empty((*pixels.shape[:2], 3), np.uint8)
    cmyk = _is_cmyk(stored)
    for top in range(0, len(pixels), _STRIP_ROWS):
        strip = pixels[top : top + _STRIP_ROWS]
        if strip.dtype == np.uint16:
            strip = ((strip.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
        colours = strip if cmyk or strip.shape[2] < 4 else np.ascontiguousarray(strip[:, :, :3])
        if stored.profile is not None:
            colours = stored.profile.to_srgb(colours)
        elif colours.shape[2] == 3:
            colours = to_srgb(colours, stored.tags)
        if strip.shape[2] == 4 and not cmyk:
            colours = over_grey(colours, strip[:, :, 3])
        picture[top : top + _STRIP_ROWS] = colours
    return picture


def over_grey(colours: Picture, alpha: Shaped[np.ndarray, "height width"]) -> Picture:
    """Composites RGB onto mid grey.

    Args:
        colours: RGB, not multiplied by alpha.
        alpha: Opacity, 0 to 255.
    """
    weight = alpha[:, :, None].astype(np.uint16)
    mixed = colours * weight + MID_GREY * (255 - weight)
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
