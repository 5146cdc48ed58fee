"""Colours between the lips that belong to the photograph: its light on teeth, its lips' red on all that is soft."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.regions import INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from pcavs.types import Mesh, Picture

_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)
_TEETH: Final = np.array([1.05, 1.0, 0.88], np.float32)
"""RGB of teeth in white light, of luma 1."""
_WHITE_PERCENTILE: Final = 85
"""Of luma in the eyes: whites, but no highlights."""
_LEAST_WHITE: Final = 60.0
_REDDEST: Final = 1.2
"""Shares of the lips' red: what is painted may be a little redder than the lips."""
_DARK_RED: Final = 0.8
"""Least share of it in what is nearly black: a shut-off mouth is no grey cave."""
_DARK: Final = 0.85
"""Share of the white's luma at which that begins."""
_BRIGHTEST: Final = 1.35
"""Share of the eye white's luma that teeth approach; half of those who smile for a photograph show as much."""
_DARKEST_PERCENTILE: Final = 3
"""Of luma in the eyes: pupils and lashes."""
_CLOSED_EYES, _USUAL_BLACK = 0.65, 0.22
"""Shares of the white's luma: above the one that is no pupil any more, but a lid; then the other is taken."""


class MouthColours:
    """Draws painted colours to those between teeth and lips as one photograph shows them.

    Small networks mix the light of all photographs: dark faces get greenish mouths, pale ones purple ones. How light or
    dark a place is, is left to the talker, as far as the eyes' whites allow.
    """

    def __init__(self, mesh: Mesh, picture: Picture) -> None:
        """Takes the light from the eyes' whites and the red from the lips.

        Args:
            mesh: In pixels of the crop.
            picture: The crop.
        """
        eyes = np.concatenate([_inside(mesh, picture, outline) for outline in (LEFT_EYE, RIGHT_EYE)])
        luma = eyes @ _LUMA
        white = float(np.percentile(luma, _WHITE_PERCENTILE)) if len(luma) else 0.0
        self.white = max(white, _LEAST_WHITE)
        """Luma of the eyes' whites."""
        black = float(np.percentile(luma, _DARKEST_PERCENTILE)) / self.white if len(luma) else 1.0
        self.black = black if black < _CLOSED_EYES else _USUAL_BLACK
        """Luma of the darkest that the eyes show, as a share of the white's: how grey black is in this picture."""
        bright = eyes[luma >= white] if len(luma) else np.full((1, 3), 255.0)
        teeth = (_hue(bright) + _TEETH) / 2
        lips = _hue(_inside(mesh, picture, OUTER_LIPS, INNER_LIPS))
        self._teeth, self._way = teeth, lips - teeth

    def __call__(self, colours: Float32[np.ndarray, "rows columns 3"]) -> Float32[np.ndarray, "rows columns 3"]:
        """Gives the colours, RGB from 0 to 255."""
        luma = np.maximum(colours @ _LUMA, 1)
        share = ((colours / luma[..., None] - self._teeth) @ self._way) / max(float(self._way @ self._way), 1e-6)
        dark = (1 - luma / (_DARK * self.white)).clip(0, 1)
        share = np.clip(share, _DARK_RED * dark, _REDDEST)
        hue = self._teeth + share[..., None] * self._way
        most = _BRIGHTEST * self.white
        luma = np.where(luma > 0.8 * most, most * (1 - 0.2 * np.exp(-(luma / most - 0.8) / 0.2)), luma)
        return (hue * luma[..., None]).clip(0, 255).astype(np.float32)


def _inside(
    mesh: Mesh, picture: Picture, outline: Sequence[int], hole: Sequence[int] | None = None
) -> Float32[np.ndarray, "pixels 3"]:
    """Pixels inside a polygon of the mesh, without those inside another."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(mesh[list(outline), :2]).astype(np.int32)], 1)
    if hole is not None:
        cv2.fillPoly(mask, [np.rint(mesh[list(hole), :2]).astype(np.int32)], 0)
    return picture[mask > 0].astype(np.float32)


def _hue(pixels: Float32[np.ndarray, "pixels 3"]) -> Float[np.ndarray, "3"]:
    """Median colour, at luma 1; a mid pink where there are no pixels."""
    colour = np.median(pixels, axis=0) if len(pixels) else np.array([190.0, 120, 115])
    return colour / max(float(colour @ _LUMA), 1.0)
