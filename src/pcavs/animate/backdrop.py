"""What a film shows behind the person: a colour, a picture, or nothing (`--background`)."""

import dataclasses
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from PIL import ImageColor

from pcavs.animate.identity import Identity
from pcavs.animate.renderer import padded_photograph
from pcavs.errors import FaceError, InputError
from pcavs.face.align import crop_picture
from pcavs.head.background import Matte, Segmenter, find_matte, shows_face
from pcavs.head.cutout import over, straighten
from pcavs.head.grid import margin_px
from pcavs.media.image import read_picture
from pcavs.media.names import path_exists
from pcavs.media.still import MAX_STILL_PX, is_still
from pcavs.types import Cutout, Layer, Picture

TRANSPARENT: Final = "transparent"
"""The background of a film in which only the person is seen."""


class Colour(NamedTuple):
    """RGB, 0 to 255."""

    red: int
    green: int
    blue: int


def parse_colour(words: str) -> Colour | None:
    """Parses a colour as CSS writes it: a name, #rgb, #rrggbb, rgb(...), hsl(...); None for any other text.

    Raises:
        InputError: The colour is not opaque.
    """
    try:
        found = ImageColor.getrgb(words)
    except ValueError:
        return None
    if len(found) > 3:
        raise InputError(f"a background of {words} is not opaque; give a colour without alpha, or {TRANSPARENT}")
    return Colour(*found)


def background_picture(words: str | None) -> Path | None:
    """Returns the picture that a background names; None if it is a colour, or none at all."""
    if words is None or words == TRANSPARENT or parse_colour(words) is not None:
        return None
    return Path(words)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Backdrop:
    """What is behind the person, and what tells the person from the photograph's own background."""

    matte: Matte
    """Share of person in each pixel of the padded photograph."""
    picture: Picture | None
    """The background, of the film's size; None is transparent."""

    def show(self, layer: Layer) -> Picture | Cutout:
        """Returns a frame of the film: RGB before the background, or RGBA with straight alpha."""
        return straighten(layer) if self.picture is None else over(layer, self.picture)


def read_backdrop(words: str, identity: Identity, name: str, segmenter: Segmenter | None) -> Backdrop:
    """Reads a background, and tells the person from the photograph's own.

    Args:
        words: `transparent`, a colour, or the path of a picture, which is cut to the film's shape.
        identity: The person. If the photograph has transparent parts, its own alpha is taken.
        name: Name of the photograph in messages.
        segmenter: Segments people.

    Raises:
        InputError: The background is none of these, or the picture cannot be read.
        FaceError: The person is not found in the photograph.
    """
    side_px = identity.picture.shape[0]
    return Backdrop(picture=_read_picture(words, side_px), matte=_person_matte(identity, name, segmenter))


def _read_picture(words: str, side_px: int) -> Picture | None:
    if words == TRANSPARENT:
        return None
    colour = parse_colour(words)
    if colour is not None:
        return np.full((side_px, side_px, 3), colour, np.uint8)
    path = Path(words)
    if not path_exists(path) or not path.is_file():
        raise InputError(
            f"a background of {words} is no colour and no file; give a colour such as white or #204060, a picture, "
            f"or {TRANSPARENT}"
        )
    if not is_still(path):
        raise InputError(f"{path} is no picture, and a background is one; give a photograph or a colour")
    return cover(read_picture(path, MAX_STILL_PX), (side_px, side_px))


def cover(picture: Picture, size: tuple[int, int]) -> UInt8[np.ndarray, "rows columns 3"]:
    """Resizes a picture until it covers a width and height, and cuts off equally much on both sides."""
    height, width = picture.shape[:2]
    scale = max(size[0] / width, size[1] / height)
    shown = max(1, round(size[0] / scale)), max(1, round(size[1] / scale))
    left, top = (width - shown[0]) // 2, (height - shown[1]) // 2
    part = picture[top : top + shown[1], left : left + shown[0]]
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC), np.uint8)


def _person_matte(identity: Identity, name: str, segmenter: Segmenter | None) -> Matte:
    padding_px = margin_px(identity.picture.shape[0])
    matte = _own_matte(identity, padding_px)
    if matte is not None and shows_face(matte, identity.mesh, padding_px):
        return matte
    matte = None if segmenter is None else find_matte(padded_photograph(identity), identity.mesh, padding_px, segmenter)
    if matte is None:
        raise FaceError(
            f"the person in {name} cannot be told from the background; give another photograph, or a picture whose "
            "background is transparent"
        )
    return matte


def _own_matte(identity: Identity, padding_px: int) -> Float32[np.ndarray, "side side"] | None:
    """Returns the photograph's own alpha, around the crop as in `padded_photograph`; None if it has none."""
    source = identity.source_crop
    if source is None or source.alpha is None:
        return None
    side_px = identity.picture.shape[0] + 2 * padding_px
    grey = np.repeat(source.alpha[..., None], 3, axis=2)
    return crop_picture(grey, source.widened(padding_px).transform, side_px)[..., 0].astype(np.float32) / 255
