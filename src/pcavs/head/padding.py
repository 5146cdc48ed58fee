"""Pads a photograph that is smaller than the frame: its edge is replicated and blurred, more with distance.

Replication alone shows stripes below the neck of tightly cropped portraits. Only rendered frames use this padding: the
networks get the replicated edge, as in training.
"""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool

from pcavs.types import CropTransform, Picture

_BLURS_CELLS: Final = (0.7, 1.5, 3.0, 6.0)
"""Standard deviations of Gaussian blurs, applied one after the other. Chosen by eye: one large blur makes a fog around
the neck."""
_FULL_EFFECT: Final = 3.0
"""Distance over which a blur grows to its full effect, as a multiple of its standard deviation. Chosen by eye."""
_DELAY: Final = 0.25
"""Distance from the edge at which a blur begins, as a share of the distance over which it grows. Chosen by eye."""
_MIN_SIGMA_PX: Final = 2.0
"""Before a blur the picture is reduced until the standard deviation is this, for speed. Tuned by hand; not measured."""

Mask = Bool[np.ndarray, "rows columns"]
"""True for pixels that belong to the photograph."""


def photograph_mask(picture: Picture, transform: CropTransform, side_px: int) -> Mask:
    """Returns the mask of a crop's pixels that lie inside the picture that it was cut from.

    Args:
        picture: The whole picture.
        transform: From pixels of the picture to pixels of the crop.
        side_px: Side of the crop.
    """
    inside = np.ones(picture.shape[:2], np.uint8)
    flags = cv2.INTER_NEAREST
    return cv2.warpAffine(inside, transform, (side_px, side_px), flags=flags, borderMode=cv2.BORDER_CONSTANT) > 0


def blur_padding(crop: Picture, inside: Mask, cell_px: float) -> Picture:
    """Blurs the replicated edge around a photograph; the photograph's own pixels stay as they are, to the bit.

    Args:
        crop: The crop, with replicated edges outside the photograph.
        inside: Mask of the pixels that belong to the photograph.
        cell_px: Pixels per cell of the grid.
    """
    if inside.all() or not inside.any():
        return crop
    distance = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5) / np.float32(cell_px)
    blurred = crop
    for sigma in _BLURS_CELLS:
        share = np.asarray((distance / (_FULL_EFFECT * sigma) - _DELAY).clip(0, 1), np.float32)
        blurred = cv2.blendLinear(_blur(blurred, sigma * cell_px), blurred, share, 1 - share)
    return np.where(inside[..., None], crop, blurred)


def _blur(picture: Picture, sigma_px: float) -> Picture:
    """Approximates a wide Gaussian blur: reduces the picture, blurs it, and enlarges it again."""
    height, width = picture.shape[:2]
    step = max(1.0, sigma_px / _MIN_SIGMA_PX)
    size = max(1, round(width / step)), max(1, round(height / step))
    small = cv2.GaussianBlur(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), (0, 0), sigma_px / step)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
