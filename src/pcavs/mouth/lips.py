"""Splits the displacement of speech at the lips, so that they part where the photograph has their edges.

The generator's displacement field is smooth: where the lips part it stretches the lower lip over the opening. On each
lip, however, the displacement is nearly constant; it changes only between the lips. So it is read on each lip, a
little away from the edge, and extrapolated over the edge into the opening: one displacement field for the upper lip and
one for the lower. A pixel that neither lip covers belongs to the opening, which `render` fills with the mouth's
interior. See docs/decisions/0012.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.regions import INNER_LIPS, OUTER_LIPS, mouth_opening
from pcavs.head.grid import CELLS, MARGIN, Places, crop_cells, extent
from pcavs.mouth.motion import Displacement
from pcavs.types import Mesh

_CLOSED_BELOW: Final = 0.02
"""Opening of the photograph's mouth, as a share of the distance between the eyes, up to which it counts as closed:
landmarks of closed lips are this far apart. Tuned by hand; not measured."""
_OPEN_ABOVE: Final = 0.05
"""Opening, in the same unit, from which the photograph's mouth counts as open. Tuned by hand; not measured."""
_ANCHOR_SHARE: Final = 0.45
"""Where a lip's displacement is read: this share of the lip's height away from its inner edge, where the generator's
displacement is constant. Chosen by eye."""
_MIN_UPPER_ANCHOR_CELLS: Final = 1.5
"""Smallest distance of that place from the upper lip's edge. Nearer to the edge of thin lips the displacement is
already a mean of the two lips', and one half of the mouth stayed shut. Chosen by eye."""
_MIN_LOWER_ANCHOR_CELLS: Final = 2.5
"""The same for the lower lip."""
_ALONG_LIP_SIGMA_CELLS: Final = 1.2
"""Standard deviation of the Gaussian that smooths a lip's displacement along the lip. Chosen by eye."""
_ALONG_LIP_KERNEL_CELLS: Final = 7
"""Size of that Gaussian's kernel: about three standard deviations on each side."""
_TAPER_CELLS: Final = 3.0
"""Distance from a mouth corner over which the split grows from nothing to its full size. Chosen by eye."""
_BOX_MARGIN_CELLS: Final = 6
"""Room around the lips in which the displacement is split. Tuned by hand; not measured."""
_LANDMARK_INSET_CELLS: Final = 0.35
"""How far the landmarks of an open mouth lie inside the opening that the photograph shows. Chosen by eye: teeth that
were left on a lip moved with it."""
_BLEND_CELLS: Final = 1.5
"""Distance over which a field changes from the generator's displacement to the extrapolated one. Chosen by eye."""
_MIN_ROW_STEP_CELLS: Final = 0.05
"""Distance in the photograph, of two neighbouring rows of the frame, below which 1 is used in its place as a divisor.
Tuned by hand; not measured."""

_LEFT_CORNER, _RIGHT_CORNER = 0, 10
"""Positions of the mouth corners in the polygons of the lips."""

Line = Float[np.ndarray, " columns"]
"""A row, or another number, for each column of the box."""


class SplitDisplacement(NamedTuple):
    """The displacement fields of both lips over a box of the crop, in cells.

    Both equal the generator's displacement away from the mouth and beyond its corners.
    """

    upper: Float32[np.ndarray, "rows columns 2"]
    lower: Float32[np.ndarray, "rows columns 2"]


class LipMotion(NamedTuple):
    """How the lips are displaced, in each column of the box, in cells."""

    upper: Float[np.ndarray, "columns 2"]
    lower: Float[np.ndarray, "columns 2"]


class Lips:
    """The inner edges of a photograph's lips, along which they part."""

    def __init__(self, mesh: Mesh, side_px: int) -> None:
        """Finds the edges from the landmarks.

        Args:
            mesh: Landmarks in pixels of the crop.
            side_px: Side of the crop.
        """
        points = crop_cells(mesh[:, :2].astype(np.float64), side_px)
        opening = float(mouth_opening(mesh[None])[0])
        self.open_at_rest = min(max((opening - _CLOSED_BELOW) / (_OPEN_ABOVE - _CLOSED_BELOW), 0.0), 1.0)
        """How far the photograph's own mouth counts as open: 0 closed, 1 open."""
        inner, outer = points[list(INNER_LIPS)], points[list(OUTER_LIPS)]
        first = np.floor(outer.min(axis=0)).astype(int) - _BOX_MARGIN_CELLS
        last = np.ceil(outer.max(axis=0)).astype(int) + _BOX_MARGIN_CELLS
        last[1] += round(float(np.ptp(outer[:, 0])) / 2)  # room for a wide open jaw: half the mouth's width
        (x0, y0), (x1, y1) = first.clip(0, CELLS - 2), last.clip(2, CELLS)
        self.box = (slice(y0, y1), slice(x0, x1))
        """Rows and columns of the crop in which displacements are split; `columns` are those of it."""
        self._rows, self.columns = np.arange(y0, y1, dtype=np.float64), np.arange(x0, x1, dtype=np.float64)
        self.top, self.bottom = self._inner_edges(inner)
        """Rows of the upper and the lower lip's inner edge, for each column of the box."""
        self.outer_top, self.outer_bottom = (_line(half, self.columns) for half in _halves(outer))
        """Rows of the outer edges, likewise."""
        self._upper_anchor = self.top - (_ANCHOR_SHARE * (self.top - self.outer_top)).clip(_MIN_UPPER_ANCHOR_CELLS)
        self._lower_anchor = self.bottom + (_ANCHOR_SHARE * (self.outer_bottom - self.bottom)).clip(
            _MIN_LOWER_ANCHOR_CELLS
        )
        left, right = inner[[_LEFT_CORNER, _RIGHT_CORNER], 0]
        from_corner = (np.minimum(self.columns - left, right - self.columns) / _TAPER_CELLS).clip(0, 1)
        self._taper = from_corner * (2 - from_corner)

    def _inner_edges(self, inner: Float[np.ndarray, "20 2"]) -> tuple[Line, Line]:
        """Returns the rows of both inner edges; in a closed mouth they are one line."""
        top, bottom = (_line(half, self.columns) for half in _halves(inner))
        middle, half = (top + bottom) / 2, (bottom - top).clip(0) / 2 * self.open_at_rest
        half += np.minimum(half, _LANDMARK_INSET_CELLS * self.open_at_rest)
        return middle - half, middle + half

    def split(self, displacement: Displacement) -> SplitDisplacement:
        """Extrapolates the displacement of each lip over the opening."""
        part, top, bottom, (upper_lip, lower_lip) = self._read(displacement)
        rows = np.arange(len(part))[:, None]
        beneath_top = ((rows - top) / _BLEND_CELLS).clip(0, 1)
        above_bottom = ((bottom - rows) / _BLEND_CELLS).clip(0, 1)
        upper = part + (self._taper * beneath_top)[..., None] * (upper_lip - part)
        lower = part + (self._taper * above_bottom)[..., None] * (lower_lip - part)
        return SplitDisplacement(upper.astype(np.float32), lower.astype(np.float32))

    def motion(self, displacement: Displacement) -> LipMotion:
        """Reads the displacement of each lip."""
        return self._read(displacement)[-1]

    def _read(self, displacement: Displacement) -> tuple[np.ndarray, Line, Line, LipMotion]:
        """Returns the displacement over the box, the rows of it where each lip's is read, and what is read there."""
        part = displacement[self.box].astype(np.float64)
        source_rows = self._rows[:, None] + part[..., 1]
        # In each column, the row before each anchor is passed; the middle row if an anchor is outside the box.
        passed = source_rows >= self._upper_anchor
        above = np.where(passed.any(axis=0), passed.argmax(axis=0), len(part) // 2).clip(1) - 1
        passed = source_rows <= self._lower_anchor
        below = np.where(passed.any(axis=0), len(part) - 1 - passed[::-1].argmax(axis=0), len(part) // 2)
        below = below.clip(0, len(part) - 2)
        top, upper_lip = self._at_anchor(part, source_rows, above, self._upper_anchor)
        bottom, lower_lip = self._at_anchor(part, source_rows, below, self._lower_anchor)
        return part, top, bottom, LipMotion(upper_lip, lower_lip)

    def _at_anchor(
        self, part: np.ndarray, source_rows: np.ndarray, row: np.ndarray, anchor: Line
    ) -> tuple[Line, np.ndarray]:
        """Interpolates where an anchor line of the photograph has moved to, and its displacement.

        Args:
            part: Displacement over the box.
            source_rows: Row of the photograph that each cell of the box shows.
            row: For each column, the row of the box after which the line is passed.
            anchor: Rows of the line in the photograph.

        Returns:
            Rows of the box, one for each column, and the displacement there, smoothed along the lip.
        """
        column = np.arange(part.shape[1])
        first, second = source_rows[row, column], source_rows[row + 1, column]
        step = np.where(np.abs(second - first) < _MIN_ROW_STEP_CELLS, 1.0, second - first)
        share = ((anchor - first) / step).clip(0, 1)
        values = part[row, column] * (1 - share[:, None]) + part[row + 1, column] * share[:, None]
        kernel = (1, _ALONG_LIP_KERNEL_CELLS)  # columns of the box are the rows of `values`; sigmaX has no effect
        values = cv2.GaussianBlur(values, kernel, sigmaX=0.1, sigmaY=_ALONG_LIP_SIGMA_CELLS)
        return row + share, values

    def near(self, places: Places) -> tuple[slice, slice] | None:
        """Returns the rows and columns of the frame's cells that show the box around the lips; None if none does."""
        (y0, y1), (x0, x1) = ((MARGIN + axis.start, MARGIN + axis.stop - 1) for axis in self.box)
        x, y = places[..., 0], places[..., 1]
        return extent((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))

    def sample(self, displacement: Float32[np.ndarray, "_ _ 2"], places: Places) -> Places:
        """Samples a displacement field of the box at grid coordinates, bilinearly; its edge is repeated outside."""
        x, y = (places[..., axis] - np.float32(MARGIN + self.box[1 - axis].start) for axis in range(2))
        return cv2.remap(displacement, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def above_upper_edge(self, places: Places) -> Float32[np.ndarray, "rows columns"]:
        """Computes how far places of the photograph lie above the upper lip's inner edge, in cells; below 0 beneath."""
        edge = np.interp(places[..., 0] - MARGIN, self.columns, self.top)
        return (edge - (places[..., 1] - MARGIN)).astype(np.float32)

    def below_lower_edge(self, places: Places) -> Float32[np.ndarray, "rows columns"]:
        """Computes how far places of the photograph lie below the lower lip's inner edge, in cells; below 0 above."""
        edge = np.interp(places[..., 0] - MARGIN, self.columns, self.bottom)
        return (places[..., 1] - MARGIN - edge).astype(np.float32)

    def edges(self, column: float) -> tuple[float, float]:
        """Returns the rows of the upper and the lower lip's inner edge in a column, in crop coordinates."""
        return float(np.interp(column, self.columns, self.top)), float(np.interp(column, self.columns, self.bottom))


def _halves(outline: Float[np.ndarray, "20 2"]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the upper and the lower half of a polygon of the lips, both from left to right."""
    upper = outline[: _RIGHT_CORNER + 1]
    lower = np.concatenate([outline[: _LEFT_CORNER + 1], outline[: _RIGHT_CORNER - 1 : -1]])
    return upper, lower


def _line(points: Float[np.ndarray, "points 2"], columns: Line) -> Line:
    """Interpolates the row of a polyline at each column."""
    return np.interp(columns, np.maximum.accumulate(points[:, 0]), points[:, 1])
