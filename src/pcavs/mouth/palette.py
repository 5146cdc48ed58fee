"""Restricts the colours between the lips to those of the photograph: hues between its teeth and its lips.

The generator is small and averages the light of its training pictures: in dark faces the mouths that it paints are
greenish, in pale ones purple. `MouthPalette` keeps the brightness of a colour, within limits, and replaces its hue.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.regions import INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from pcavs.types import Mesh, Picture

LUMA_WEIGHTS: Final = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in luma (ITU-R BT.601)."""

_TEETH_RGB: Final = np.array([1.05, 1.0, 0.88], np.float32)
"""RGB of teeth in white light, divided by their luma. Chosen by eye."""
_DEFAULT_LIPS_RGB: Final = np.array([190.0, 120, 115])
"""Colour that is assumed where the landmarks enclose no pixels: a mid pink."""
_WHITE_PERCENTILE: Final = 85
"""Percentile of luma inside the eyes that stands for their whites; higher ones are highlights."""
_PUPIL_PERCENTILE: Final = 3
"""Percentile of luma inside the eyes that stands for pupils and lashes."""
_MIN_WHITE_LUMA: Final = 60.0
"""Luma of the eyes' whites is taken as at least this, 0 to 255, so that closed eyes and dim photographs do not make
the mouth black. Tuned by hand; not measured."""
_CLOSED_EYES_BLACK: Final = 0.65
"""If the darkest pixels inside the eyes are lighter than this share of the whites, they are eyelids: the eyes are
closed. Tuned by hand; not measured."""
_DEFAULT_BLACK: Final = 0.22
"""Luma of pupils that is assumed for closed eyes, as a share of the whites'. Tuned by hand; not measured."""

_MAX_REDNESS: Final = 1.2
"""Largest redness, where teeth are 0 and lips are 1: the mouth may be a little redder than the lips. Chosen by eye."""
_MIN_DARK_REDNESS: Final = 0.8
"""Smallest redness of black, so that the back of the mouth is not grey; it falls to 0 as luma rises. Chosen by eye."""
_DARK_BELOW: Final = 0.85
"""Luma, as a share of the whites', at which that lower limit reaches 0. Chosen by eye."""
_MAX_BRIGHTNESS: Final = 1.35
"""Share of the whites' luma that the brightest teeth approach. Measured on 27 people who smile for a photograph: their
upper quartile is 1.36."""
_KNEE, _ABOVE_KNEE = 0.8, 0.2
"""Shares of the largest luma, with sum 1. Up to the first, luma is not changed; above, it approaches the sum
exponentially. Chosen by eye."""
_MIN_HUE_DISTANCE: Final = 1e-6
"""Smallest squared distance between the hues of teeth and lips; it keeps a division from 0."""


class MouthPalette:
    """Maps colours to hues between those of the teeth and the lips of one photograph."""

    def __init__(self, mesh: Mesh, picture: Picture, tint: tuple[float, float, float] | None = None) -> None:
        """Measures the light on the eyes' whites and the colour of the lips.

        Args:
            mesh: Landmarks in pixels of the crop.
            picture: The crop.
            tint: Hue of the teeth as a factor on that of the eyes' whites; None assumes an average.
        """
        eyes = np.concatenate([_pixels_inside(mesh, picture, outline) for outline in (LEFT_EYE, RIGHT_EYE)])
        luma = eyes @ LUMA_WEIGHTS
        white = float(np.percentile(luma, _WHITE_PERCENTILE)) if len(luma) else 0.0
        self.white = max(white, _MIN_WHITE_LUMA)
        """Luma of the eyes' whites, 0 to 255."""
        black = float(np.percentile(luma, _PUPIL_PERCENTILE)) / self.white if len(luma) else 1.0
        self.black = black if black < _CLOSED_EYES_BLACK else _DEFAULT_BLACK
        """Luma of the pupils as a share of the whites': the black level of the photograph."""
        bright = eyes[luma >= white] if len(luma) else np.full((1, 3), 255.0)
        self.white_hue = _hue(bright)
        """RGB of the eyes' whites, divided by their luma."""
        teeth = (self.white_hue + _TEETH_RGB) / 2
        if tint is not None:
            teeth = self.white_hue * tint
            teeth = teeth / float(teeth @ LUMA_WEIGHTS)
        lips = _hue(_pixels_inside(mesh, picture, OUTER_LIPS, INNER_LIPS))
        self._teeth, self._teeth_to_lips = teeth, lips - teeth

    def match(self, colours: Float32[np.ndarray, "rows columns 3"]) -> Float32[np.ndarray, "rows columns 3"]:
        """Replaces the hue of colours by the nearest between teeth and lips, and compresses luma near its maximum.

        Args:
            colours: RGB, 0 to 255.
        """
        luma = np.maximum(colours @ LUMA_WEIGHTS, 1)
        redness = self.redness(colours)
        darkness = (1 - luma / (_DARK_BELOW * self.white)).clip(0, 1)
        redness = np.clip(redness, _MIN_DARK_REDNESS * darkness, _MAX_REDNESS)
        hue = self._teeth + redness[..., None] * self._teeth_to_lips
        most = _MAX_BRIGHTNESS * self.white
        compressed = most * (1 - _ABOVE_KNEE * np.exp(-(luma / most - _KNEE) / _ABOVE_KNEE))
        luma = np.where(luma > _KNEE * most, compressed, luma)
        return (hue * luma[..., None]).clip(0, 255).astype(np.float32)

    def redness(
        self, colours: Float32[np.ndarray, "rows columns 3"]
    ) -> Float32[np.ndarray, "rows columns"] | Float[np.ndarray, "rows columns"]:
        """Returns where the hue of each colour lies between those of the teeth, 0, and of the lips, 1.

        Args:
            colours: RGB, 0 to 255.
        """
        luma = np.maximum(colours @ LUMA_WEIGHTS, 1)
        length = max(float(self._teeth_to_lips @ self._teeth_to_lips), _MIN_HUE_DISTANCE)
        return ((colours / luma[..., None] - self._teeth) @ self._teeth_to_lips) / length


def _pixels_inside(
    mesh: Mesh, picture: Picture, outline: Sequence[int], hole: Sequence[int] | None = None
) -> Float32[np.ndarray, "pixels 3"]:
    """Returns the pixels inside one polygon of the mesh, without those inside another."""
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(mesh[list(outline), :2]).astype(np.int32)], 1)
    if hole is not None:
        cv2.fillPoly(mask, [np.rint(mesh[list(hole), :2]).astype(np.int32)], 0)
    return picture[mask > 0].astype(np.float32)


def _hue(pixels: Float32[np.ndarray, "pixels 3"]) -> Float[np.ndarray, "3"]:
    """Returns the median colour divided by its luma; without pixels, that of `_DEFAULT_LIPS_RGB`."""
    colour = np.median(pixels, axis=0) if len(pixels) else _DEFAULT_LIPS_RGB
    return colour / max(float(colour @ LUMA_WEIGHTS), 1.0)
