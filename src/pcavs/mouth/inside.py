"""Draws the interior of the mouth between parted lips: two rows of teeth, a tongue, and the dark cavity behind them.

The teeth are the same for everybody (`teeth.npz`, made from a rendered head by `scripts/make_teeth.py`). The upper row
moves with the head only; the lower row and the tongue also move with the lower lip. Their brightness depends on the
photograph (`palette`), on the height of the opening and on the colours that the generator paints there. `render`
composites the result into the frame. See docs/decisions/0012.

Sizes in centimetres are those of an average head, as in `face.pose`.
"""

import dataclasses
import functools
from collections.abc import Callable
from importlib import resources
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32

from pcavs.face.pose import head_pose
from pcavs.head.grid import MARGIN, cells_per_cm, crop_cells
from pcavs.mouth.palette import LUMA_WEIGHTS, MouthPalette
from pcavs.numeric import smoothstep
from pcavs.types import Mesh

Values = Float32[np.ndarray, "rows columns"]
"""One number for each pixel of a part of the frame."""
Colours = Float32[np.ndarray, "rows columns 3"]
"""RGB, 0 to 255."""
Points = Float32[np.ndarray, "rows columns 2"]
"""A point (x, y) for each pixel of a part of the frame, in cells."""

LipEdges = Callable[[float], tuple[float, float]]
"""Returns the rows of the upper and the lower lip's inner edge in a column, in crop coordinates."""

_UPPER_TEETH_BELOW_CM: Final = 0.25
"""How far the upper teeth reach below the line where the lips meet. From the generator's own mouths, whose teeth end
0.2 cm below it, and lengthened by eye, comparing with films of GRID's speakers."""
_LOWER_TEETH_ABOVE_CM: Final = 0.14
"""How far the lower teeth reach above the lower lip. Chosen by eye: 0.4 cm fits the luma of real mouths better, and
looks like dentures."""
_SMILE_SHOWS_CM: Final = 0.12
"""How much farther the lower teeth reach where the photograph shows teeth: a smile pulls the lower lip down. Chosen by
eye."""
_SMILE_WIDENS_CM: Final = 0.5
"""How much wider half of tongue and lower teeth is visible there. Chosen by eye."""
_TEETH_SCALE: Final = 0.92
"""Size of the teeth relative to the drawing, which is a little large. Chosen by eye."""
_PIXEL_SIGMA: Final = 0.4
"""Standard deviation, in pixels of the frame, of the Gaussian that takes from the drawing what a frame cannot show; it
is about as wide as a pixel. Without it, teeth were broken lines at 192 and 256 px."""
_MIN_OPACITY: Final = 1e-3
"""Smallest opacity that a colour is divided by; it keeps a division from 0."""
_MIDLINE: Final = (0, 13, 14, 17)
"""Landmarks of the lips on the face's midline."""
_DRAWN_TEETH_LUMA: Final = 175.0
"""Luma of teeth in the drawing (`teeth.npz`), 0 to 255."""

TEETH_WHITENESS: Final = 1.2
"""Luma of teeth in full light, as a share of that of the eyes' whites. Measured on 27 people who smile for a
photograph: half of them have 1.1 or more."""
_TONGUE_BRIGHTNESS: Final = 0.8
"""Luma of the tongue where it is nearest, in the same unit. Chosen by eye, comparing with films of GRID's speakers."""
_CAVITY_BRIGHTNESS: Final = 0.14
"""Luma that the cavity never exceeds, in the same unit. Chosen by eye."""
_TONGUE_RGB: Final = np.array([1.5, 0.8, 0.8], np.float32)
"""Colour of the tongue, and of black that is lit by haze, before its hue is matched to the photograph's lips."""

_FULL_LIGHT_CM: Final = 1.0
"""Height of the opening from which all light comes in. Chosen by eye against the luma of 14 of GRID's speakers: in
narrow openings their teeth are in shade."""
_SLIT_LIGHT: Final = 0.2
"""Share of the light that reaches the teeth through a slit. Chosen by eye."""
_LIGHT_ADMITTED: Final = 0.8
"""Share that is added to `_SLIT_LIGHT` as the mouth opens; the sum of both is 1."""
_PAINTED_LIGHT: Final = 0.7
"""Factor on the light of the teeth where the generator paints black. Tuned by hand; not measured."""
_PAINTED_LIGHT_SLOPE: Final = 0.7
"""How much that factor grows where the generator paints luma like that of the eyes' whites. Tuned by hand; not
measured."""
_PAINTED_LIGHT_LIMITS: Final = (0.7, 1.1)
"""Smallest and largest such factor. Tuned by hand; not measured."""
LOWER_TEETH_LIGHT: Final = 0.7
"""Share of the light that reaches the lower teeth. Chosen by eye."""
_SMILE_LIGHT: Final = 0.25
"""Share that is added to it where the photograph shows teeth. Chosen by eye, beside the upper teeth that it shows."""
_LIP_SHADOW: Final = 0.6
"""Share of the light that reaches the upper teeth right under the upper lip. Chosen by eye."""
_LIP_SHADOW_CM: Final = 0.3
"""Distance below the upper lip over which its shadow fades. Chosen by eye."""
_TEETH_SHADOW: Final = 0.35
"""Share of the light that reaches what lies behind the upper teeth. Chosen by eye."""
_OUT_OF_TEETH_SHADOW: Final = 0.65
"""Share that is added to `_TEETH_SHADOW` with the distance below the teeth; the sum of both is 1."""
_TEETH_SHADOW_CM: Final = 0.5
"""Distance below their edge over which the shadow of the upper teeth fades. Chosen by eye."""
_TONGUE_HEIGHT_CM: Final = 1.1
"""Height above the lower lip up to which the tongue is visible. Chosen by eye."""
_LOWER_HALF_WIDTH_CM: Final = 1.8
"""Half the width of the visible part of tongue and lower teeth. Chosen by eye."""
_SHADE_EXPONENTS: Final = np.array([0.9, 1.05, 1.1], np.float32)
"""Exponents of the light on red, green and blue: light in the shade comes from lips and tongue, so it is warmer.
Chosen by eye."""


class TeethRow(NamedTuple):
    """A drawn row of teeth."""

    colours: Float32[np.ndarray, "rows columns 4"]
    """RGB and opacity, 0 to 255; opacity is 0 to 1 once the row is lit."""
    edge_px: float
    """Row of the drawing on which the biting edge of the middle teeth lies."""
    px_per_cm: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnTeeth:
    """What is one person's own about the teeth; the defaults are everybody's. `mouth.own_teeth` measures it."""

    upper_cm: float = _UPPER_TEETH_BELOW_CM
    """How far the upper teeth reach below the line where the lips meet."""
    lower_cm: float = _LOWER_TEETH_ABOVE_CM
    """How far the lower teeth reach above the lower lip."""
    whiteness: float = TEETH_WHITENESS
    """Luma of teeth in full light, as a share of that of the eyes' whites."""
    lower_light: float = LOWER_TEETH_LIGHT
    """Share of the light that reaches the lower teeth."""
    tint: tuple[float, float, float] | None = None
    """Hue of the teeth as a factor on that of the eyes' whites; None assumes an average."""


class Opening(NamedTuple):
    """The pixels of a frame around the opening between the lips. All distances are in cells."""

    head_places: Points
    """Grid coordinates that the frame shows there without speech: places that are fixed to the head."""
    jaw_places: Points
    """Grid coordinates that the frame shows there with the lower lip's displacement: places that are fixed to the
    jaw."""
    below_upper: Values
    """Distance below the upper lip's edge where speech has moved it."""
    above_lower: Values
    """Distance above the lower lip's edge where speech has moved it."""
    below_rest_upper: Values
    """Distance below the upper lip's edge where the photograph has it; below 0 where the lip has risen."""
    above_rest_lower: Values
    """Distance above the lower lip's edge where the photograph has it; below 0 where the lip has sunk."""


class MouthInterior:
    """The interior of one photograph's mouth."""

    def __init__(
        self,
        mesh: Mesh,
        side_px: int,
        palette: MouthPalette,
        edges: LipEdges,
        open_at_rest: float = 0.0,
        own: OwnTeeth | None = None,
    ) -> None:
        """Places and colours the teeth.

        Args:
            mesh: Landmarks in pixels of the crop.
            side_px: Side of the crop.
            palette: Light and hues of the photograph.
            edges: Inner edges of the photograph's lips.
            open_at_rest: How far the photograph's own mouth counts as open: 0 closed, 1 open.
            own: What is the person's own about the teeth; None draws everybody's.
        """
        own = own or OwnTeeth()
        pose = head_pose(mesh[None])
        self._cells_per_cm = np.float32(cells_per_cm(pose.scale_px_per_cm[0], side_px))
        self._to_cm = np.linalg.inv(pose.rotation[0, :2, :2] * self._cells_per_cm).astype(np.float32)
        middle = float(crop_cells(mesh[list(_MIDLINE), :2], side_px)[:, 0].mean())
        top, bottom = edges(middle)
        upper_row = top + own.upper_cm * self._cells_per_cm
        lower_row = bottom - (own.lower_cm + _SMILE_SHOWS_CM * open_at_rest) * self._cells_per_cm
        self._lower_teeth_light = np.float32(own.lower_light + _SMILE_LIGHT * open_at_rest)
        self._lower_half_width_cm = _LOWER_HALF_WIDTH_CM + _SMILE_WIDENS_CM * open_at_rest
        self._upper_edge = np.array([middle, upper_row], np.float32) + MARGIN
        self._lower_edge = np.array([middle, lower_row], np.float32) + MARGIN
        self._white = np.float32(palette.white)
        self._tongue = palette.match(_TONGUE_BRIGHTNESS * self._white * _TONGUE_RGB[None, None])[0, 0]
        self._black = np.float32(palette.black)
        self._haze = palette.match(self._black * self._white * _TONGUE_RGB[None, None])[0, 0]
        px_per_cm = float(pose.scale_px_per_cm[0])
        lit = (_lit(row, palette, own.whiteness) for row in load_teeth())
        self._upper_teeth, self._lower_teeth = (_low_passed(row, px_per_cm) for row in lit)

    def shade(self, opening: Opening, painted: Colours) -> Colours:
        """Computes the colours of the pixels between the lips.

        Args:
            opening: Where the pixels lie.
            painted: The generator's colours there, low-passed and matched to the photograph's palette; their luma
                sets the brightness of the opening.
        """
        unit = self._cells_per_cm
        luma = painted @ LUMA_WEIGHTS
        admitted = smoothstep((opening.below_upper + opening.above_lower) / (_FULL_LIGHT_CM * unit))
        aside = (opening.jaw_places[..., 0] - self._lower_edge[0]) / (self._lower_half_width_cm * unit)
        central = smoothstep(1 - aside * aside)

        darkest = _CAVITY_BRIGHTNESS * self._white
        colours = painted * for_each_channel(darkest * np.tanh(luma / darkest) / np.maximum(luma, 1))
        tongue = admitted * central * smoothstep(1 - opening.above_lower / (_TONGUE_HEIGHT_CM * unit))
        colours += for_each_channel(tongue) * (self._tongue - colours)
        below_teeth = (opening.head_places[..., 1] - self._upper_edge[1]) / (_TEETH_SHADOW_CM * unit)
        colours *= for_each_channel(_TEETH_SHADOW + _OUT_OF_TEETH_SHADOW * smoothstep(below_teeth))

        painted_light = (_PAINTED_LIGHT + _PAINTED_LIGHT_SLOPE * luma / self._white).clip(*_PAINTED_LIGHT_LIMITS)
        light = (_SLIT_LIGHT + _LIGHT_ADMITTED * admitted) * painted_light
        below_lip = smoothstep(opening.below_upper / (_LIP_SHADOW_CM * unit))
        lower = self._sample_teeth(self._lower_teeth, opening.jaw_places - self._lower_edge)
        upper = self._sample_teeth(self._upper_teeth, opening.head_places - self._upper_edge)
        colours = _composite(colours, lower, light * central * self._lower_teeth_light)
        colours = _composite(colours, upper, light * (_LIP_SHADOW + (1 - _LIP_SHADOW) * below_lip))
        # In hazy or coarse photographs even the pupils are grey: their luma is the darkest that the mouth may have.
        return self._haze + (1 - self._black) * colours

    def _sample_teeth(self, row: TeethRow, offsets: Points) -> Float32[np.ndarray, "rows columns 4"]:
        """Samples a row of teeth at offsets in cells from the biting edge of its middle teeth, bilinearly."""
        cm = offsets @ (self._to_cm.T / np.float32(_TEETH_SCALE))
        x = cm[..., 0] * np.float32(row.px_per_cm) + np.float32(row.colours.shape[1] / 2 - 0.5)
        y = cm[..., 1] * np.float32(row.px_per_cm) + np.float32(row.edge_px - 0.5)
        return cv2.remap(row.colours, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def admitted_light(opening_cm: float) -> float:
    """Returns the share of the full light that reaches teeth through an opening of this height."""
    return _SLIT_LIGHT + _LIGHT_ADMITTED * float(smoothstep(np.array([opening_cm / _FULL_LIGHT_CM]))[0])


@functools.cache
def load_teeth() -> tuple[TeethRow, TeethRow]:
    """Loads the upper and the lower row of teeth from the package's assets."""
    path = resources.files("pcavs") / "assets" / "face" / "teeth.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        px_per_cm, (upper_px, lower_px) = float(arrays["px_per_cm"]), arrays["edges_px"].tolist()
        return (
            TeethRow(arrays["upper"].astype(np.float32), upper_px, px_per_cm),
            TeethRow(arrays["lower"].astype(np.float32), lower_px, px_per_cm),
        )


def _lit(row: TeethRow, palette: MouthPalette, whiteness: float) -> TeethRow:
    """Returns the row in the photograph's colours, in full light."""
    gain = np.float32(whiteness * palette.white / _DRAWN_TEETH_LUMA)
    colours = palette.match(np.ascontiguousarray(row.colours[..., :3]) * gain)
    return row._replace(colours=np.dstack([colours, row.colours[..., 3] / 255]).astype(np.float32))


def for_each_channel(values: Values) -> Colours:
    """Repeats values for each of three channels, for which numpy's own broadcasting takes several times as long."""
    return cv2.merge([values] * 3)


def _low_passed(row: TeethRow, px_per_cm: float) -> TeethRow:
    """Returns the row without the detail that a frame cannot show: samples of it as it is give broken edges.

    Args:
        row: A row that is lit.
        px_per_cm: Resolution of the frame.
    """
    drawn_per_px = row.px_per_cm / (_TEETH_SCALE * px_per_cm)
    if drawn_per_px <= 1:
        return row
    opacity = row.colours[..., 3:]
    premultiplied = np.dstack([row.colours[..., :3] * opacity, opacity])
    smooth = cv2.GaussianBlur(premultiplied, (0, 0), _PIXEL_SIGMA * drawn_per_px, borderType=cv2.BORDER_REPLICATE)
    colours = smooth[..., :3] / np.maximum(smooth[..., 3:], _MIN_OPACITY)
    return row._replace(colours=np.dstack([colours, smooth[..., 3]]))


def _composite(background: Colours, teeth: Float32[np.ndarray, "rows columns 4"], light: Values) -> Colours:
    """Composites teeth over a background; `light` is the share of the full light that reaches them."""
    return background + teeth[..., 3:] * (teeth[..., :3] * light[..., None] ** _SHADE_EXPONENTS - background)
