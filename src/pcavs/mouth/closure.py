"""Closes the lips where speech closes them: in silence, and in m, b and p.

The generator moves lips by about as much in every face, whatever gap the photograph shows: a broad smile hardly narrows
in m, b and p, and some shut mouths stay apart by a pixel of 128. So the gap that is left in silence, in which lips
meet, is measured once for the photograph, and taken off each frame's gap: fully where that is as small, less the wider
it is, and not at all from about twice that gap on. In m, b and p, which `runtime.bilabials` hears, what is left is
closed as well. See docs/decisions/0012 and 0023.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32

from pcavs.face.regions import interocular_distance
from pcavs.head.grid import CELLS, crop_cells
from pcavs.mouth.lips import Line, Lips
from pcavs.mouth.motion import Displacement
from pcavs.numeric import smoothstep
from pcavs.types import Mesh

_MARGIN: Final = 0.008
"""Gap that counts as closed, beyond that of silence, as a share of the distance between the eyes. In films of one
sentence the narrowest twentieth of the gaps, m and p among them, is 0.002 to 0.02 wider than silence."""
_KNEE: Final = 0.006
"""Half the range of gaps, in the same unit, over which lips begin to part. Chosen by eye."""
_SLOPE: Final = 2.5
"""How fast the gap then grows with the generator's, until both are equal. With less, half of a sentence would lose the
smile's teeth; with more, lips would jump. Chosen by eye."""
_UPPER_SHARE: Final = 0.3
"""Share of the way that the upper lip takes. Chosen by eye: in speech the jaw does most."""
_CHIN_REACH: Final = 1.7
"""Distance from the lower lip over which its motion fades out, relative to that of the chin: the jaw moves too. Chosen
by eye."""
_CENTRAL: Final = 0.2
"""Half the width of the columns whose mean is the mouth's gap, as a share of the distance between the mouth corners."""
_ALONG_LIP_SIGMA_CELLS: Final = 2.0
"""Standard deviation of the Gaussian that continues the way of the lips beyond their corners. Chosen by eye."""
_PRESS_CELLS: Final = 0.4
"""How far lips that meet overlap, so that no teeth show where a cell or the landmarks are too coarse. Chosen by eye."""
_NO_GAP_CELLS: Final = 1e-3
"""Gap below which there is nothing to close."""

_NOSE_BASE, _CHIN = 2, 152
"""Landmarks on the midline: where nose and upper lip meet, and the lowest point of the face."""
_CORNERS: Final = (78, 308)
"""Landmarks of the inner mouth corners."""


class Closed(NamedTuple):
    """A displacement field after the lips have been brought together."""

    displacement: Displacement
    share: float
    """Share of the gap that was closed: 0 leaves the field as it is, 1 means that the lips meet."""


class LipClosure:
    """Brings the lips of one photograph together where the generator's displacement leaves about silence's gap.

    The result is a continuous function of the displacement.
    """

    def __init__(self, mesh: Mesh, side_px: int, lips: Lips, silence: Displacement | None) -> None:
        """Measures the gap that is to be closed.

        Args:
            mesh: Landmarks in pixels of the crop.
            side_px: Side of the crop.
            lips: The photograph's lips.
            silence: Displacement for the content of silence; None closes nothing.
        """
        self._lips = lips
        to_cells = CELLS / side_px
        eyes = float(interocular_distance(mesh[None])[0]) * to_cells
        corners = crop_cells(mesh[list(_CORNERS), :2].astype(np.float64), side_px)[:, 0]
        aside = np.abs(lips.columns - corners.mean())
        self._central = aside <= max(_CENTRAL * float(np.ptp(corners)), aside.min())
        self._knee = _KNEE * eyes
        points = crop_cells(mesh[[_NOSE_BASE, _CHIN], :2].astype(np.float64), side_px)
        self._nose_row, self._chin_row = points[:, 1]
        rows = slice(max(int(self._nose_row), 0), min(int(self._chin_row + (self._chin_row - self._nose_row)), CELLS))
        self._area = (rows, lips.box[1])
        self.closed_gap = 0.0
        """Gap between the lips, in cells, up to which they are brought together."""
        if silence is not None:
            gap = float(self._gaps(silence)[0][self._central].mean())
            self.closed_gap = max(gap + _MARGIN * eyes, 0.0)

    def close(self, displacement: Displacement, closing: float = 0.0) -> Closed:
        """Brings the lips together as far as the generator's gap or the speech asks for.

        Args:
            displacement: The generator's displacement.
            closing: How much of the gap that would be left the speech closes, as in m, b and p: 0 nothing, 1 all.
        """
        if max(self.closed_gap, closing) <= 0 or self._area[0].stop - self._area[0].start < 2:
            return Closed(displacement, 0.0)
        gaps, top, bottom = self._gaps(displacement)
        gap = float(gaps[self._central].mean())
        wanted = self.wanted_gap(gap) if self.closed_gap > 0 else gap
        share = 1 - (1 - closing) * wanted / gap if gap > _NO_GAP_CELLS else 0.0
        if share <= 0:
            return Closed(displacement, 0.0)
        press = _PRESS_CELLS * min(gap, 1.0) * (gaps / gap).clip(0, 1)
        way = self._closing(share * (gaps + press), top, bottom)
        rows, columns = self._area
        x = np.arange(columns.start, columns.stop, dtype=np.float32)[None].repeat(len(way), axis=0)
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + way
        closed = displacement.copy()
        closed[self._area] = cv2.remap(displacement, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        closed[(*self._area, 1)] += way
        return Closed(closed, share)

    def wanted_gap(self, gap: float) -> float:
        """Maps the generator's gap to that of the film, in cells: 0 up to `closed_gap`, unchanged where it is wide."""
        opened = _SLOPE * _ramp(gap - self.closed_gap - self._knee, self._knee)
        return max(gap - _ramp(gap - opened, self._knee), 0.0)

    def _gaps(self, displacement: Displacement) -> tuple[Line, Line, Line]:
        """Returns the gap in each column of the lips' box, and how far both lips have moved down, in cells."""
        motion = self._lips.motion(displacement)
        top, bottom = -motion.upper[:, 1], -motion.lower[:, 1]
        gaps = (self._lips.bottom + bottom - self._lips.top - top).clip(0)
        kernel = (1, 2 * round(3 * _ALONG_LIP_SIGMA_CELLS) + 1)
        smooth = cv2.GaussianBlur(gaps, kernel, sigmaX=0.1, sigmaY=_ALONG_LIP_SIGMA_CELLS)[:, 0]
        return np.maximum(gaps, smooth), top, bottom

    def _closing(self, ways: Line, top: Line, bottom: Line) -> Float32[np.ndarray, "rows columns"]:
        """Computes the vertical backward displacement that brings the lips together, over the area that it moves.

        Args:
            ways: How far the lips of each column approach each other, in cells.
            top: How far the upper lip has moved down.
            bottom: How far the lower lip has moved down.
        """
        down, up = _UPPER_SHARE * ways, (1 - _UPPER_SHARE) * ways
        rows = np.arange(self._area[0].start, self._area[0].stop, dtype=np.float64)[:, None]
        upper_edge, lower_edge = self._lips.top + top + down, self._lips.bottom + bottom - up
        upper_end, lower_end = self._lips.outer_top + top + down, self._lips.outer_bottom + bottom - up
        above = smoothstep((rows - self._nose_row) / (upper_end - self._nose_row).clip(1))
        below = smoothstep(1 - (rows - lower_end) / (_CHIN_REACH * (self._chin_row - lower_end)).clip(1))
        # One cell wide at least: the lips' own displacements are read away from their edges.
        between = (0.5 + (rows - (upper_edge + lower_edge) / 2) / (lower_edge - upper_edge).clip(1)).clip(0, 1)
        return ((1 - between) * -down * above + between * up * below).astype(np.float32)


def _ramp(value: float, knee: float) -> float:
    """Returns max(value, 0), with a parabola from -knee to knee in place of the kink."""
    if value <= -knee:
        return 0.0
    return value if value >= knee else (value + knee) ** 2 / (4 * knee)
