"""What stands between parted lips: two rows of teeth and the dark behind them, in the photograph's own light."""

import functools
from collections.abc import Callable
from importlib import resources
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32

from pcavs.face.pose import head_pose
from pcavs.head.grid import CELLS, MARGIN, crop_cells
from pcavs.mouth.colour import MouthColours
from pcavs.numeric import smoothstep
from pcavs.types import Mesh

Pixels = Float32[np.ndarray, "rows columns"]
Colours = Float32[np.ndarray, "rows columns 3"]
Points = Float32[np.ndarray, "rows columns 2"]

Edges = Callable[[float], tuple[float, float]]
"""Rows of the upper and the lower lip's inner edge in a column of the crop, in cells."""

_UPPER_BELOW_CM: Final = 0.25
"""How far upper teeth reach below the line at which lips meet."""
_LOWER_ABOVE_CM: Final = 0.14
"""How far lower teeth stand out of the lower lip."""
_SIZE: Final = 0.92
"""The drawn teeth are a little large."""
_MIDLINE: Final = (0, 13, 14, 17)
_DRAWN_WHITE: Final = 175.0
_TOOTH_WHITE: Final = 1.2
"""Shares of the eyes' white: teeth in full light, the tongue where it is nearest, and what dark never passes."""
_TONGUE: Final = 0.8
_CAVITY: Final = 0.14
_LOWER_LIGHT: Final = 0.7
"""Share of the light that reaches lower teeth."""
_UPPER_DARK: Final = 0.6
"""And the upper end of upper teeth, under the lip."""
_WIDE_CM: Final = 1.0
"""Opening at which light comes in freely: in a slit teeth are dark."""
_LIP_SHADOW_CM: Final = 0.3
_TEETH_SHADOW_CM: Final = 0.5
"""How far the shadows of the upper lip and of the upper teeth reach."""
_TONGUE_CM: Final = 1.1
_HALF_CM: Final = 1.8
"""Half the width of the tongue, and of the lower teeth that are seen."""
_WARMER: Final = np.array([0.9, 1.05, 1.1], np.float32)
"""Powers of light on red, green and blue: what reaches teeth in the shade comes from lips and tongue."""
_RED: Final = np.array([1.5, 0.8, 0.8], np.float32)
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)


class Row(NamedTuple):
    """A drawn row of teeth."""

    colours: Float32[np.ndarray, "rows columns 4"]
    """Red, green, blue, and how much it covers."""
    edge_px: float
    """Row of the middle biting edge."""
    px_per_cm: float


class Gap(NamedTuple):
    """The pixels between the lips; in cells of the crop and its margin."""

    places: Points
    """On the head, as the photograph has it."""
    jaw_places: Points
    """On the jaw: where the lower lip's motion says that they come from."""
    under_upper: Pixels
    """Distance from the upper lip's edge."""
    over_lower: Pixels
    under_own: Pixels
    """Distance from where that edge is in the photograph; below 0, the lip has risen by more."""
    over_own: Pixels


class MouthInside:
    """The inside of one photograph's mouth."""

    def __init__(self, mesh: Mesh, side_px: int, toned: MouthColours, edges: Edges) -> None:
        """Places and colours the teeth.

        Args:
            mesh: In pixels of the crop.
            side_px: Of the crop.
            toned: Draws colours to the photograph's.
            edges: Says where the lips' inner edges are.
        """
        pose = head_pose(mesh[None])
        self._unit = np.float32(pose.scale_px_per_cm[0] * CELLS / side_px)
        self._to_cm = np.linalg.inv(pose.rotation[0, :2, :2] * self._unit).astype(np.float32)
        middle = float(crop_cells(mesh[list(_MIDLINE), :2], side_px)[:, 0].mean())
        top, bottom = edges(middle)
        self._upper_edge = np.array([middle, top + _UPPER_BELOW_CM * self._unit], np.float32) + MARGIN
        self._lower_edge = np.array([middle, bottom - _LOWER_ABOVE_CM * self._unit], np.float32) + MARGIN
        self._white = np.float32(toned.white)
        self._tongue = toned(_TONGUE * self._white * _RED[None, None])[0, 0]
        self._haze = np.float32(toned.black)
        self._hazy = toned(self._haze * self._white * _RED[None, None])[0, 0]
        self._upper, self._lower = (_lit(row, toned) for row in drawn_teeth())

    def colours(self, gap: Gap, toned: Colours) -> Colours:
        """Gives the colours of the pixels between the lips, RGB from 0 to 255.

        Args:
            gap: Where they are.
            toned: What the talker paints there, softly, drawn to the photograph's colours.
        """
        luma = toned @ _LUMA
        dark = _CAVITY * self._white
        inside = toned * (dark * np.tanh(luma / dark) / np.maximum(luma, 1))[..., None]
        free = smoothstep((gap.under_upper + gap.over_lower) / (_WIDE_CM * self._unit))
        aside = (gap.jaw_places[..., 0] - self._lower_edge[0]) / (_HALF_CM * self._unit)
        middle = smoothstep(1 - aside * aside)
        tongue = free * middle * smoothstep(1 - gap.over_lower / (_TONGUE_CM * self._unit))
        inside += tongue[..., None] * (self._tongue - inside)
        beneath = (gap.places[..., 1] - self._upper_edge[1]) / (_TEETH_SHADOW_CM * self._unit)
        inside *= (0.35 + 0.65 * smoothstep(beneath))[..., None]
        told = (0.7 + 0.7 * luma / self._white).clip(0.7, 1.1)
        light = (0.2 + 0.8 * free) * told
        shadow = smoothstep(gap.under_upper / (_LIP_SHADOW_CM * self._unit))
        lower = self._seen(self._lower, gap.jaw_places - self._lower_edge)
        upper = self._seen(self._upper, gap.places - self._upper_edge)
        inside = _over(inside, lower, light * middle * _LOWER_LIGHT)
        inside = _over(inside, upper, light * (_UPPER_DARK + (1 - _UPPER_DARK) * shadow))
        # Where pupils are grey, for the film is pale or its pixels are coarse, mouths are no darker.
        return self._hazy + (1 - self._haze) * inside

    def _seen(self, row: Row, beside: Points) -> Float32[np.ndarray, "rows columns 4"]:
        """Reads a row of teeth at places beside its middle biting edge."""
        cm = beside @ (self._to_cm.T / np.float32(_SIZE))
        x = cm[..., 0] * np.float32(row.px_per_cm) + np.float32(row.colours.shape[1] / 2 - 0.5)
        y = cm[..., 1] * np.float32(row.px_per_cm) + np.float32(row.edge_px - 0.5)
        return cv2.remap(row.colours, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


@functools.cache
def drawn_teeth() -> tuple[Row, Row]:
    """Loads the upper and the lower row that ship with the package."""
    path = resources.files("pcavs") / "assets" / "face" / "teeth.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        scale, (upper, lower) = float(arrays["px_per_cm"]), arrays["edges_px"].tolist()
        return (
            Row(arrays["upper"].astype(np.float32), upper, scale),
            Row(arrays["lower"].astype(np.float32), lower, scale),
        )


def _lit(row: Row, toned: MouthColours) -> Row:
    """The row as the photograph would show it in full light."""
    level = np.float32(_TOOTH_WHITE * toned.white / _DRAWN_WHITE)
    colours = toned(np.ascontiguousarray(row.colours[..., :3]) * level)
    return row._replace(colours=np.dstack([colours, row.colours[..., 3] / 255]).astype(np.float32))


def _over(under: Colours, row: np.ndarray, light: Pixels) -> Colours:
    """Lays lit teeth over what is behind them."""
    return under + row[..., 3:] * (row[..., :3] * light[..., None] ** _WARMER - under)
