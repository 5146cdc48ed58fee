"""Cuts the person out of a photograph, so that frames can be shown before another background.

A frame of the cut-out person is a *layer*: RGBA with colours multiplied by opacity, which can be warped and blended
without the colours of the old background. Where the outline is soft, a pixel is a mixture of person and background, and
the person's own colour is estimated once for each photograph.
"""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Float32

from pcavs.head.background import BackgroundShare, Coordinates, Matte, background_share
from pcavs.head.grid import WIDE
from pcavs.types import Cutout, Layer, Picture

FLAT_LEVEL: Final = 128
"""Grey level of the background before which frames are rendered until it is removed."""
_RADII_CELLS: Final = (9.0, 1.0)
"""Radii of the two averages from which the person's colour is estimated: first of the surroundings, then of what lies
beside the pixel. Chosen by eye."""
_MIN_WEIGHT: Final = 1e-3
"""Smallest weight that a sum is divided by; it keeps a division from 0."""
_PURITY: Final = 3
"""Power of a pixel's share in the averages: mixed pixels count little in the colour of either. Chosen by eye."""
_MIN_ALPHA: Final = 4
"""Opacity, 0 to 255, below which a layer's rounded colours say too little, and those beside them are taken."""
_FILL_STEPS: Final = 6
"""Times that the reach of the colours with which transparent pixels are filled is doubled."""


class CutOut:
    """Separates the person in warped photographs from the background."""

    def __init__(self, photo: Picture, person: Matte) -> None:
        """Estimates the person's own colours.

        Args:
            photo: The padded photograph, square (`head.grid`).
            person: Share of person in each of its pixels, 0 to 1.
        """
        share = background_share(person)
        alpha = 1 - share.astype(np.float32)[..., None] / 255
        own = photo_colours(photo, alpha) * alpha
        # What a pixel holds of the background; it is warped as the photograph is, and then subtracted.
        behind = (photo - own).clip(0, 255).round().astype(np.uint8)
        self._behind = np.dstack([behind, share])

    def flatten(self, frame: Picture, columns: Coordinates, rows: Coordinates) -> tuple[Picture, BackgroundShare]:
        """Replaces the background of a warped photograph by mid grey.

        Args:
            frame: The warped photograph.
            columns: x of the pixel of the padded photograph that each pixel of the frame shows.
            rows: y of the same.

        Returns:
            The frame before a grey background, and the share of background in each pixel, 0 to 255.
        """
        warped = cv2.remap(self._behind, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        colours, share = cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB), np.asarray(cv2.extractChannel(warped, 3), np.uint8)
        change = cv2.subtract(_flat(share), colours, dtype=cv2.CV_16S)
        return np.asarray(cv2.add(frame, change, dtype=cv2.CV_8U), np.uint8), share


def lift(frame: Picture, share: BackgroundShare) -> Layer:
    """Removes the grey background of a frame: returns the person alone.

    Args:
        frame: A frame before mid grey.
        share: Share of background in each pixel, 0 to 255.
    """
    alpha = 255 - share
    person = np.minimum(cv2.subtract(frame, _flat(share)), alpha[..., None])
    return np.dstack([person, alpha])


def over(layer: Layer, background: Picture) -> Picture:
    """Puts a person before a background of the same size."""
    alpha = layer[..., 3:].astype(np.uint16)
    behind = (background * (255 - alpha) + 127) // 255
    return np.minimum(layer[..., :3] + behind, 255).astype(np.uint8)


def straighten(layer: Layer) -> Cutout:
    """Divides the colours of a layer by its opacity, as files store them.

    Transparent pixels get the colours of the person beside them: encoders and players average neighbouring pixels, and
    would otherwise bring a dark rim into the outline.
    """
    small = layer.astype(np.float32)
    levels = [small]
    for _ in range(_FILL_STEPS):
        size = max(1, small.shape[1] // 2), max(1, small.shape[0] // 2)
        small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.float32)
        levels.append(small)
    for level in reversed(levels[:-1]):
        # Colours of the coarser level count where the finer one is transparent.
        wide = cv2.resize(small, (level.shape[1], level.shape[0]), interpolation=cv2.INTER_LINEAR)
        small = level + wide * (1 - level[..., 3:] / 255)
    known = np.where(layer[..., 3:] >= _MIN_ALPHA, levels[0], small)
    colours = known[..., :3] * (255 / np.maximum(known[..., 3:], _MIN_WEIGHT))
    return np.dstack([colours.clip(0, 255).round().astype(np.uint8), layer[..., 3]])


def photo_colours(photo: Picture, alpha: Float32[np.ndarray, "side side 1"]) -> Float32[np.ndarray, "side side 3"]:
    """Estimates the person's own colour in each pixel of a photograph, 0 to 255.

    Reference: Forte, Approximate fast foreground colour estimation, ICIP 2021.

    Args:
        photo: The padded photograph.
        alpha: Share of person in each pixel, 0 to 1.
    """
    picture = photo.astype(np.float32)
    person = behind = picture
    for radius in _RADII_CELLS:
        side = 2 * max(1, round(radius * len(photo) / WIDE)) + 1
        person, behind = _blend(picture, person, behind, alpha, side)
    return person


def _blend(
    picture: np.ndarray, person: np.ndarray, behind: np.ndarray, alpha: np.ndarray, side_px: int
) -> tuple[Float32[np.ndarray, "side side 3"], Float32[np.ndarray, "side side 3"]]:
    """Averages the colours of person and background nearby, and corrects the person's by what the pixel shows."""

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (side_px, side_px)).reshape(*values.shape[:2], -1)

    own, other = alpha**_PURITY, (1 - alpha) ** _PURITY
    person_mean = mean(person * own) / np.maximum(mean(own), _MIN_WEIGHT)
    behind_mean = mean(behind * other) / np.maximum(mean(other), _MIN_WEIGHT)
    rest = picture - alpha * person_mean - (1 - alpha) * behind_mean
    return (person_mean + alpha * rest).clip(0, 255), behind_mean


def _flat(share: BackgroundShare) -> Picture:
    """Returns what a grey background adds to each pixel."""
    level = cv2.convertScaleAbs(share, alpha=FLAT_LEVEL / 255)
    return np.asarray(cv2.merge([level] * 3), np.uint8)
