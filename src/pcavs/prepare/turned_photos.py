"""Turns the head of a photograph by its own landmarks, so that training sees real skin in several poses.

The mesh is moved as a rigid body, and the picture follows by one thin-plate warp (`pcavs.prepare.warp`). This is a
cheap augmentation for training data; `pcavs.head` turns heads for films.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

from pcavs.face.pose import head_pose, rotation_from_angles
from pcavs.face.regions import FACE_OVAL
from pcavs.prepare.warp import warp_picture
from pcavs.types import Mesh, Picture

ANGLE_SPREAD_DEG: Final = (8.0, 5.0, 5.0)
"""Standard deviation of yaw, pitch and roll. Chosen by eye."""

ANGLE_LIMIT_DEG: Final = (15.0, 10.0, 12.0)
"""Largest yaw, pitch and roll. Chosen by eye: at 25 degrees of yaw the far cheek folds over."""

_SHIFT_SPREAD: Final = 0.02
"""Standard deviation of the shift along x and y, as a fraction of the crop's side. Chosen by eye."""

_LOG_SCALE_SPREAD: Final = 0.05
"""Standard deviation of the size's natural logarithm. Chosen by eye."""

MESH_STRIDE: Final = 4
"""Stride: every fourth landmark is a control point of the warp; enough for a face, and fast."""

_SKULL_SCALE: Final = (1.25, 1.35, 1.0)
"""Size of the skull's ring in sizes of the upper face oval, along x, y and z. Chosen by eye."""

_SKULL_DEPTH: Final = 0.08
"""Depth of that ring behind the face oval's edge, in widths of the oval. Chosen by eye."""


class HeadTransform(NamedTuple):
    """A similarity in space: a rotation and a scaling about the head's origin, then a shift in the picture plane."""

    origin: Float[np.ndarray, "3"]
    """Pixels of the crop."""
    rotation: Float[np.ndarray, "3 3"]
    shift_px: Float[np.ndarray, "2"]
    scale: float

    def __call__(self, points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        """Transforms points in pixels of the crop."""
        moved = (points - self.origin) @ self.rotation.T * self.scale + self.origin
        moved[:, :2] += self.shift_px
        return moved


def turned_copies(crop: Picture, mesh: Mesh, count: int, rng: np.random.Generator) -> Iterator[tuple[Picture, Mesh]]:
    """Yields the crop as it is, then turned copies, each with its landmarks in pixels of the crop.

    Args:
        crop: Square picture of a face.
        mesh: Its landmarks in pixels of the crop.
        count: Number of pictures, the unchanged one included.
        rng: Draws angles, shifts and sizes.
    """
    yield crop, mesh
    for _ in range(count - 1):
        angles = np.clip(rng.normal(0, ANGLE_SPREAD_DEG), np.negative(ANGLE_LIMIT_DEG), ANGLE_LIMIT_DEG)
        shift = rng.normal(0, _SHIFT_SPREAD, 2) * crop.shape[0]
        scale = float(np.exp(rng.normal(0, _LOG_SCALE_SPREAD)))
        yield turn_head(crop, mesh, rotation_from_angles(angles[None].astype(np.float64))[0], shift, scale)


def turn_head(
    crop: Picture,
    mesh: Mesh,
    rotation: Float[np.ndarray, "3 3"],
    shift_px: Float[np.ndarray, "2"],
    scale: float,
) -> tuple[Picture, Mesh]:
    """Turns the head of a crop about the head's origin; the crop's border stays in place.

    The landmarks move as a rigid body. Hair moves with the skull, which is approximated by a ring outside the face oval
    and behind it; between that ring and the border the picture is stretched.
    """
    control_points = np.concatenate([mesh[::MESH_STRIDE], skull_ring(mesh)])
    transform = HeadTransform(head_origin(mesh), rotation, shift_px, scale)
    targets = transform(control_points)[:, :2]
    return warp_picture(crop, control_points[:, :2], targets), transform(mesh.astype(np.float64)).astype(np.float32)


def head_origin(mesh: Mesh) -> Float[np.ndarray, "3"]:
    """Returns the point about which a head turns, in pixels of the crop."""
    pose = head_pose(mesh[None])
    oval = mesh[list(FACE_OVAL)]
    # The fitted pose has no depth; the head's origin lies about as deep as the deepest point of the face oval.
    return np.array([*pose.translation_px[0], oval[:, 2].max()], np.float64)


def skull_ring(mesh: Mesh) -> Float[np.ndarray, "points 3"]:
    """Approximates the skull under the hair by a ring outside the upper half of the face oval and behind it."""
    oval = mesh[list(FACE_OVAL)].astype(np.float64)
    middle = oval.mean(axis=0)
    width = np.ptp(oval[:, 0])
    upper = oval[oval[:, 1] < middle[1]]
    ring = middle + (upper - middle) * _SKULL_SCALE
    ring[:, 2] = oval[:, 2].max() + _SKULL_DEPTH * width
    return ring
