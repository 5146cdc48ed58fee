"""Puts a talking head back into the picture, or the film, that it was cut from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from pcavs.animate.identity import Identity, SourceCrop
from pcavs.animate.options import FilmOptions
from pcavs.errors import InputError
from pcavs.face.align import Square, invert
from pcavs.media.image_header import read_header
from pcavs.media.timeline import frame_time_s
from pcavs.media.video import count_pictures, read_frames
from pcavs.numeric import smoothstep
from pcavs.types import CropTransform, Picture

_FEATHER: Final = 0.18
"""Share of the crop's side over which the head turns into the picture."""
_EDGE: Final = 0.02
"""Share of the side, next to the crop's edge, that is never used: there the crop repeats what it could not see."""


@runtime_checkable
class Backdrop(Protocol):
    """What is behind the head."""

    def frames(self, num_frames: int) -> Iterator[Picture]:
        """Gives the background of each frame of a film, all of one even size; not to be drawn on."""
        ...


class StillBackdrop:
    """A photograph."""

    def __init__(self, picture: Picture) -> None:
        """Takes the picture; an odd row or column at its end is left out, as films have none."""
        self._picture = evened(picture)

    def frames(self, num_frames: int) -> Iterator[Picture]:
        """Gives the same picture again and again."""
        for _ in range(num_frames):
            yield self._picture


class FilmBackdrop:
    """A film of the person, from its beginning."""

    def __init__(self, path: Path, largest_side_px: int) -> None:
        """Takes the film and the size to which it is reduced: that of its first frame as a picture."""
        self._path, self._largest_side_px = path, largest_side_px

    def check(self, num_frames: int) -> None:
        """Refuses a film that is over before the speech is.

        Raises:
            InputError: It is.
        """
        there = count_pictures(self._path, 0.0, None)
        if there < num_frames:
            raise InputError(
                f"{self._path} lasts {frame_time_s(there):.2f} s and the speech {frame_time_s(num_frames):.2f} s; "
                "give a longer film of the person, or an --end"
            )

    def frames(self, num_frames: int) -> Iterator[Picture]:
        """Reads the film's frames; the last is held where the stream has fewer than it said."""
        picture: Picture | None = None
        given = 0
        for picture in read_frames(self._path, 0.0, frame_time_s(num_frames), self._largest_side_px):
            given += 1
            yield evened(picture)
        assert picture is not None
        for _ in range(num_frames - given):
            yield evened(picture)


class Paster:
    """Lays crops over backgrounds: always at the same place, feathered, in the picture's own colours."""

    def __init__(self, source: SourceCrop, side_px: int, first: Square) -> None:
        """Prepares mask and colours.

        Args:
            source: Where the crop is from.
            side_px: Of the crop.
            first: What the talker makes of the identity picture with its own pose: where it differs in colour from
                the picture, around the seam, every frame does, and is corrected alike, so that nothing flickers.
        """
        picture = evened(source.picture)
        self._back = invert(source.transform)
        self._box = _seen(self._back, side_px, picture)
        self._mask = self._placed(feathered(side_px))[..., None]
        x0, y0, x1, y1 = self._box
        seam = ((self._mask > 0.02) & (self._mask < 0.98))[..., 0]
        difference = picture[y0:y1, x0:x1].astype(np.float32) - self._placed(first)
        self._offset = np.median(difference[seam], axis=0) if seam.any() else np.zeros(3, np.float32)

    def paste(self, crop: Square, background: Picture) -> Picture:
        """Gives the whole frame; outside of the mask it is the background to the last bit."""
        x0, y0, x1, y1 = self._box
        under = background[y0:y1, x0:x1].astype(np.float32)
        over = self._placed(crop) + self._offset
        frame = background.copy()
        frame[y0:y1, x0:x1] = np.rint((under + self._mask * (over - under)).clip(0, 255)).astype(np.uint8)
        return frame

    def _placed(self, crop: np.ndarray) -> Float32[np.ndarray, "rows columns *channels"]:
        """A crop, or its mask, in pixels of the picture."""
        x0, y0, x1, y1 = self._box
        there = self._back.copy()
        there[:, 2] -= (x0, y0)
        size = (x1 - x0, y1 - y0)
        placed = cv2.warpAffine(crop, there, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return placed.astype(np.float32)


def open_backdrop(options: FilmOptions, identity: Identity, num_frames: int) -> Backdrop | None:
    """Opens what the head is to be put back into; None where the film is the crop.

    Raises:
        InputError: The video of the person is too short.
    """
    if not options.full_frame:
        return None
    assert identity.source_crop is not None
    picture = identity.source_crop.picture
    if read_header(options.identity) is not None or count_pictures(options.identity, 0.0, None) < 2:
        return StillBackdrop(picture)
    film = FilmBackdrop(options.identity, max(picture.shape[:2]))
    film.check(num_frames)
    return film


def feathered(side_px: int) -> Float32[np.ndarray, "side side"]:
    """Mask of a square with round corners: 1 in the middle, softly 0 at the edges."""
    place = np.abs((np.arange(side_px) + 0.5) / side_px - 0.5) * 2
    # A superellipse follows the square and has no corners.
    distance = (place[:, None] ** 6 + place[None, :] ** 6) ** (1 / 6)
    return smoothstep((1 - 2 * _EDGE - distance) / (2 * _FEATHER)).astype(np.float32)


def evened(picture: Picture) -> UInt8[np.ndarray, "rows columns 3"]:
    """Leaves out an odd last row or column."""
    height, width = picture.shape[:2]
    return np.ascontiguousarray(picture[: height - height % 2, : width - width % 2])


def _seen(back: CropTransform, side_px: int, picture: Picture) -> tuple[int, int, int, int]:
    """Box of the crop in the picture."""
    corners = np.array([[-0.5, -0.5], [side_px, -0.5], [-0.5, side_px], [side_px, side_px]])
    places = corners @ back[:, :2].T + back[:, 2]
    height, width = picture.shape[:2]
    x0, y0 = np.clip(np.floor(places.min(axis=0)), 0, [width - 1, height - 1]).astype(int)
    x1, y1 = np.clip(np.ceil(places.max(axis=0)) + 1, [x0 + 1, y0 + 1], [width, height]).astype(int)
    return int(x0), int(y0), int(x1), int(y1)
