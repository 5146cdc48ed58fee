"""Colour spaces of photographs: embedded ICC profiles, and spaces that a file names in another way."""

import io
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms

from pcavs.media.colour import ADOBE_RGB, ColourTags
from pcavs.types import Picture

_MODES: Final = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
"""Pillow's mode for each colour space of profiles that is converted."""
_CHANNELS: Final = {"RGB": 3, "GRAY": 1, "CMYK": 4}
_EXIF_DIRECTORY: Final = 0x8769
_INTEROPERABILITY_DIRECTORY: Final = 0xA005
_INTEROPERABILITY_INDEX: Final = 1
_EXIF_COLOUR_SPACE: Final = 0xA001
_EXIF_ADOBE_RGB: Final = 2
"""Value of the colour space tag that some cameras write for Adobe RGB; Exif itself has 1 and 65535 alone."""
_NCLX: Final = b"colrnclx"
"""Type of the box of AVIF and HEIC files that names a colour space by H.273's codes, and its kind."""
_SEARCHED_BYTES: Final = 1 << 20
"""Bytes of a file in which that box is searched: it lies before the compressed pixels."""


class Profile:
    """An ICC profile, with which pixels are converted to sRGB."""

    def __init__(self, profile: ImageCms.ImageCmsProfile, space: str) -> None:
        """Builds the conversion; `read` does so from bytes.

        Raises:
            ImageCms.PyCMSError: Little CMS cannot use the profile.
        """
        self.space = space
        """RGB, GRAY or CMYK."""
        self._transform: Any = ImageCms.buildTransform(
            profile, ImageCms.createProfile("sRGB"), _MODES[space], "RGB", ImageCms.Intent.PERCEPTUAL
        )

    @classmethod
    def read(cls, data: bytes | None) -> "Profile | None":
        """Reads an embedded profile; None if there is none, if it is sRGB's, or if it cannot be used."""
        if not data:
            return None
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
            facts: Any = profile.profile
            space = str(facts.xcolor_space).strip()
            if space not in _MODES or "sRGB" in ImageCms.getProfileDescription(profile):
                return None
            return cls(profile, space)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            return None

    def to_srgb(self, colours: UInt8[np.ndarray, "height width channels"]) -> Picture:
        """Converts pixels to sRGB.

        Pixels of another kind than the profile's, such as grey ones with a profile of RGB, are converted without it.
        """
        num_channels = colours.shape[2]
        if num_channels == 1 and self.space == "RGB":
            colours = np.repeat(colours, 3, axis=2)
        elif self.space == "GRAY" and num_channels == 3:
            colours = colours[:, :, 1:2]  # OpenCV decodes grey JPEG to three equal channels
        elif num_channels != _CHANNELS[self.space]:
            return np.broadcast_to(colours, (*colours.shape[:2], 3)) if num_channels == 1 else colours
        pixels = colours[:, :, 0] if self.space == "GRAY" else colours
        return np.array(ImageCms.applyTransform(Image.fromarray(np.ascontiguousarray(pixels)), self._transform))


def tags_of(path: Path, image: Image.Image) -> ColourTags:
    """Returns the colour space that a photograph without a profile names; unspecified if it names none.

    HEIC and AVIF name it by codes of H.273, cameras name Adobe RGB by Exif (DCF 2.0, option file).
    """
    if image.format == "HEIF":
        nclx: Any = image.info.get("nclx_profile") or {}
        return ColourTags(int(nclx.get("color_primaries", 2)), int(nclx.get("transfer_characteristics", 2)))
    if image.format == "AVIF":
        return _avif_tags(path)
    exif = image.getexif()
    stated = exif.get_ifd(_EXIF_DIRECTORY).get(_EXIF_COLOUR_SPACE)
    index: Any = exif.get_ifd(_INTEROPERABILITY_DIRECTORY).get(_INTEROPERABILITY_INDEX, "")
    if stated == _EXIF_ADOBE_RGB or str(index).startswith("R03"):
        return ColourTags(primaries=ADOBE_RGB)
    return ColourTags()


def _avif_tags(path: Path) -> ColourTags:
    with path.open("rb") as file:
        head = file.read(_SEARCHED_BYTES)
    place = head.find(_NCLX)
    if place < 0 or len(head) < place + len(_NCLX) + 4:
        return ColourTags()
    return ColourTags(*struct.unpack_from(">HH", head, place + len(_NCLX)))
