"""The relief of the head in a picture: how deep each place lies, by its landmarks, and what belongs to the head.

Lengths are centimetres of the average head. Places are cells of a grid over the crop and a margin around it, x to the
picture's right, y down, depth towards the viewer.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

from pcavs.face.pose import RIGID, canonical_face, head_pose
from pcavs.head.grid import CELLS, MARGIN, WIDE, crop_cells
from pcavs.numeric import smoothstep
from pcavs.types import Mesh

Grid = Float32[np.ndarray, "wide wide"]

EXAGGERATION: Final = 1.4
"""Factor on depths: with the landmarks' own depth, and all hidden that should be, the tracker sees 0.75 of a turn; with
this, and outlines that do not fold, 0.84 of a yaw and 0.97 of a pitch (dev/LOG.md)."""
_EAR_DEPTH_CM: Final = -2.5
"""Depth of all that surrounds the face: ears, hair, neck. As deep as the head's sides, so that its outline stays."""
_CROWN_DEPTH_CM: Final = 0.0
"""The same above the forehead: the crown is over the ears, but the hair before it comes along with the forehead."""
_FALL_CM: Final = 4.0
"""Distance from the face's outline at which that depth is reached."""
_STEEPEST_INSIDE: Final = 3.0
"""Depth that may be lost a centimetre in the middle of the face, where it hides skin behind skin."""
_STEEPEST_OUTSIDE: Final = 1.4
"""The same outside of it. What is steeper hides hair and ears behind the cheek at turns of 35 degrees: a dark, ragged
edge, as grey of hair and background lie in one cell."""
_RIM_CM: Final = 2.5
"""From the face's outline inwards, over which one becomes the other."""
_STEEP_CELLS: Final = 60
_SOFT_CM: Final = 0.2
_HIDDEN: Final = -99.0
_CHIN: Final = 152
_TOLERANCE: Final = 1e-6


class Relief(NamedTuple):
    """A head before a background."""

    depth: Grid
    """In cm, exaggerated."""
    matte: Grid
    """Share of the head's motion that each place follows: 1 on the head, 0 on background and shoulders."""
    face: Bool[np.ndarray, "wide wide"]
    """As far as the mesh reaches."""
    x: Grid
    """Of each cell, in cm from the head's origin."""
    y: Grid
    cells_per_cm: float


class _Depths(NamedTuple):
    """The face's relief, as far as the mesh reaches."""

    depth_cm: Grid
    known: Bool[np.ndarray, "wide wide"]
    origin: Float[np.ndarray, "2"]
    """The head's origin, in cells."""
    cells_per_cm: float
    chin_cm: float
    """How far the chin is below the origin."""


def make_relief(mesh: Mesh, side_px: int) -> Relief:
    """Raises the head in a crop; takes a fifth of a second.

    The depth is the mesh's inside of the face's outline and falls to the ears' depth around it. Slopes are limited:
    gently in the middle of the face, where a nose may hide a cheek, and firmly towards its outline.

    Args:
        mesh: In pixels of the crop.
        side_px: Of the crop.
    """
    depths = _depths(mesh, side_px)
    rows, columns = (axis.astype(np.float32) for axis in np.mgrid[0:WIDE, 0:WIDE])
    unit = np.float32(depths.cells_per_cm)
    x, y = ((axis - np.float32(zero)) / unit for axis, zero in zip((columns, rows), depths.origin, strict=True))
    away_cm, inside_cm = (_distance_cm(part, depths.cells_per_cm) for part in (~depths.known, depths.known))
    depth = _limited(EXAGGERATION * _surrounded(depths, away_cm, y), inside_cm, depths.cells_per_cm)
    return Relief(depth, _matte(away_cm, y, depths), depths.known, x, y, depths.cells_per_cm)


def _depths(mesh: Mesh, side_px: int) -> _Depths:
    pose = head_pose(mesh[None])
    to_cells = CELLS / side_px
    unit = float(pose.scale_px_per_cm[0]) * to_cells
    face = canonical_face()
    points = crop_cells(mesh[: len(face.vertices_cm), :2].astype(np.float64), side_px) + MARGIN
    # The mesh's depth has no origin of its own; the canonical head's rigid points give it one.
    rigid = face.vertices_cm[list(RIGID)].mean(axis=0)
    zero = float(mesh[list(RIGID), 2].mean()) - float(pose.scale_px_per_cm[0] * (pose.rotation[0] @ rigid)[2])
    heights = -(mesh[: len(face.vertices_cm), 2].astype(np.float64) - zero) * to_cells / unit
    depth = np.full((WIDE, WIDE), _HIDDEN, np.float32)
    for corners in face.triangles:
        _raise(depth, points[corners], heights[corners])
    origin = crop_cells(pose.translation_px[0].astype(np.float64), side_px) + MARGIN
    return _Depths(depth, depth > _HIDDEN, origin, unit, float(points[_CHIN, 1] - origin[1]) / unit)


def _raise(depth: Grid, corners: Float[np.ndarray, "3 2"], heights: Float[np.ndarray, "3"]) -> None:
    """Draws a triangle into the relief where it is the nearest."""
    low = np.floor(corners.min(axis=0)).astype(int).clip(0)
    high = (np.ceil(corners.max(axis=0)).astype(int) + 1).clip(max=WIDE)
    sides = (corners[1:] - corners[0]).T
    determinant = sides[0, 0] * sides[1, 1] - sides[0, 1] * sides[1, 0]
    if (high <= low).any() or abs(determinant) < _TOLERANCE:
        return
    rows, columns = np.mgrid[low[1] : high[1], low[0] : high[0]]
    across, down = columns - corners[0, 0], rows - corners[0, 1]
    first = (across * sides[1, 1] - down * sides[0, 1]) / determinant
    second = (down * sides[0, 0] - across * sides[1, 0]) / determinant
    edge = -0.02  # neighbours overlap by a hair, so that no cell falls between them
    inside = (first >= edge) & (second >= edge) & (first + second <= 1 - edge)
    height = heights[0] + first * (heights[1] - heights[0]) + second * (heights[2] - heights[0])
    part = depth[low[1] : high[1], low[0] : high[0]]
    part[inside] = np.maximum(part[inside], height[inside])


def _distance_cm(part: Bool[np.ndarray, "wide wide"], cells_per_cm: float) -> Grid:
    """How far inside of a part each of its cells lies."""
    distance = cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(distance / cells_per_cm, np.float32)


def _surrounded(depths: _Depths, away_cm: Grid, below_cm: Grid) -> Grid:
    """Continues the relief outside of the face's outline, down to the depth of ears or crown."""
    unknown = (~depths.known).astype(np.uint8)
    labels = cv2.distanceTransformWithLabels(unknown, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1].astype(int)
    nearest = np.zeros(int(labels.max()) + 1, np.float32)
    nearest[labels[depths.known]] = depths.depth_cm[depths.known]
    fallen = smoothstep(away_cm / _FALL_CM)
    around_it = _EAR_DEPTH_CM + (_CROWN_DEPTH_CM - _EAR_DEPTH_CM) * _above(below_cm)
    around = nearest[labels] * (1 - fallen) + around_it * fallen
    # Rays from the nearest points leave streaks: the farther out, the less they matter.
    soft = _softened(around, 1.2 * depths.cells_per_cm)
    share = away_cm.clip(0, 1)
    return _softened(around * (1 - share) + soft * share, _SOFT_CM * depths.cells_per_cm)


def _limited(depth: Grid, inside_cm: Grid, cells_per_cm: float) -> Grid:
    """Fills what is too steep, from the nearer side: tips stay, what they would hide comes up to them."""
    steepest = _STEEPEST_OUTSIDE + (_STEEPEST_INSIDE - _STEEPEST_OUTSIDE) * smoothstep(inside_cm / _RIM_CM)
    step = (steepest / cells_per_cm).astype(np.float32)
    kernel = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    for _ in range(_STEEP_CELLS):
        filled = np.maximum(depth, cv2.dilate(depth, kernel) - step)
        if np.array_equal(filled, depth):
            break
        depth = filled
    return _softened(depth, 0.7 * _SOFT_CM * cells_per_cm)


def _matte(away_cm: Grid, below_cm: Grid, depths: _Depths) -> Grid:
    """Share of the head's motion that each place follows: 1 on the head, 0 on background and shoulders.

    Hair reaches high above the face's outline, and the neck ends soon below it.
    """
    low = ((below_cm - (depths.chin_cm - 3)) / 4).clip(0, 1)
    high = _above(below_cm)
    reach = 2 + 3 * high - 2 * low
    share = 1 - smoothstep((away_cm - reach) / (4.5 + 2.5 * high + 1.5 * low))
    return _softened(share, 0.8 * depths.cells_per_cm)


def _above(below_cm: Grid) -> Grid:
    """How much a place is above the forehead rather than beside the face, 0 to 1."""
    return ((-below_cm - 2) / 5).clip(0, 1)


def _softened(values: np.ndarray, sigma: float) -> Grid:
    return np.asarray(cv2.GaussianBlur(values.astype(np.float32), (0, 0), sigma), np.float32)
