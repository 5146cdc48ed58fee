"""Pictures that move: a face turned in space by its own landmarks, so that real skin is seen in several poses."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from pcavs.face.pose import head_pose, rotation_from_angles
from pcavs.face.regions import FACE_OVAL
from pcavs.prepare.warp import warp_picture
from pcavs.types import Mesh, Picture

ANGLE_SPREAD_DEG = (8.0, 5.0, 5.0)
"""Standard deviation of the turn: yaw, pitch, roll."""

ANGLE_LIMIT_DEG = (15.0, 10.0, 12.0)
"""Beyond, the far cheek folds over: its pixels would have to be invented."""


class Move(NamedTuple):
    """A turn in space about a head's own origin, a change of size, then a shift in the picture's plane."""

    origin: Float[np.ndarray, "3"]
    rotation: Float[np.ndarray, "3 3"]
    shift_px: Float[np.ndarray, "2"]
    scale: float

    def __call__(self, points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        """Moves points, in pixels of the crop."""
        moved = (points - self.origin) @ self.rotation.T * self.scale + self.origin
        moved[:, :2] += self.shift_px
        return moved


def turned_pictures(crop: Picture, mesh: Mesh, count: int, rng: np.random.Generator) -> Iterator[tuple[Picture, Mesh]]:
    """Gives a crop as it is, then turned copies, each with its landmarks in pixels of the crop.

    Args:
        crop: Square picture of a face.
        mesh: Its landmarks in pixels of the crop.
        count: Pictures to give.
        rng: The source of randomness.
    """
    yield crop, mesh
    for _ in range(count - 1):
        angles = np.clip(rng.normal(0, ANGLE_SPREAD_DEG), np.negative(ANGLE_LIMIT_DEG), ANGLE_LIMIT_DEG)
        shift = rng.normal(0, 0.02, 2) * crop.shape[0]
        scale = float(np.exp(rng.normal(0, 0.05)))
        yield turn(crop, mesh, rotation_from_angles(angles[None].astype(np.float64))[0], shift, scale)


def turn(
    crop: Picture,
    mesh: Mesh,
    rotation: Float[np.ndarray, "3 3"],
    shift_px: Float[np.ndarray, "2"],
    scale: float,
) -> tuple[Picture, Mesh]:
    """Turns the head of a crop about its own origin; the crop's border stays where it is.

    The landmarks move as a rigid body. Hair moves with the skull, which is guessed as a ring outside the face's
    oval and behind it; from there to the border the picture is stretched.
    """
    anchors = np.concatenate([mesh[::4], skull(mesh)])
    move = Move(origin(mesh), rotation, shift_px, scale)
    targets = move(anchors)[:, :2]
    return warp_picture(crop, anchors[:, :2], targets), move(mesh.astype(np.float64)).astype(np.float32)


def origin(mesh: Mesh) -> Float[np.ndarray, "3"]:
    """Where a head turns about, in pixels of the crop."""
    pose = head_pose(mesh[None])
    oval = mesh[list(FACE_OVAL)]
    # The mesh's depth has no zero of its own: the head's origin lies about as deep as the oval's edge.
    return np.array([*pose.translation_px[0], oval[:, 2].max()], np.float64)


def skull(mesh: Mesh) -> Float[np.ndarray, "points 3"]:
    """A guess at the skull under the hair: a ring outside the upper face and behind it."""
    oval = mesh[list(FACE_OVAL)].astype(np.float64)
    middle = oval.mean(axis=0)
    width = np.ptp(oval[:, 0])
    upper = oval[oval[:, 1] < middle[1]]
    ring = middle + (upper - middle) * [1.25, 1.35, 1.0]
    ring[:, 2] = oval[:, 2].max() + 0.08 * width
    return ring
