"""What a film shows beyond the edge of its identity picture: the edge's colours, ever softer."""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool

from pcavs.types import CropTransform, Picture

_BLURS: Final = (0.7, 1.5, 3.0, 6.0)
"""Cells, one after the other."""
_AWAY: Final = 3.0
"""How far from the edge, as a multiple of each blur, it takes full effect."""
_BEGIN: Final = 0.25
"""Share of its effect by which each blur begins later than at the edge."""
_SMALL_PX: Final = 2.0
"""Blurs are made in pictures so small that this is their sigma."""

Known = Bool[np.ndarray, "rows columns"]


def known_part(picture: Picture, transform: CropTransform, side_px: int) -> Known:
    """Says which pixels of a crop lie inside of the picture that it was cut from."""
    inside = np.ones(picture.shape[:2], np.uint8)
    flags = cv2.INTER_NEAREST
    return cv2.warpAffine(inside, transform, (side_px, side_px), flags=flags, borderMode=cv2.BORDER_CONSTANT) > 0


def softened(photo: Picture, known: Known, cell_px: float) -> Picture:
    """Takes the stripes out of a crop whose outside repeats the picture's edge; the picture itself stays as it is.

    Args:
        photo: The crop.
        known: What of it is picture.
        cell_px: Pixels a cell.
    """
    if known.all() or not known.any():
        return photo
    away = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 5) / np.float32(cell_px)
    soft = photo
    for sigma in _BLURS:
        share = np.asarray((away / (_AWAY * sigma) - _BEGIN).clip(0, 1), np.float32)
        soft = cv2.blendLinear(_blurred(soft, sigma * cell_px), soft, share, 1 - share)
    return np.where(known[..., None], photo, soft)


def _blurred(picture: Picture, sigma_px: float) -> Picture:
    height, width = picture.shape[:2]
    step = max(1.0, sigma_px / _SMALL_PX)
    size = max(1, round(width / step)), max(1, round(height / step))
    small = cv2.GaussianBlur(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), (0, 0), sigma_px / step)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
