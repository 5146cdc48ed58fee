"""Where the head is and where it points, from the rigid points of the mesh.

Frame of everything here: x to the picture's right, y down, z away from the viewer. A face that looks straight into
the camera has the identity rotation. Projection is taken as orthographic: a face far from the picture's centre, or
very near to the camera, keeps a constant bias of a few degrees.
"""

import functools
from importlib import resources
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int32

Rotations = Float[np.ndarray, "time 3 3"]

RIGID: Final = (
    *(10, 109, 338, 67, 297, 103, 332, 54, 284, 151),  # forehead below the hairline
    *(168, 6, 197, 195, 5, 4),  # bridge of the nose, tip included
    *(33, 133, 362, 263),  # eye corners
    *(116, 345, 117, 346, 123, 352, 143, 372),  # cheekbones
    *(21, 251, 162, 389, 127, 356, 234, 454),  # temples down to the ears
)
"""Points that speech, blinks and raised brows hardly move."""

_STEADIEST: Final = (168, 6, 197, 195, 33, 133, 362, 263)
"""The bridge of the nose and the eye corners: the sharpest features, so they count twice."""

HEAD_CM: Final = 20.0
"""Scale of 1 (0 in the pose code) means that 20 cm, about a head's height, fill the crop."""


class HeadPose(NamedTuple):
    """A rigid head over time: mesh = scale * rotation @ canonical + translation."""

    rotation: Float32[np.ndarray, "time 3 3"]
    translation_px: Float32[np.ndarray, "time 2"]
    """Where the head's origin (between the ears, at the height of the nose's root) lies in the picture."""
    scale_px_per_cm: Float32[np.ndarray, " time"]


class Canonical(NamedTuple):
    """The average head, looking into the camera, in this module's frame."""

    vertices_cm: Float32[np.ndarray, "468 3"]
    triangles: Int32[np.ndarray, "898 3"]


@functools.cache
def canonical_face() -> Canonical:
    """Loads the canonical face mesh that ships with the package (its y and z turned to this module's frame)."""
    path = resources.files("pcavs") / "assets" / "face" / "canonical_face.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        vertices = arrays["vertices_cm"] * np.array([1, -1, -1], np.float32)
        return Canonical(vertices, arrays["triangles"])


def head_pose(meshes: Float32[np.ndarray, "time 478 3"]) -> HeadPose:
    """Fits the canonical head to each mesh by weighted Procrustes analysis of the `RIGID` points.

    Reference: Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991.
    """
    weights = np.where(np.isin(RIGID, _STEADIEST), 2.0, 1.0)
    weights /= weights.sum()
    model = canonical_face().vertices_cm[list(RIGID)].astype(np.float64)
    points = meshes[:, RIGID].astype(np.float64)
    model_mean, point_means = weights @ model, np.einsum("n,tnc->tc", weights, points)
    model, points = model - model_mean, points - point_means[:, None]

    covariance = np.einsum("n,tni,nj->tij", weights, points, model)
    left, singular, right = np.linalg.svd(covariance)
    # A reflection would fit a mirrored face better than any turn does: forbid it.
    singular[:, 2] *= np.sign(np.linalg.det(left @ right))
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    rotation = left @ right
    scale = singular.sum(axis=1) / np.einsum("n,nc,nc->", weights, model, model)
    translation = point_means - scale[:, None] * (rotation @ model_mean)
    return HeadPose(rotation.astype(np.float32), translation[:, :2].astype(np.float32), scale.astype(np.float32))


def head_frame(meshes: Float32[np.ndarray, "time 478 3"]) -> Float32[np.ndarray, "time 478 3"]:
    """Moves meshes into the head's own frame: cm, looking into the camera, origin inside the head.

    The depth's origin is that of the mesh's rigid points, as the picture does not tell it.
    """
    pose = head_pose(meshes)
    model_centre = canonical_face().vertices_cm[list(RIGID)].mean(axis=0)
    rigid_depth = meshes[:, RIGID, 2].mean(axis=1)
    turned_depth = pose.scale_px_per_cm * (pose.rotation @ model_centre)[:, 2]
    origin = np.column_stack([pose.translation_px, rigid_depth - turned_depth])
    # Row vectors: v @ R is the inverse rotation of v.
    return (((meshes - origin[:, None]) @ pose.rotation) / pose.scale_px_per_cm[:, None, None]).astype(np.float32)


def angles_deg(rotation: Rotations) -> Float[np.ndarray, "time 3"]:
    """Turns rotations into (yaw, pitch, roll) in degrees.

    Yaw > 0: the face points to the picture's right. Pitch > 0: it looks up. Roll > 0: the head leans clockwise
    in the picture, about the axis that the face points along. Yaw is in [-180, 180], pitch in [-90, 90].
    """
    yaw = np.arctan2(-rotation[:, 0, 2], rotation[:, 2, 2])
    pitch = np.arcsin(np.clip(rotation[:, 1, 2], -1, 1))
    roll = np.arctan2(rotation[:, 1, 0], rotation[:, 1, 1])
    return np.degrees(np.stack([yaw, pitch, roll], axis=1))


def rotation_from_angles(angles: Float[np.ndarray, "time 3"]) -> Rotations:
    """Builds rotations from (yaw, pitch, roll) in degrees; the inverse of `angles_deg`.

    The head is rolled first, then pitched, then turned.
    """
    (yaw_cos, pitch_cos, roll_cos), (yaw_sin, pitch_sin, roll_sin) = (
        np.cos(np.radians(angles.T)),
        np.sin(np.radians(angles.T)),
    )
    zero, one = np.zeros(len(angles)), np.ones(len(angles))
    yaw = _matrices([yaw_cos, zero, -yaw_sin], [zero, one, zero], [yaw_sin, zero, yaw_cos])
    pitch = _matrices([one, zero, zero], [zero, pitch_cos, pitch_sin], [zero, -pitch_sin, pitch_cos])
    roll = _matrices([roll_cos, -roll_sin, zero], [roll_sin, roll_cos, zero], [zero, zero, one])
    return yaw @ pitch @ roll


def pose_code(meshes_in_crop: Float32[np.ndarray, "time 478 3"], side_px: int) -> Float32[np.ndarray, "time 12"]:
    """Writes the head pose of meshes inside a square crop as twelve numbers that do not depend on its size.

    Returns:
        Rotation, row by row (9); the head's origin, -1 at the crop's left or top edge and 1 at its right or
        bottom edge (2); the natural logarithm of the share of the crop's side that 20 cm fill (1).
    """
    pose = head_pose(meshes_in_crop)
    place = 2 * (pose.translation_px + 0.5) / side_px - 1
    size = np.log(pose.scale_px_per_cm * HEAD_CM / side_px)
    return np.concatenate([pose.rotation.reshape(-1, 9), place, size[:, None]], axis=1).astype(np.float32)


def pose_from_code(code: Float32[np.ndarray, "time 12"], side_px: int) -> HeadPose:
    """Reads what `pose_code` wrote, for a crop of `side_px`; the rotation is made orthonormal again."""
    left, _, right = np.linalg.svd(code[:, :9].reshape(-1, 3, 3).astype(np.float64))
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    place = (code[:, 9:11] + 1) * side_px / 2 - 0.5
    scale = np.exp(code[:, 11]) * side_px / HEAD_CM
    return HeadPose((left @ right).astype(np.float32), place.astype(np.float32), scale.astype(np.float32))


def _matrices(*rows: list[Float[np.ndarray, " time"]]) -> Rotations:
    return np.moveaxis(np.array(rows), -1, 0)
