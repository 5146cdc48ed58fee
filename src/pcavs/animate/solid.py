"""Turns the head in a picture as one solid body, by the depth that its landmarks have.

Lengths are centimetres of the average head. Places are cells of a grid over the crop and a margin around it, x to the
picture's right, y down, depth towards the viewer.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

from pcavs.animate.posemap import PoseMap
from pcavs.face.pose import RIGID, angles_deg, canonical_face, head_pose, pose_from_code, rotation_from_angles
from pcavs.types import Mesh

CELLS: Final = 128
"""Cells a side of the crop: two millimetres of a head each, finer than the landmarks know it."""
MARGIN: Final = 32
"""Cells around the crop, so that hair and background beyond it can come in."""
_WIDE: Final = CELLS + 2 * MARGIN

Grid = Float32[np.ndarray, "wide wide"]
Places = Float32[np.ndarray, "rows columns 2"]
"""x and y, in cells of the crop and its margin."""
Moves = Float32[np.ndarray, "wide wide 2"]

_FARTHEST_DEG: Final = np.array([32.0, 22.0, 28.0])
"""Yaw, pitch and roll against the picture's own that are approached and never passed: beyond, the hidden side shows."""
_FREE_SHARE: Final = 0.7
"""Share of that up to which the head turns as it is told."""
_EAR_DEPTH_CM: Final = -2.5
"""Depth of all that surrounds the face: ears, hair, neck. As deep as the head's sides, so that its outline stays."""
_FALL_CM: Final = 4.0
"""Distance from the face's outline at which that depth is reached."""
RELIEF: Final = 1.3
"""Depths are exaggerated: slopes are limited and nothing is hidden, so the tracker sees only 0.65 of a turn with the
landmarks' own depth, and 0.75 with this (docs/LOG.md)."""
_STEEPEST: Final = 1.15
"""Depth that may be lost a centimetre: what is steeper folds over at turns of 40 degrees, and noses are pinched before.
Wings of noses are filled."""
_STEEP_CELLS: Final = 60
_SOFT_CM: Final = 0.35
_HIDDEN: Final = -99.0
_ROUNDS: Final = 4
_LEAST_AREA: Final = 0.15
"""Of a cell, after the turn: nearer to a fold, Newton's steps would leap."""
_LONGEST_STEP: Final = 4.0
_CHIN: Final = 152
_TOLERANCE: Final = 1e-6


class _Depths(NamedTuple):
    """The face's relief, as far as the mesh reaches."""

    depth_cm: Grid
    known: Bool[np.ndarray, "wide wide"]
    origin: Float[np.ndarray, "2"]
    """The head's origin, in cells."""
    cells_per_cm: float
    chin_cm: float
    """How far the chin is below the origin."""


def solid_turns() -> PoseMap:
    """Says that a solid head turns by the degrees that it is asked for, and how far."""
    yaw, pitch, roll = 30.0, 20.0, 25.0
    asked = np.array([-yaw, -roll, -pitch, 0.0, pitch, roll, yaw])
    made = np.stack([asked, asked.clip(-pitch, pitch), asked.clip(-roll, roll)], axis=1)[:, :, None] * np.eye(3)
    return PoseMap(asked_deg=asked, made_deg=made, error_deg=np.zeros((len(asked), 3)))


class SolidHead:
    """A head with a relief, before a background that holds still.

    The relief is the mesh's inside of the face's outline and falls to the ears' depth around it; its slopes are
    limited, so that no turn within reach folds it, and every place of the turned picture comes from one of the picture.
    """

    def __init__(self, mesh: Mesh, side_px: int, own: Float32[np.ndarray, "12"]) -> None:
        """Prepares relief and matte; takes a fifth of a second.

        Args:
            mesh: In pixels of the crop.
            side_px: Of the crop.
            own: Pose code of the picture, from the same encoder as those that will drive it.
        """
        depths = _depths(mesh, side_px)
        self._own = own.astype(np.float64)
        self._own_rotation = pose_from_code(own[None], CELLS).rotation[0].astype(np.float64)
        self._rows, self._columns = (axis.astype(np.float32) for axis in np.mgrid[0:_WIDE, 0:_WIDE])
        self._unit = np.float32(depths.cells_per_cm)
        away_cm = _away_cm(depths)
        self._depth = _limited(RELIEF * _surrounded(depths, away_cm), depths.cells_per_cm)
        self._x = (self._columns - np.float32(depths.origin[0])) / self._unit
        self._y = (self._rows - np.float32(depths.origin[1])) / self._unit
        self._matte = _matte(away_cm, self._y, depths)

    def sources(self, driving: Float32[np.ndarray, "12"], margin: int = 0) -> Places:
        """Says where in the picture each cell of the turned picture comes from.

        Args:
            driving: The pose code.
            margin: Cells around the crop that are asked for, up to `MARGIN`.
        """
        inner = slice(MARGIN - margin, _WIDE - MARGIN + margin)
        columns, rows = self._columns[inner, inner], self._rows[inner, inner]
        moved = self._moved(driving)
        if np.abs(moved).max() < _TOLERANCE:
            return np.dstack([columns, rows])
        return _inverse(moved, columns, rows)

    def _moved(self, driving: Float32[np.ndarray, "12"]) -> Moves:
        """How far each cell of the picture moves, in cells."""
        rotation, scale = self._turn(driving), float(np.exp(driving[11] - self._own[11]))
        shift = ((driving[9:11] - self._own[9:11]) * CELLS / 2 / self._unit).astype(np.float32)
        linear = (scale * rotation[:2, :2] - np.eye(2)).astype(np.float32)
        aside = (scale * rotation[:2, 2]).astype(np.float32)
        return np.dstack(
            [
                self._matte
                * (linear[row, 0] * self._x + linear[row, 1] * self._y - aside[row] * self._depth + shift[row])
                * self._unit
                for row in range(2)
            ]
        )

    def _turn(self, driving: Float32[np.ndarray, "12"]) -> Float[np.ndarray, "3 3"]:
        """Rotation against the picture's own, not farther than a solid head can show."""
        rotation = pose_from_code(driving[None], CELLS).rotation[0].astype(np.float64) @ self._own_rotation.T
        angles = angles_deg(rotation[None])[0]
        free = _FREE_SHARE * _FARTHEST_DEG
        rest = _FARTHEST_DEG - free
        over = np.abs(angles) - free
        soft = np.where(over > 0, free + rest * np.tanh(over.clip(0) / rest), np.abs(angles))
        return rotation_from_angles((np.sign(angles) * soft)[None])[0]


def _inverse(
    moved: Moves, columns: Float32[np.ndarray, "rows columns"], rows: Float32[np.ndarray, "rows columns"]
) -> Places:
    """Solves place + moved(place) = cell for every cell asked for, by Newton's method."""
    slopes = np.dstack([np.gradient(moved[..., axis], axis=along) for axis in range(2) for along in (1, 0)])
    x, y = (
        cell - cv2.remap(moved[..., axis], columns, rows, cv2.INTER_LINEAR) for axis, cell in enumerate((columns, rows))
    )
    for _ in range(_ROUNDS):
        there = cv2.remap(moved, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        slope = cv2.remap(slopes, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        left, down = columns - x - there[..., 0], rows - y - there[..., 1]
        xx, xy, yx, yy = 1 + slope[..., 0], slope[..., 1], slope[..., 2], 1 + slope[..., 3]
        area = np.maximum(xx * yy - xy * yx, np.float32(_LEAST_AREA))
        x = x + ((yy * left - xy * down) / area).clip(-_LONGEST_STEP, _LONGEST_STEP)
        y = y + ((xx * down - yx * left) / area).clip(-_LONGEST_STEP, _LONGEST_STEP)
    return np.dstack([x, y])


def _depths(mesh: Mesh, side_px: int) -> _Depths:
    pose = head_pose(mesh[None])
    to_cells = CELLS / side_px
    unit = float(pose.scale_px_per_cm[0]) * to_cells
    face = canonical_face()
    points = (mesh[: len(face.vertices_cm), :2].astype(np.float64) + 0.5) * to_cells - 0.5 + MARGIN
    # The mesh's depth has no origin of its own; the canonical head's rigid points give it one.
    rigid = face.vertices_cm[list(RIGID)].mean(axis=0)
    zero = float(mesh[list(RIGID), 2].mean()) - float(pose.scale_px_per_cm[0] * (pose.rotation[0] @ rigid)[2])
    heights = -(mesh[: len(face.vertices_cm), 2].astype(np.float64) - zero) * to_cells / unit
    depth = np.full((_WIDE, _WIDE), _HIDDEN, np.float32)
    for corners in face.triangles:
        _raise(depth, points[corners], heights[corners])
    origin = (pose.translation_px[0].astype(np.float64) + 0.5) * to_cells - 0.5 + MARGIN
    return _Depths(depth, depth > _HIDDEN, origin, unit, float(points[_CHIN, 1] - origin[1]) / unit)


def _raise(depth: Grid, corners: Float[np.ndarray, "3 2"], heights: Float[np.ndarray, "3"]) -> None:
    """Draws a triangle into the relief where it is the nearest."""
    low = np.floor(corners.min(axis=0)).astype(int).clip(0)
    high = (np.ceil(corners.max(axis=0)).astype(int) + 1).clip(max=_WIDE)
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


def _away_cm(depths: _Depths) -> Grid:
    distance = cv2.distanceTransform((~depths.known).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(distance / depths.cells_per_cm, np.float32)


def _surrounded(depths: _Depths, away_cm: Grid) -> Grid:
    """Continues the relief outside of the face's outline, down to the ears' depth."""
    unknown = (~depths.known).astype(np.uint8)
    labels = cv2.distanceTransformWithLabels(unknown, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1].astype(int)
    nearest = np.zeros(int(labels.max()) + 1, np.float32)
    nearest[labels[depths.known]] = depths.depth_cm[depths.known]
    fallen = _smooth_step(away_cm / _FALL_CM)
    around = nearest[labels] * (1 - fallen) + _EAR_DEPTH_CM * fallen
    # Rays from the nearest points leave streaks: the farther out, the less they matter.
    soft = _softened(around, 1.2 * depths.cells_per_cm)
    share = away_cm.clip(0, 1)
    return _softened(around * (1 - share) + soft * share, _SOFT_CM * depths.cells_per_cm)


def _limited(depth: Grid, cells_per_cm: float) -> Grid:
    """Fills what is too steep, from the nearer side: tips stay, what they would hide comes up to them."""
    step = np.float32(_STEEPEST / cells_per_cm)
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
    high = ((-below_cm - 2) / 5).clip(0, 1)
    reach = 2 + 3 * high - 2 * low
    share = 1 - _smooth_step((away_cm - reach) / (4.5 + 2.5 * high + 1.5 * low))
    return _softened(share, 0.8 * depths.cells_per_cm)


def _smooth_step(share: np.ndarray) -> Grid:
    share = share.clip(0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def _softened(values: np.ndarray, sigma: float) -> Grid:
    return np.asarray(cv2.GaussianBlur(values.astype(np.float32), (0, 0), sigma), np.float32)
