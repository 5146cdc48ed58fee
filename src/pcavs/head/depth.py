"""Builds the depth map of the head in a photograph, and the matte of what moves with the head.

The depth map is what `head.warp` rotates. Inside the face's outline it is the depth of the landmark mesh; outside,
where there are no landmarks, it falls smoothly to the depth of the ears, or above the forehead to that of the
crown. Slopes are limited, so that a turn hides little behind steep edges.

Lengths are centimetres of the average head. The map covers the crop and a margin around it, one value for each cell
of `head.grid`: x to the picture's right, y down, depth positive towards the viewer, all 0 at the head's origin
(between the ears, at the height of the nose's root).
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

from pcavs.face.pose import RIGID, canonical_face, head_pose
from pcavs.head.grid import MARGIN, WIDE, cells_per_cm, crop_cells, px_per_cell
from pcavs.numeric import smoothstep
from pcavs.types import Mesh

Grid = Float32[np.ndarray, "wide wide"]
"""One value for each cell of the grid, margin included."""

DEPTH_GAIN: Final = 1.4
"""Factor on all depths. Measured with a face tracker on rendered turns (dev/LOG.md, "Noses hide cheeks"): with the
landmarks' own depth it reads 0.75 of a turn, with this factor and the slope limits below 0.84 of a yaw and 0.97 of a
pitch. The rest of the yaw is made up for by `head.warp.ROTATION_GAIN`."""

_EAR_DEPTH_CM: Final = -2.5
"""Depth (before `DEPTH_GAIN`) of ears, neck and the hair beside the face: that of the head's sides, so that the outline
of the head keeps its place in a turn. Chosen by eye."""
_CROWN_DEPTH_CM: Final = 0.0
"""Depth (before `DEPTH_GAIN`) of hair above the forehead. The crown lies over the ears, but hair in front of it has to
turn with the forehead: at the ears' depth a pale fin of hair stood beside the far temple at 30 degrees. Chosen by
eye."""
_FALL_CM: Final = 4.0
"""Distance from the face's outline over which the depth falls to that of ears or crown. Chosen by eye."""
_STREAK_BLUR_CM: Final = 1.2
"""Standard deviation of the blur that hides streaks in the depth outside the outline. Chosen by eye."""
_STREAK_BLEND_CM: Final = 1.0
"""Distance from the outline at which that blur takes full effect. Chosen by eye."""
_SURFACE_BLUR_CM: Final = 0.2
"""Standard deviation of the blur of the whole map, which rounds the edges of triangles. Chosen by eye."""
_FILLED_BLUR: Final = 0.7
"""Standard deviation of the blur after slopes were limited, as a multiple of `_SURFACE_BLUR_CM`. Chosen by eye."""

_MAX_SLOPE_INSIDE: Final = 3.0
"""Largest slope (centimetres of depth per centimetre) in the middle of the face, where the nose may hide a cheek.
Chosen by eye on turns of 25 to 40 degrees."""
_MAX_SLOPE_OUTSIDE: Final = 1.4
"""Largest slope at the face's outline and outside. Steeper, hair and ears behind the far cheek leave a dark, ragged
edge at 35 degrees, because hair and background fall into the same cell. Chosen by eye on twelve faces."""
_RIM_CM: Final = 2.5
"""Distance inwards from the outline over which one slope limit changes into the other. Chosen by eye."""
_MAX_FILL_CELLS: Final = 60
"""Largest number of iterations of the slope limit; each propagates depth by one cell. More than half the width of a
face (about 40 cells)."""

_TRIANGLE_OVERLAP: Final = 0.02
"""Barycentric coordinate by which triangles are enlarged, so that no cell falls between two neighbours."""
_MIN_TRIANGLE_AREA: Final = 1e-6
"""Twice the area in square cells below which a triangle is skipped, as it is seen edge-on."""
_EMPTY: Final = -99.0
"""Depth in centimetres of cells that no triangle covers."""
_CHIN: Final = 152
"""Landmark at the chin's tip."""

_ABOVE_START_CM: Final = 2.0
"""Height over the head's origin from which places begin to count as above the forehead. Chosen by eye."""
_ABOVE_LENGTH_CM: Final = 5.0
"""Height above `_ABOVE_START_CM` at which they count fully. Chosen by eye."""
_NECK_START_CM: Final = 3.0
"""Height over the chin at which the matte begins to treat places as neck. Chosen by eye."""
_NECK_LENGTH_CM: Final = 4.0
"""Distance below that height at which it treats places fully as neck. Chosen by eye."""
_MATTE_REACH_CM: Final = (2.0, 3.0, -2.0)
"""Distance from the face's outline up to which places follow the head fully: beside the face; increment above the
forehead, where hair is high; increment at the neck. Chosen by eye."""
_MATTE_FALL_CM: Final = (4.5, 2.5, 1.5)
"""Distance over which the matte then falls to 0, in the same three parts. Chosen by eye."""
_MATTE_BLUR_CM: Final = 0.8
"""Standard deviation of the blur of the matte. Chosen by eye."""


class DepthMap(NamedTuple):
    """The depth of a head, and which places move with it, for every cell of the grid."""

    depth: Grid
    """Depth in cm times `DEPTH_GAIN`."""
    matte: Grid
    """Share of the head's motion that a place follows: 1 on the head, 0 on background and shoulders."""
    face: Bool[np.ndarray, "wide wide"]
    """Cells that the landmark mesh covers."""
    x: Grid
    """Distance of a cell to the right of the head's origin, in cm."""
    y: Grid
    """Distance of a cell below the head's origin, in cm."""
    cells_per_cm: float


class _FaceDepth(NamedTuple):
    """The rasterised landmark mesh."""

    depth_cm: Grid
    """`_EMPTY` where the mesh does not reach."""
    face: Bool[np.ndarray, "wide wide"]
    origin: Float[np.ndarray, "2"]
    """The head's origin in grid coordinates."""
    cells_per_cm: float
    chin_cm: float
    """Distance of the chin below the origin."""


def make_depth_map(mesh: Mesh, side_px: int) -> DepthMap:
    """Builds the depth map of the head in a crop; takes a fifth of a second.

    Args:
        mesh: Landmarks in pixels of the crop.
        side_px: Side of the crop.
    """
    face_depth = _rasterise_mesh(mesh, side_px)
    rows, columns = (axis.astype(np.float32) for axis in np.mgrid[0:WIDE, 0:WIDE])
    unit = np.float32(face_depth.cells_per_cm)
    x, y = ((axis - np.float32(origin)) / unit for axis, origin in zip((columns, rows), face_depth.origin, strict=True))
    outside_cm, inside_cm = (
        _distance_cm(part, face_depth.cells_per_cm) for part in (~face_depth.face, face_depth.face)
    )
    depth = _limit_slope(DEPTH_GAIN * _extend_outside(face_depth, outside_cm, y), inside_cm, face_depth.cells_per_cm)
    return DepthMap(depth, _matte(outside_cm, y, face_depth), face_depth.face, x, y, face_depth.cells_per_cm)


def _rasterise_mesh(mesh: Mesh, side_px: int) -> _FaceDepth:
    """Draws the landmark mesh into a z-buffer of cells, in centimetres, with the head's origin at depth 0."""
    pose = head_pose(mesh[None])
    unit = cells_per_cm(pose.scale_px_per_cm[0], side_px)
    face = canonical_face()
    points = crop_cells(mesh[: len(face.vertices_cm), :2].astype(np.float64), side_px) + MARGIN
    # The depth of a mesh has an arbitrary origin: it is set so that the mean depth of the rigid points is that of the
    # canonical head in the same pose.
    rigid = face.vertices_cm[list(RIGID)].mean(axis=0)
    origin_z = float(mesh[list(RIGID), 2].mean()) - float(pose.scale_px_per_cm[0] * (pose.rotation[0] @ rigid)[2])
    depths = -(mesh[: len(face.vertices_cm), 2].astype(np.float64) - origin_z) / px_per_cell(side_px) / unit
    buffer = np.full((WIDE, WIDE), _EMPTY, np.float32)
    _draw_triangles(buffer, points[face.triangles], depths[face.triangles])
    origin = crop_cells(pose.translation_px[0].astype(np.float64), side_px) + MARGIN
    return _FaceDepth(buffer, buffer > _EMPTY, origin, unit, float(points[_CHIN, 1] - origin[1]) / unit)


def _draw_triangles(
    buffer: Grid, corners: Float[np.ndarray, "triangles 3 2"], depths: Float[np.ndarray, "triangles 3"]
) -> None:
    """Draws triangles into the z-buffer: each cell keeps the depth nearest to the viewer."""
    lows = np.floor(corners.min(axis=1)).astype(int).clip(0)
    highs = (np.ceil(corners.max(axis=1)).astype(int) + 1).clip(max=WIDE)
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    determinants = first[:, 0] * second[:, 1] - second[:, 0] * first[:, 1]
    drawn = (highs > lows).all(axis=1) & (np.abs(determinants) >= _MIN_TRIANGLE_AREA)
    cells = np.arange(WIDE)
    for number in np.flatnonzero(drawn):
        (x0, y0), (x1, y1), (x, y) = lows[number], highs[number], corners[number, 0]
        sides, determinant, depth = (first[number], second[number]), determinants[number], depths[number]
        dx, dy = cells[x0:x1] - x, (cells[y0:y1] - y)[:, None]
        # Barycentric coordinates of the second and the third corner.
        beta = (dx * sides[1][1] - dy * sides[1][0]) / determinant
        gamma = (dy * sides[0][0] - dx * sides[0][1]) / determinant
        inside = (beta >= -_TRIANGLE_OVERLAP) & (gamma >= -_TRIANGLE_OVERLAP) & (beta + gamma <= 1 + _TRIANGLE_OVERLAP)
        nearest = depth[0] + beta * (depth[1] - depth[0]) + gamma * (depth[2] - depth[0])
        part = buffer[y0:y1, x0:x1]
        np.maximum(part, nearest, out=part, where=inside, casting="same_kind")


def _distance_cm(part: Bool[np.ndarray, "wide wide"], cells_per_cm: float) -> Grid:
    """Returns the distance of each cell of a mask to the nearest cell outside the mask; 0 outside it."""
    distance = cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(distance / cells_per_cm, np.float32)


def _extend_outside(face_depth: _FaceDepth, outside_cm: Grid, y_cm: Grid) -> Grid:
    """Extends the depth outside the face: it falls from that of the nearest face cell to that of ears or crown."""
    empty = (~face_depth.face).astype(np.uint8)
    labels = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1].astype(int)
    nearest = np.zeros(int(labels.max()) + 1, np.float32)
    nearest[labels[face_depth.face]] = face_depth.depth_cm[face_depth.face]
    fallen = smoothstep(outside_cm / _FALL_CM)
    around_cm = _EAR_DEPTH_CM + (_CROWN_DEPTH_CM - _EAR_DEPTH_CM) * _above_forehead(y_cm)
    depth = nearest[labels] * (1 - fallen) + around_cm * fallen
    # Cells with the same nearest face cell form rays, which show as streaks: they are blurred away from the outline.
    blurred = _blur(depth, _STREAK_BLUR_CM * face_depth.cells_per_cm)
    share = (outside_cm / _STREAK_BLEND_CM).clip(0, 1)
    return _blur(depth * (1 - share) + blurred * share, _SURFACE_BLUR_CM * face_depth.cells_per_cm)


def _limit_slope(depth: Grid, inside_cm: Grid, cells_per_cm: float) -> Grid:
    """Raises cells beside steep edges until no slope exceeds the limit; the nearer side of an edge keeps its depth.

    The result is the upper Lipschitz envelope of the depth, computed by repeated greyscale dilation.
    """
    limit = _MAX_SLOPE_OUTSIDE + (_MAX_SLOPE_INSIDE - _MAX_SLOPE_OUTSIDE) * smoothstep(inside_cm / _RIM_CM)
    step = (limit / cells_per_cm).astype(np.float32)
    kernel = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    for _ in range(_MAX_FILL_CELLS):
        filled = np.maximum(depth, cv2.dilate(depth, kernel) - step)
        if np.array_equal(filled, depth):
            break
        depth = filled
    return _blur(depth, _FILLED_BLUR * _SURFACE_BLUR_CM * cells_per_cm)


def _matte(outside_cm: Grid, y_cm: Grid, face_depth: _FaceDepth) -> Grid:
    """Returns the share of the head's motion that each place follows: 1 on the head, 0 on background and shoulders.

    It reaches farther above the forehead, where there is hair, and ends sooner at the neck.
    """
    neck = ((y_cm - (face_depth.chin_cm - _NECK_START_CM)) / _NECK_LENGTH_CM).clip(0, 1)
    above = _above_forehead(y_cm)
    reach_cm, fall_cm = (
        beside + added_above * above + added_neck * neck
        for beside, added_above, added_neck in (_MATTE_REACH_CM, _MATTE_FALL_CM)
    )
    return _blur(1 - smoothstep((outside_cm - reach_cm) / fall_cm), _MATTE_BLUR_CM * face_depth.cells_per_cm)


def _above_forehead(y_cm: Grid) -> Grid:
    """Returns how far cells count as above the forehead rather than beside the face, 0 to 1."""
    return ((-y_cm - _ABOVE_START_CM) / _ABOVE_LENGTH_CM).clip(0, 1)


def _blur(values: np.ndarray, sigma_cells: float) -> Grid:
    return np.asarray(cv2.GaussianBlur(values.astype(np.float32), (0, 0), sigma_cells), np.float32)
