"""How well a made mouth follows the true one."""

import cv2
import numpy as np
from jaxtyping import Bool, Float

from pcavs.types import Mesh, Picture


def area_mask(
    mesh: Mesh, outline: tuple[int, ...], side_px: int, margin: float = 0.06
) -> Bool[np.ndarray, "side side"]:
    """Draws the area inside an outline of landmarks, widened.

    Args:
        mesh: Landmarks in pixels.
        outline: Indices of the polygon.
        side_px: Side of the picture.
        margin: Widening as a share of the side.
    """
    mask = np.zeros((side_px, side_px), np.uint8)
    cv2.fillPoly(mask, [mesh[list(outline), :2].round().astype(np.int32)], (1,))
    return cv2.dilate(mask, np.ones((round(margin * side_px) * 2 + 1,) * 2, np.uint8)).astype(bool)


def area_error(made: Picture, truth: Picture, mask: Bool[np.ndarray, "side side"]) -> float:
    """Mean absolute difference inside a mask, in grey levels (0 to 255)."""
    return float(np.abs(made[mask].astype(np.float32) - truth[mask].astype(np.float32)).mean())


def correlation(made: Float[np.ndarray, " time"], truth: Float[np.ndarray, " time"]) -> float:
    """Pearson correlation of two curves; 0 where one of them is constant (a frozen mouth follows nothing)."""
    made, truth = made - made.mean(), truth - truth.mean()
    size = float(np.sqrt((made**2).sum() * (truth**2).sum()))
    return float((made * truth).sum()) / size if size > 1e-9 else 0.0
