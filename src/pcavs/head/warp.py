"""Turns the head in a photograph as a rigid body: the backward warp of a frame, from the depth map and a head pose.

1. The depth map, rotated, scaled and moved, gives each cell of the photograph a forward displacement, weighted by the
   matte (`_displacement`). The projection is orthographic.
2. A frame needs the inverse: for each of its cells the cell of the photograph that lands there. Where several do, the
   nearest to the viewer is visible. Ray marching through the depth map finds it (`_march_rays`).
3. Newton's method, started there, inverts the displacement exactly, soft edge of the matte included (`_invert`).

Lengths are centimetres of the average head, as in `head.depth`; places are grid coordinates (`head.grid`).
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.pose import angles_deg, head_pose, rotation_from_angles
from pcavs.head.depth import make_depth_map
from pcavs.head.grid import MARGIN, WIDE, Places
from pcavs.pose.track import FACE_WIDTH_CM, HeadRow
from pcavs.types import Mesh

Displacement = Float32[np.ndarray, "wide wide 2"]
"""Forward displacement (x, y): where each cell of the photograph moves to, minus its own place, in cells."""

_Gradients = Float32[np.ndarray, "wide wide 4"]
"""How the displacement changes: x along x, x along y, y along x, y along y."""

ROTATION_GAIN: Final = np.array([1.2, 1.05, 1.0])
"""Degrees of yaw, pitch and roll by which the depth map is rotated for each degree that a viewer should see. The face
tracker reads less than the true rotation of a depth map; measured on 21 faces by turns of up to 20 degrees
(docs/measurements.md)."""
REACH_DEG: Final = np.array([[-35.0, -20.0, -25.0], [35.0, 20.0, 25.0]])
"""Smallest and largest yaw, pitch and roll, in degrees relative to the photograph, that head tracks are limited to:
more would show too much of the hidden side. Chosen by eye on films of ten people."""
_TURNED_DEG: Final = 10.0
"""Yaw of the photograph up to which its head turns as far to either side."""
_LOST_PER_DEG: Final = 1.5
"""How much less far a head that is turned farther can turn back, in degrees for each degree: the photograph does not
show the other cheek, and stretching what it shows dents the face. Chosen by eye on three people at 21, 27 and 31."""
_MIN_TURN_BACK_DEG: Final = 5.0
"""How far any head can turn back. Chosen by eye on the same."""
_MAX_ROTATION_DEG: Final = np.array([44.0, 25.0, 28.0])
"""Largest yaw, pitch and roll of the depth map; larger angles saturate towards it, because beyond it the hidden side
shows. Chosen by eye."""
_LINEAR_SHARE: Final = 0.8
"""Share of `_MAX_ROTATION_DEG` up to which angles are applied as they are; from there on they saturate (tanh). Tuned by
hand; not measured."""
_SMOOTH_CELLS: Final = 0.8
"""Standard deviation of the blur of the inverted warp, so that occluding edges are not ragged. Chosen by eye."""
_OCCLUSION_REACH_CM: Final = 2.0
"""Distance around the face within which it may occlude other parts, so that rays are marched there. Chosen by eye."""
_MARCH_STEP_CELLS: Final = 1.5
"""Step of ray marching along the photograph: about three millimetres. Tuned by hand; not measured."""
_RIGID_MATTE: Final = 0.98
"""Matte above which a place counts as rigid, so that Newton's method starts from ray marching there. Tuned by hand; not
measured."""
_NEWTON_STEPS: Final = 4
"""Steps of Newton's method at the most. Tuned by hand; not measured."""
_SOLVED_CELLS: Final = 0.01
"""Largest error at which no further step is made: a fiftieth of a pixel at 256."""
_ONE_TO_ONE: Final = 0.25
"""Area of a cell after the turn, in cells, above which, in all cells, nothing is hidden behind anything else; rays are
then not marched. Far above 0, where it would be exact, since landmarks and depth are sampled."""
_MIN_AREA: Final = 0.15
"""Smallest determinant (area of a cell after the turn, in cells) that a Newton step divides by: near a fold the step
would be far too long. Tuned by hand; not measured."""
_MAX_NEWTON_STEP_CELLS: Final = 4.0
"""Largest Newton step along each axis. Tuned by hand; not measured."""
_TOLERANCE: Final = 1e-6
"""Largest displacement, in cells, at which a head counts as still; also the smallest divisor of the ray
intersection."""


def reach_deg(own_yaw_deg: float) -> Float[np.ndarray, "2 3"]:
    """Returns the smallest and largest yaw, pitch and roll that a head track is limited to.

    Args:
        own_yaw_deg: Yaw of the photograph, to which they are relative.
    """
    reach = REACH_DEG.copy()
    back = max(_LOST_PER_DEG * (abs(own_yaw_deg) - _TURNED_DEG), 0.0)
    side = int(own_yaw_deg < 0)  # a head that is turned to the left turns back to the right
    reach[side, 0] = np.sign(reach[side, 0]) * max(abs(reach[side, 0]) - back, _MIN_TURN_BACK_DEG)
    return reach


class _RigidMotion(NamedTuple):
    """Motion of the head's points under orthographic projection: linear @ (x, y) - aside * depth + shift, in cm."""

    linear: Float[np.ndarray, "2 2"]
    aside: Float[np.ndarray, "2"]
    """Motion in x and y for each centimetre of depth away from the viewer."""
    shift: Float[np.ndarray, "2"]


class DepthHead:
    """Computes the backward warps that turn the head of one photograph; the background has displacement 0."""

    def __init__(self, mesh: Mesh, side_px: int) -> None:
        """Prepares depth map and matte; takes a fifth of a second.

        Args:
            mesh: Landmarks in pixels of the crop.
            side_px: Side of the crop.
        """
        self._map = make_depth_map(mesh, side_px)
        own_deg = angles_deg(head_pose(mesh[None]).rotation.astype(np.float64))
        self._own_rotation = rotation_from_angles(own_deg)[0]  # built as driving rotations are: a still head is exact
        self._places = np.dstack(np.meshgrid(*[np.arange(WIDE, dtype=np.float32)] * 2))
        reach = 2 * round(_OCCLUSION_REACH_CM * self._map.cells_per_cm) + 1
        self._outside = 1 - cv2.GaussianBlur(self._map.face.astype(np.float32), (0, 0), _SMOOTH_CELLS)
        self._occluder = cv2.dilate(self._map.face.astype(np.uint8), np.ones((reach, reach), np.uint8))
        weighted = (self._map.x, self._map.y, self._map.depth, np.float32(1))
        # What a turn moves by is a sum of these four fields, and so is its gradient: the factors are the turn's.
        moves = [self._map.matte * np.float32(self._map.cells_per_cm) * each for each in weighted]
        self._moves = np.dstack(moves).astype(np.float32)
        self._gradients = np.dstack([*np.gradient(self._moves, axis=(1, 0))]).astype(np.float32)

    def sources(self, head: HeadRow, margin: int = 0) -> Places:
        """Returns, for each cell of the turned picture, the grid coordinates of the photograph that it shows.

        For the photograph's own pose, the result is exactly each cell's own coordinates.

        Args:
            head: Head pose: yaw, pitch and roll in degrees; x and y in face widths, and logarithm of size, relative to
                the photograph.
            margin: Cells around the crop to include, up to `MARGIN`.
        """
        first = MARGIN - margin
        inside = np.s_[first : WIDE - first, first : WIDE - first]
        cells = self._places[inside]
        motion = self._rigid_motion(head)
        displacement = self._displacement(motion)
        if np.abs(displacement).max() < _TOLERANCE:
            return cells.copy()
        gradients = self._gradients_of(motion)
        start = cells - displacement[inside]
        if _smallest_area(gradients) < _ONE_TO_ONE:
            rows, columns = self._occluded_box(displacement, first, len(cells))
            if start[rows, columns].size:
                visible = self._march_rays(cells[rows, columns], motion)
                rigid = cv2.remap(self._map.matte, visible[..., 0], visible[..., 1], cv2.INTER_LINEAR) > _RIGID_MATTE
                start[rows, columns][rigid] = visible[rigid]
        backward = cv2.subtract(_invert(displacement, gradients, cells, start), cells)
        return cv2.add(cells, cv2.GaussianBlur(backward, (0, 0), _SMOOTH_CELLS, borderType=cv2.BORDER_REPLICATE))

    def outside_face(self, places: Places) -> Float32[np.ndarray, "rows columns"]:
        """Returns a soft mask of places outside the face: 0 on the face; 1 on hair, ears and background."""
        return cv2.remap(
            self._outside, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )

    def _displacement(self, motion: _RigidMotion) -> Displacement:
        """Computes the forward displacement of each cell of the photograph."""
        return cv2.transform(self._moves, _factors(motion))

    def _gradients_of(self, motion: _RigidMotion) -> _Gradients:
        """Computes how that displacement changes from cell to cell."""
        factors = _factors(motion)
        nothing = np.zeros_like(factors)
        along_x, along_y = np.hstack([factors, nothing]), np.hstack([nothing, factors])
        return cv2.transform(self._gradients, np.stack([along_x[0], along_y[0], along_x[1], along_y[1]]))

    def _occluded_box(self, displacement: Displacement, first: int, size: int) -> tuple[slice, slice]:
        """Returns rows and columns of the frame's cells that the face and its surroundings move to."""
        low, high = [], []
        for moved in cv2.split(cv2.add(self._places, displacement)):
            least, most, *_ = cv2.minMaxLoc(moved, self._occluder)
            low.append(min(max(int(np.floor(least)) - first, 0), size))
            high.append(min(max(int(np.ceil(most)) + 1 - first, 0), size))
        return slice(low[1], max(low[1], high[1])), slice(low[0], max(low[0], high[0]))

    def _march_rays(self, cells: Places, motion: _RigidMotion) -> Places:
        """Finds the place of the photograph that is visible in each cell of the frame, for a matte of 1.

        The points that could land on a cell form a line in the photograph, one point for each depth. The line is
        sampled from the nearest depth to the farthest; where it first meets the depth map, the surface is visible. The
        intersection is interpolated linearly between two samples.
        """
        depths = self._map
        inverse = np.linalg.inv(motion.linear)
        corner_cm = np.array([depths.x[0, 0], depths.y[0, 0]], np.float64)
        flat = ((cells / depths.cells_per_cm + corner_cm - motion.shift) @ inverse.T - corner_cm) * depths.cells_per_cm
        slope = inverse @ motion.aside * depths.cells_per_cm  # cells along the photograph for each cm of depth
        high, low = float(depths.depth.max()), float(depths.depth.min())
        steps = max(2, int(np.ceil(np.hypot(*slope) * (high - low) / _MARCH_STEP_CELLS)))
        x, y = (np.ascontiguousarray(flat[..., axis], np.float32) for axis in range(2))
        hit_cm = np.full(x.shape, low, np.float32)
        searching = np.ones(x.shape, bool)
        above = np.ones(x.shape, np.float32)  # height of the ray over the surface at the last sample, in cm
        at_x, at_y, over, share = (np.empty_like(x) for _ in range(4))
        hit = np.empty_like(searching)
        step_cm = np.float32((high - low) / steps)
        for depth in np.linspace(high, low, steps + 1):
            np.add(x, np.float32(slope[0] * depth), out=at_x)
            np.add(y, np.float32(slope[1] * depth), out=at_y)
            surface = cv2.remap(depths.depth, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            np.subtract(np.float32(depth), surface, out=over)
            np.less_equal(over, 0, out=hit)
            hit &= searching
            if hit.any():
                # Computed for all rays, which is faster than picking those that hit.
                np.subtract(above, over, out=share)
                np.maximum(share, np.float32(_TOLERANCE), out=share)
                np.divide(above, share, out=share)
                np.subtract(1, share, out=share)
                np.multiply(share, step_cm, out=share)
                np.add(np.float32(depth), share, out=share)
                np.copyto(hit_cm, share, where=hit)
                searching ^= hit
                if not searching.any():
                    break
            above, over = over, above
        return cv2.merge([x + np.float32(slope[0]) * hit_cm, y + np.float32(slope[1]) * hit_cm])

    def _rigid_motion(self, head: HeadRow) -> _RigidMotion:
        """Returns the motion of the head from the photograph's own pose to another one, its angles saturated."""
        turned = rotation_from_angles(head[None, :3])[0] @ self._own_rotation.T
        angles = ROTATION_GAIN * angles_deg(turned[None])[0]
        linear_deg = _LINEAR_SHARE * _MAX_ROTATION_DEG
        rest_deg = _MAX_ROTATION_DEG - linear_deg
        over = np.abs(angles) - linear_deg
        size = np.where(over > 0, linear_deg + rest_deg * np.tanh(over.clip(0) / rest_deg), np.abs(angles))
        scaled = float(np.exp(head[5])) * rotation_from_angles((np.sign(angles) * size)[None])[0]
        return _RigidMotion(scaled[:2, :2], scaled[:2, 2], head[3:5] * FACE_WIDTH_CM)


def _factors(motion: _RigidMotion) -> Float32[np.ndarray, "2 4"]:
    """Returns the factors of x, y, depth and 1 in the motion of a point."""
    return np.column_stack([motion.linear - np.eye(2), -motion.aside, motion.shift]).astype(np.float32)


def _smallest_area(gradients: _Gradients) -> float:
    """Returns the smallest area of a cell after the turn, in cells; below 0 it is seen from behind."""
    xx, xy, yx, yy = cv2.split(gradients)
    return float(((1 + xx) * (1 + yy) - xy * yx).min())


def _invert(displacement: Displacement, gradients: _Gradients, cells: Places, start: Places) -> Places:
    """Solves place + displacement(place) = cell for the place of every cell, by Newton's method."""
    columns, rows = cv2.split(cells)
    x, y = cv2.split(start)
    one, step, product = np.float32(1), np.empty_like(x), np.empty_like(x)
    for _ in range(_NEWTON_STEPS):
        moved = cv2.remap(displacement, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        error_x, error_y = cv2.split(moved)
        for error, place, at in ((error_x, columns, x), (error_y, rows, y)):
            np.subtract(np.subtract(place, at, out=product), error, out=error)
        if max(cv2.norm(error_x, cv2.NORM_INF), cv2.norm(error_y, cv2.NORM_INF)) <= _SOLVED_CELLS:
            break
        gradient = cv2.remap(gradients, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        xx, xy, yx, yy = cv2.split(gradient)
        xx += one
        yy += one
        area = xx * yy
        area -= np.multiply(xy, yx, out=product)
        np.maximum(area, np.float32(_MIN_AREA), out=area)
        for place, along, error, across, other in ((x, yy, error_x, xy, error_y), (y, xx, error_y, yx, error_x)):
            np.multiply(along, error, out=step)
            step -= np.multiply(across, other, out=product)
            step /= area
            np.clip(step, -_MAX_NEWTON_STEP_CELLS, _MAX_NEWTON_STEP_CELLS, out=step)
            place += step
    return cv2.merge([x, y])
