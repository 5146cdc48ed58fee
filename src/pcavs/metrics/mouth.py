"""Pixel error in the area of the mouth."""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool

from pcavs.types import Mesh, Picture

MASK_MARGIN: Final = 0.06
"""Widening of the mouth's outline as a share of the picture's side (15 px of 256): takes in the skin next to the lips
that moves with them. Tuned by hand; not measured."""


def polygon_mask(
    mesh: Mesh, outline: tuple[int, ...], side_px: int, margin: float = MASK_MARGIN
) -> Bool[np.ndarray, "side side"]:
    """Fills a polygon of landmarks and dilates it.

    Args:
        mesh: Landmarks in pixels.
        outline: Indices of the polygon's corners, in order.
        side_px: Side of the square picture.
        margin: Dilation in each direction as a share of the side.
    """
    mask = np.zeros((side_px, side_px), np.uint8)
    cv2.fillPoly(mask, [mesh[list(outline), :2].round().astype(np.int32)], (1,))
    return cv2.dilate(mask, np.ones((round(margin * side_px) * 2 + 1,) * 2, np.uint8)).astype(bool)


def masked_error(made: Picture, truth: Picture, mask: Bool[np.ndarray, "side side"]) -> float:
    """Computes the mean absolute RGB difference inside a mask, in grey levels (0 to 255)."""
    return float(np.abs(made[mask].astype(np.float32) - truth[mask].astype(np.float32)).mean())
