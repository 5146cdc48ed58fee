"""Reads size, bit depth and orientation of a PNG, JPEG or WebP file from its header, without decoding pixels.

`pcavs.media.image` uses it to refuse images that would take too much memory before it decodes them.
"""

import dataclasses
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Literal

from pcavs.media.orientation import EXIF_ORIENTATIONS, UPRIGHT, Orientation

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS: Final = {0: 1, 2: 3, 3: 4, 4: 4, 6: 4}
"""Channels that OpenCV decodes each PNG colour type to; a palette (type 3) may hold transparency."""
_EXIF_ORIENTATION_TAG: Final = 0x0112
_EXIF_MAX_BYTES: Final = 1 << 20
"""Bytes of EXIF data that are read; the orientation lies within the first hundred or so."""
_JPEG_SIZE_MARKERS: Final = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers (SOF0 to SOF15), whose segment states the size; the three excluded ones mean other things."""
_JPEG_PROGRESSIVE_MARKERS: Final = {0xC2, 0xC6, 0xCA, 0xCE}
_JPEG_EXIF_MARKER: Final = 0xE1
_JPEG_BARE_MARKERS: Final = {0x01, *range(0xD0, 0xD9)}
"""Markers without a length and a body."""
_JPEG_END_MARKERS: Final = {0xD9, 0xDA}
"""End of image and start of scan: no size follows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """What an image file states about itself; width and height are as stored, before `orientation` is applied."""

    kind: Literal["PNG", "JPEG", "WebP"]
    width: int
    height: int
    bytes_per_pixel: int
    """Memory for each pixel while the image is decoded."""
    orientation: Orientation = UPRIGHT
    is_progressive: bool = False


def read_header(path: Path) -> ImageHeader | None:
    """Reads an image's header; returns None if the file is not PNG, JPEG or WebP.

    Raises:
        OSError: The file cannot be opened.
        ValueError: The header is damaged; `struct.error` and `IndexError` mean the same.
    """
    with path.open("rb") as file:
        start = file.read(16)
        if start.startswith(_PNG_SIGNATURE):
            return _read_png(file)
        if start.startswith(b"\xff\xd8\xff"):
            return _read_jpeg(file)
        if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
            return _read_webp(file)
    return None


def _read_png(file: BinaryIO) -> ImageHeader:
    file.seek(len(_PNG_SIGNATURE))
    fields: tuple[int, ...] = ()
    orientation = UPRIGHT
    while head := file.read(8):
        length, name = struct.unpack(">I4s", head)
        if name == b"IHDR":
            fields = struct.unpack(">IIBB", file.read(10))
            file.seek(length - 10 + 4, 1)
        elif name == b"eXIf":
            orientation = _exif_orientation(file.read(min(length, _EXIF_MAX_BYTES)))
            break
        elif name == b"IEND":
            break
        else:
            file.seek(length + 4, 1)
    if not fields:
        raise ValueError("no IHDR")
    width, height, depth, colour = fields
    channels = _PNG_CHANNELS.get(colour, 4)
    return ImageHeader(
        kind="PNG",
        width=width,
        height=height,
        bytes_per_pixel=channels * (2 if depth > 8 else 1),
        orientation=orientation,
    )


def _read_jpeg(file: BinaryIO) -> ImageHeader:
    orientation = UPRIGHT
    for marker, length in _jpeg_segments(file):
        if marker in _JPEG_SIZE_MARKERS:
            _, height, width, channels = struct.unpack(">BHHB", file.read(6))
            return ImageHeader(
                kind="JPEG",
                width=width,
                height=height,
                # Coefficients of a progressive file are 16 bits wide.
                bytes_per_pixel=channels * 2 if marker in _JPEG_PROGRESSIVE_MARKERS else 3,
                orientation=orientation,
                is_progressive=marker in _JPEG_PROGRESSIVE_MARKERS,
            )
        if marker == _JPEG_EXIF_MARKER and orientation == UPRIGHT:
            body = file.read(length)
            if body.startswith(b"Exif\0\0"):
                orientation = _exif_orientation(body[6:])
    raise ValueError("no size marker")


def _jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yields the marker and body length of each segment, with the file positioned at the start of the body."""
    following = 2
    while True:
        file.seek(following)
        prefix, marker = struct.unpack(">BB", file.read(2))
        if prefix != 0xFF or marker in _JPEG_END_MARKERS:
            return
        if marker == 0xFF or marker in _JPEG_BARE_MARKERS:
            following += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack(">H", file.read(2))
        following += 2 + length
        yield marker, length - 2


def _read_webp(file: BinaryIO) -> ImageHeader:
    file.seek(12)
    size: tuple[int, int] | None = None
    orientation = UPRIGHT
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        following = file.tell() + length + length % 2
        if name == b"EXIF":
            body = file.read(min(length, _EXIF_MAX_BYTES))
            orientation = _exif_orientation(body.removeprefix(b"Exif\0\0"))
        elif size is None:
            size = _webp_size(name, file.read(10))
        file.seek(following)
    if size is None:
        raise ValueError("no size in this WebP")
    return ImageHeader(kind="WebP", width=size[0], height=size[1], bytes_per_pixel=4, orientation=orientation)


def _webp_size(name: bytes, body: bytes) -> tuple[int, int] | None:
    """Reads width and height from the body of a VP8X, VP8L or VP8 chunk; None for other chunks.

    Reference: RFC 9649, sections 2.5 to 2.7.
    """
    if name == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if name == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if name == b"VP8 ":
        width, height = struct.unpack("<HH", body[6:10])
        return width & 0x3FFF, height & 0x3FFF
    return None


def _exif_orientation(exif: bytes) -> Orientation:
    """Reads the orientation tag of the first directory; upright if there is none or the data are damaged."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return UPRIGHT
    try:
        (directory,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, directory)
        for entry in range(count):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, directory + 2 + 12 * entry)
            if tag == _EXIF_ORIENTATION_TAG:
                return EXIF_ORIENTATIONS.get(value, UPRIGHT)
    except struct.error:
        pass
    return UPRIGHT
