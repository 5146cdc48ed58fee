"""Turns the head in a picture as one solid body: what is nearer hides what is behind it.

Lengths are centimetres of the average head. Places are cells of a grid over the crop and a margin around it, x to the
picture's right, y down, depth towards the viewer.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.pose import angles_deg, head_pose, rotation_from_angles
from pcavs.head.depth import make_relief
from pcavs.head.grid import MARGIN, WIDE, Places
from pcavs.pose.track import FACE_WIDTH_CM, HeadRow
from pcavs.types import Mesh

Moves = Float32[np.ndarray, "wide wide 2"]
"""By how much each cell of the picture moves, in cells."""

ROTATION_GAIN: Final = np.array([1.2, 1.05, 1.0])
"""Degrees by which the relief is turned for each degree of yaw, pitch and roll that is asked for. The landmark
tracker reads less than the true turn of a relief; measured on 21 faces by turns of up to 20 degrees
(docs/measurements.md)."""
REACH_DEG: Final = np.array([[-35.0, -20.0, -25.0], [35.0, 20.0, 25.0]])
"""Smallest and largest yaw, pitch and roll, in degrees against the photograph, that are asked of a head: beyond,
too much of the hidden side would show. Chosen by eye on films of ten people."""
_FARTHEST_DEG: Final = np.array([44.0, 25.0, 28.0])
"""Yaw, pitch and roll of the relief that are approached and never passed: beyond, the hidden side shows."""
_FREE_SHARE: Final = 0.8
"""Share of that up to which the head turns as it is told."""
_SOFT_CELLS: Final = 0.8
"""Blur of the way back, so that the edge of what hides is not ragged."""
_AROUND_CM: Final = 2.0
"""How far around the face something may be hidden by it."""
_STEP_CELLS: Final = 1.5
"""Between two places that are looked at along a line of sight: three millimetres."""
_SOLID: Final = 0.98
"""Share of the head's motion from which on a place is taken to follow all of it."""
_ROUNDS: Final = 4
_LEAST_AREA: Final = 0.15
"""Of a cell, after the turn: nearer to a fold, Newton's steps would leap."""
_LONGEST_STEP: Final = 4.0
_TOLERANCE: Final = 1e-6


class _Turn(NamedTuple):
    """Where a point of the head goes: linear @ (x, y) - aside * depth + shift, in cm."""

    linear: Float[np.ndarray, "2 2"]
    aside: Float[np.ndarray, "2"]
    shift: Float[np.ndarray, "2"]


class DepthHead:
    """A head with a relief, before a background that holds still.

    Each place of the turned picture shows the part of the relief that lies there and is nearest to the viewer.
    """

    def __init__(self, mesh: Mesh, side_px: int) -> None:
        """Prepares relief and matte; takes a fifth of a second.

        Args:
            mesh: Landmarks in pixels of the crop.
            side_px: Side of the crop.
        """
        self._relief = make_relief(mesh, side_px)
        own_deg = angles_deg(head_pose(mesh[None]).rotation.astype(np.float64))
        self._own_rotation = rotation_from_angles(own_deg)[0]  # built as driving rotations are: a still head is exact
        self._places = np.dstack(np.meshgrid(*[np.arange(WIDE, dtype=np.float32)] * 2))
        reach = 2 * round(_AROUND_CM * self._relief.cells_per_cm) + 1
        self._beyond = 1 - cv2.GaussianBlur(self._relief.face.astype(np.float32), (0, 0), _SOFT_CELLS)
        self._covering = cv2.dilate(self._relief.face.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0

    def sources(self, head: HeadRow, margin: int = 0) -> Places:
        """Returns, for each cell of the turned picture, the grid coordinates of the photograph that it shows.

        Args:
            head: Where the head is: yaw, pitch and roll in degrees; x and y in face widths and logarithm of size,
                against the photograph.
            margin: Cells around the crop that are wanted, up to `MARGIN`.
        """
        first = MARGIN - margin
        cells = self._places[first : WIDE - first, first : WIDE - first]
        turn = self._turn(head)
        moved = self._moved(turn)
        if np.abs(moved).max() < _TOLERANCE:
            return cells.copy()
        start = cells - moved[first : WIDE - first, first : WIDE - first]
        rows, columns = _box(self._places[self._covering] + moved[self._covering], first, len(cells))
        if start[rows, columns].size:
            nearest = self._nearest(cells[rows, columns], turn)
            solid = cv2.remap(self._relief.matte, nearest[..., 0], nearest[..., 1], cv2.INTER_LINEAR) > _SOLID
            start[rows, columns][solid] = nearest[solid]
        away = _solved(moved, cells, start) - cells
        return cells + cv2.GaussianBlur(away, (0, 0), _SOFT_CELLS, borderType=cv2.BORDER_REPLICATE)

    def beyond_face(self, places: Places) -> Float32[np.ndarray, "rows columns"]:
        """Says how far places lie outside of the face: 1 in hair, on ears and beyond."""
        return cv2.remap(
            self._beyond, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )

    def _moved(self, turn: _Turn) -> Moves:
        """By how much each cell of the picture moves, in cells."""
        relief, unit = self._relief, np.float32(self._relief.cells_per_cm)
        linear = (turn.linear - np.eye(2)).astype(np.float32)
        aside, shift = turn.aside.astype(np.float32), turn.shift.astype(np.float32)
        moves = (
            linear[axis, 0] * relief.x + linear[axis, 1] * relief.y - aside[axis] * relief.depth + shift[axis]
            for axis in range(2)
        )
        return np.dstack([relief.matte * unit * move for move in moves])

    def _nearest(self, cells: Places, turn: _Turn) -> Places:
        """Finds the place of the picture that each cell shows, where all of it follows the head.

        All points that a cell could show lie on a line in the picture, one for each depth. It is walked from the
        nearest depth to the farthest, in small steps; the first place that lies as high as the line is seen. In
        between, line and relief are taken to be straight.
        """
        relief = self._relief
        back = np.linalg.inv(turn.linear)
        zero = np.array([relief.x[0, 0], relief.y[0, 0]], np.float64)
        flat = ((cells / relief.cells_per_cm + zero - turn.shift) @ back.T - zero) * relief.cells_per_cm
        slope = back @ turn.aside * relief.cells_per_cm  # cells a cm of depth
        high, low = float(relief.depth.max()), float(relief.depth.min())
        steps = max(2, int(np.ceil(np.hypot(*slope) * (high - low) / _STEP_CELLS)))
        x, y = (np.ascontiguousarray(flat[..., axis], np.float32) for axis in range(2))
        depths = np.linspace(high, low, steps + 1)
        seen = np.full(x.shape, low, np.float32)
        open_, above = np.ones(x.shape, bool), np.ones(x.shape, np.float32)
        for depth in depths:
            across, down = np.float32(slope[0] * depth), np.float32(slope[1] * depth)
            ground = cv2.remap(relief.depth, x + across, y + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            over = np.float32(depth) - ground
            hit = open_ & (over <= 0)
            share = above[hit] / np.maximum(above[hit] - over[hit], np.float32(_TOLERANCE))
            seen[hit] = np.float32(depth) + (1 - share) * np.float32((high - low) / steps)
            open_ &= ~hit
            if not open_.any():
                break
            above = over
        return np.dstack([x + np.float32(slope[0]) * seen, y + np.float32(slope[1]) * seen])

    def _turn(self, head: HeadRow) -> _Turn:
        """Returns the motion of the head against the photograph's own pose, no farther than can be shown."""
        turned = rotation_from_angles(head[None, :3])[0] @ self._own_rotation.T
        angles = ROTATION_GAIN * angles_deg(turned[None])[0]
        free = _FREE_SHARE * _FARTHEST_DEG
        rest = _FARTHEST_DEG - free
        over = np.abs(angles) - free
        soft = np.where(over > 0, free + rest * np.tanh(over.clip(0) / rest), np.abs(angles))
        scaled = float(np.exp(head[5])) * rotation_from_angles((np.sign(angles) * soft)[None])[0]
        return _Turn(scaled[:2, :2], scaled[:2, 2], head[3:5] * FACE_WIDTH_CM)


def _box(places: Float32[np.ndarray, "_ 2"], first: int, size: int) -> tuple[slice, slice]:
    """Rows and columns around places, of a square of cells that begins at a cell."""
    low = (np.floor(places.min(axis=0)).astype(int) - first).clip(0, size)
    high = (np.ceil(places.max(axis=0)).astype(int) + 1 - first).clip(0, size)
    return slice(low[1], max(low[1], high[1])), slice(low[0], max(low[0], high[0]))


def _solved(moved: Moves, cells: Places, start: Places) -> Places:
    """Solves place + moved(place) = cell for every cell, by Newton's method."""
    slopes = np.dstack([np.gradient(moved[..., axis], axis=along) for axis in range(2) for along in (1, 0)])
    columns, rows = cells[..., 0], cells[..., 1]
    x, y = (np.ascontiguousarray(start[..., axis]) for axis in range(2))
    for _ in range(_ROUNDS):
        there = cv2.remap(moved, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        slope = cv2.remap(slopes, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        left, down = columns - x - there[..., 0], rows - y - there[..., 1]
        xx, xy, yx, yy = 1 + slope[..., 0], slope[..., 1], slope[..., 2], 1 + slope[..., 3]
        area = np.maximum(xx * yy - xy * yx, np.float32(_LEAST_AREA))
        x = x + ((yy * left - xy * down) / area).clip(-_LONGEST_STEP, _LONGEST_STEP)
        y = y + ((xx * down - yx * left) / area).clip(-_LONGEST_STEP, _LONGEST_STEP)
    return np.dstack([x, y])
