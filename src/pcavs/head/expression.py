"""Moves brows, cheeks and the corners of the mouth in a photograph: a smooth displacement of its pixels.

How each part of a face moves is defined on the canonical mesh, in centimetres of an average face, and carried to the
person by the landmarks: it has the person's proportions, turn and size. Away from the face, and at the rims of the
eyes, nothing moves. Motions are added up, then inverted, because a frame needs to know where its pixels come from.

All numbers without another reason were chosen by eye, on 12 photographs at 512 pixels.
"""

import functools
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, Float64

from pcavs.face.pose import canonical_face, head_pose
from pcavs.face.regions import FACE_OVAL, LEFT_EYE, RIGHT_EYE
from pcavs.head.grid import CELLS, cells_per_cm, crop_cells
from pcavs.numeric import smoothstep
from pcavs.pose.expression import CHEEKS, FROWN, LEFT_BROW, RIGHT_BROW, SMILE, ExpressionRow
from pcavs.types import Mesh

Displacement = Float32[np.ndarray, "cells cells 2"]
"""Displacement field (x, y) over the crop, in cells."""

_MOVED: Final = (LEFT_BROW, RIGHT_BROW, FROWN, CHEEKS, SMILE)
"""Columns of an expression that move pixels."""
_BROW_CM: Final = 1.0
"""How far a raised brow moves up."""
_LOWERED: Final = 0.45
"""Share of that by which a brow goes down at most: there is less room."""
_BROW_LINE: Final = (105, 334, 66, 296, 63, 293, 52, 282, 65, 295)
"""Landmarks of the brows."""
_CREASE: Final = (27, 257, 29, 259, 28, 258)
"""Landmarks above the upper lids, where the skin begins to follow the brows."""
_FOREHEAD_SHARE: Final = 0.75
"""Height above the brows, as a share of the forehead, at which the skin stops following them."""
_PLATEAU: Final = (1.35, 2.4)
"""Slopes of the motion above and below the brows, in the distances to where it ends; beyond 1 all moves alike."""
_INNER_SHARE: Final = 0.65
"""How far the inner end of a raised brow goes up, as a share of its middle."""
_BROW_INNER_CM, _BROW_OUTER_CM = 0.5, 6.8
"""Distance from the middle of the face at which the skin begins to follow a brow, and ends to."""
_FROWN_CM: Final = (0.32, 0.3)
"""How far the inner ends of the brows are drawn together, and down."""
_FROWN_AT_CM, _FROWN_SPREAD_CM = 1.9, 1.1
"""Distance of these ends from the middle of the face, and the spread of their motion."""
_CHEEK_CM: Final = (0.1, 0.42)
"""How far raised cheeks move out, and up."""
_CHEEK: Final = (50, 280, 205, 425, 101, 330, 118, 347)
"""Landmarks in the middle of the cheeks."""
_CHEEK_SPREAD_CM: Final = (2.2, 1.5)
"""Spread of that motion across and along the face."""
_LOWER_LID_CM: Final = 0.12
"""How far the lower lids rise with the cheeks."""
_SMILE_CM: Final = (0.62, 0.42)
"""How far the corners of the mouth move out, and up, in a full smile."""
_SMILE_SPREAD_CM: Final = (1.9, 1.7)
"""Spread of that motion across and along the face."""
_SMILE_CHEEKS: Final = 0.6
"""How far a full smile raises the cheeks."""
_SMILE_LIPS_CM: Final = 0.1
"""How far the middle of the lips goes down in it: the lips are drawn tight in a bow."""
_MOUTH_CORNERS: Final = (61, 291)
_LIP_MIDDLES: Final = (13, 14)

_GRID: Final = 64
"""Cells along a side at which the motion is interpolated between landmarks."""
_REACH_CM: Final = 0.55
"""Standard deviation of the Gaussian with which a landmark's motion spreads."""
_FLOOR: Final = 0.03
"""Weight of what does not move, everywhere: away from all landmarks nothing moves."""
_INVERSIONS: Final = 4
"""Steps of the inversion. Each divides the error by three or more."""


class _Motions(NamedTuple):
    """How each vertex of the canonical mesh moves for a value of 1, in centimetres, x to the right and y down."""

    moves: Float64[np.ndarray, "motions 468 2"]


class ExpressionWarp:
    """Computes the displacement of one photograph's expressions.

    Args:
        mesh: Landmarks in pixels of the crop.
        side_px: Side of the crop.
    """

    def __init__(self, mesh: Mesh, side_px: int) -> None:
        self._mesh, self._side_px = mesh, side_px

    def displacement(self, expression: ExpressionRow | None) -> Displacement | None:
        """Returns where each cell's pixel comes from, minus its own place; None if nothing moves.

        Args:
            expression: Brows, cheeks and smile; None is those of the photograph.
        """
        if expression is None:
            return None
        values = [float(expression[column]) for column in _MOVED]
        if not any(values):
            return None
        forward = np.zeros((CELLS, CELLS, 2), np.float32)
        for value, field in zip(values, self._fields, strict=True):
            if value:
                forward += np.float32(value * (_LOWERED if value < 0 and field is not self._fields[-1] else 1)) * field
        return _inverse(forward)

    @functools.cached_property
    def _fields(self) -> tuple[Displacement, ...]:
        """The forward displacement of each motion; computed when the first one is asked for."""
        pose = head_pose(self._mesh[None])
        scale = cells_per_cm(pose.scale_px_per_cm[0], self._side_px)
        in_picture = scale * (_motions().moves @ pose.rotation[0, :2, :2].T.astype(np.float64))
        points = crop_cells(self._mesh[: in_picture.shape[1], :2].astype(np.float64), self._side_px)
        weights = _spread(points, _REACH_CM * scale)
        fields = np.einsum("gn,mnc->mgc", weights, in_picture).reshape(len(in_picture), _GRID, _GRID, 2)
        size = (CELLS, CELLS)
        return tuple(
            np.asarray(cv2.resize(each.astype(np.float32), size, interpolation=cv2.INTER_CUBIC), np.float32)
            for each in fields
        )


def _spread(points: Float[np.ndarray, "points 2"], reach: float) -> Float[np.ndarray, "cells points"]:
    """Returns the share of each landmark in the motion of each cell of the coarse grid; what is left does not move."""
    step = CELLS / _GRID
    axis = (np.arange(_GRID) + 0.5) * step - 0.5
    squares = (axis[:, None, None] - points[:, 1]) ** 2 + (axis[None, :, None] - points[:, 0]) ** 2
    weights = np.exp(-squares.reshape(-1, len(points)) / (2 * reach**2))
    return weights / (weights.sum(axis=1, keepdims=True) + _FLOOR)


def _inverse(forward: Displacement) -> Displacement:
    """Inverts a displacement: b with b(x) = -forward(x + b(x)), by fixed-point iteration."""
    x, y = np.meshgrid(*[np.arange(CELLS, dtype=np.float32)] * 2)
    backward = -forward
    for _ in range(_INVERSIONS):
        backward = -cv2.remap(
            forward, x + backward[..., 0], y + backward[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    return backward


@functools.cache
def _motions() -> _Motions:
    """Defines the motions on the canonical mesh."""
    face = canonical_face().vertices_cm.astype(np.float64)
    x, y = face[:, 0], face[:, 1]
    inside = np.ones(len(face))
    inside[list(FACE_OVAL)] = 0.0
    rims = _eye_rims(face)
    brow_y, crease_y = face[list(_BROW_LINE), 1].mean(), face[list(_CREASE), 1].mean()
    top_y = brow_y + _FOREHEAD_SHARE * (face[10, 1] - brow_y)
    # Plateaus around the brows, so that they move as a whole: the skin between brow and eye is stretched instead.
    above, below = (y - top_y) / (brow_y - top_y), (crease_y - y) / (crease_y - brow_y)
    height = smoothstep(np.where(y < brow_y, _PLATEAU[0] * above, _PLATEAU[1] * below))
    moves = np.zeros((len(_MOVED), len(face), 2))
    for number, side in enumerate((-1, 1)):
        aside = side * x
        across = smoothstep((aside + _BROW_INNER_CM) / (2 * _BROW_INNER_CM + 0.6)) * smoothstep(
            (_BROW_OUTER_CM - aside) / 1.6
        )
        across *= _INNER_SHARE + (1 - _INNER_SHARE) * smoothstep((aside - _FROWN_AT_CM + 0.7) / 2.0)
        moves[number, :, 1] = -_BROW_CM * height * across * inside * rims
    inner = np.exp(-(((np.abs(x) - _FROWN_AT_CM) / _FROWN_SPREAD_CM) ** 2)) * height * rims
    moves[2, :, 0] = -np.sign(x) * _FROWN_CM[0] * inner * smoothstep(np.abs(x) / 0.6)
    moves[2, :, 1] = _FROWN_CM[1] * inner
    moves[3] = _cheeks(face, inside, rims)
    moves[4] = _smile(face, inside) + _SMILE_CHEEKS * moves[3]
    return _Motions(moves)


def _eye_rims(face: Float64[np.ndarray, "468 3"]) -> Float64[np.ndarray, "468"]:
    """Returns 0 at the rims of the eyes and 1 away from them: eyes have motions of their own."""
    eyes = face[list(LEFT_EYE + RIGHT_EYE), :2]
    nearest = np.linalg.norm(face[:, None, :2] - eyes, axis=-1).min(axis=1)
    return smoothstep(nearest / 0.7)


def _cheeks(
    face: Float64[np.ndarray, "468 3"], inside: Float64[np.ndarray, "468"], rims: Float64[np.ndarray, "468"]
) -> Float64[np.ndarray, "468 2"]:
    centre = np.abs(face[list(_CHEEK), :2]).mean(axis=0) * (1, 0) + (0, face[list(_CHEEK), 1].mean())
    x, y = face[:, 0], face[:, 1]
    bump = np.exp(
        -(((np.abs(x) - centre[0]) / _CHEEK_SPREAD_CM[0]) ** 2) - ((y - centre[1]) / _CHEEK_SPREAD_CM[1]) ** 2
    )
    bump *= inside * rims
    return np.stack([np.sign(x) * _CHEEK_CM[0] * bump, -_CHEEK_CM[1] * bump], axis=-1)


def _smile(face: Float64[np.ndarray, "468 3"], inside: Float64[np.ndarray, "468"]) -> Float64[np.ndarray, "468 2"]:
    corner_x, corner_y = abs(face[_MOUTH_CORNERS[1], 0]), face[list(_MOUTH_CORNERS), 1].mean()
    x, y = face[:, 0], face[:, 1]
    along = ((y - corner_y) / _SMILE_SPREAD_CM[1]) ** 2
    corner = np.exp(-(((np.abs(x) - corner_x) / _SMILE_SPREAD_CM[0]) ** 2) - along) * inside
    # Between the corners the lips are stretched evenly.
    out = np.where(np.abs(x) < corner_x, np.abs(x) / corner_x * np.exp(-along) * inside, corner)
    up = np.where(np.abs(x) < corner_x, (np.abs(x) / corner_x) ** 2 * np.exp(-along) * inside, corner)
    middle = (1 - (np.abs(x) / corner_x).clip(0, 1) ** 2) * np.exp(-(((y - corner_y) / 1.0) ** 2))
    return np.stack([np.sign(x) * _SMILE_CM[0] * out, -_SMILE_CM[1] * up + _SMILE_LIPS_CM * middle], axis=-1)
