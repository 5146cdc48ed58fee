"""Fits the pose of a rigid head to landmarks, and converts between rotations, angles and pose codes.

Coordinate frame of all rotations and of the canonical head (right-handed): x points to the picture's right, y down, z
away from the camera. The identity rotation is a face that looks straight into the camera. A rotation R maps the head's
own coordinates to the picture's: v_picture = R v_head, for column vectors.

Angles are yaw, pitch and roll in degrees, of R = R_yaw R_pitch R_roll (the head is rolled first, then pitched, then
turned):

- yaw, about the vertical y axis, in [-180, 180]: positive if the face points to the picture's right;
- pitch, about the x axis, in [-90, 90]: positive if the face looks up;
- roll, about the head's own z axis, in [-180, 180]: positive if the head leans clockwise in the picture.

The projection is taken as orthographic, so a face far from the picture's centre, or close to the camera, has a constant
bias of a few degrees.
"""

import functools
from importlib import resources
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int32

Rotations = Float[np.ndarray, "time 3 3"]
"""Rotation matrices in the module's coordinate frame."""

RIGID: Final = (
    *(10, 109, 338, 67, 297, 103, 332, 54, 284, 151),  # forehead below the hairline
    *(168, 6, 197, 195, 5, 4),  # bridge of the nose, tip included
    *(33, 133, 362, 263),  # eye corners
    *(116, 345, 117, 346, 123, 352, 143, 372),  # cheekbones
    *(21, 251, 162, 389, 127, 356, 234, 454),  # temples down to the ears
)
"""Mesh points that speech, blinks and raised brows hardly move."""

_PRECISE: Final = (168, 6, 197, 195, 33, 133, 362, 263)
"""Rigid points on the bridge of the nose and at the eye corners, which the landmark network locates most precisely."""

_PRECISE_WEIGHT: Final = 2.0
"""Weight of the `_PRECISE` points in the fit; that of the other rigid points is 1. Tuned by hand; not measured."""

HEAD_CM: Final = 20.0
"""Length that fills the crop at size 1 (0 in the pose code): about the height of a head."""


class HeadPose(NamedTuple):
    """Pose of a rigid head over time: mesh = scale * rotation @ canonical + translation."""

    rotation: Float32[np.ndarray, "time 3 3"]
    """In the module's coordinate frame."""
    translation_px: Float32[np.ndarray, "time 2"]
    """x and y of the head's origin in the picture. The origin lies between the ears, at the height of the root of the
    nose."""
    scale_px_per_cm: Float32[np.ndarray, " time"]
    """Pixels for each centimetre of the canonical head."""


class Canonical(NamedTuple):
    """The canonical (average) face mesh, looking into the camera, in the module's coordinate frame."""

    vertices_cm: Float32[np.ndarray, "468 3"]
    """The landmarks without the ten of the irises."""
    triangles: Int32[np.ndarray, "898 3"]
    """Vertex indices."""


@functools.cache
def canonical_face() -> Canonical:
    """Loads the canonical face mesh of MediaPipe, which ships with the package; y and z are negated into this frame."""
    path = resources.files("pcavs") / "assets" / "face" / "canonical_face.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        vertices = arrays["vertices_cm"] * np.array([1, -1, -1], np.float32)
        return Canonical(vertices, arrays["triangles"])


def head_pose(meshes: Float32[np.ndarray, "time 478 3"]) -> HeadPose:
    """Fits the canonical head to each mesh by weighted Procrustes analysis of the `RIGID` points.

    Args:
        meshes: Pixels; z in the same unit, smaller is nearer.

    Reference: Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991.
    """
    weights = np.where(np.isin(RIGID, _PRECISE), _PRECISE_WEIGHT, 1.0)
    weights /= weights.sum()
    model = canonical_face().vertices_cm[list(RIGID)].astype(np.float64)
    points = meshes[:, RIGID].astype(np.float64)
    model_mean, point_means = weights @ model, np.einsum("n,tnc->tc", weights, points)
    model, points = model - model_mean, points - point_means[:, None]

    covariance = np.einsum("n,tni,nj->tij", weights, points, model)
    left, singular, right = np.linalg.svd(covariance)
    # Keep the determinant at +1: a reflection would fit a mirrored face better than any rotation.
    singular[:, 2] *= np.sign(np.linalg.det(left @ right))
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    rotation = left @ right
    scale = singular.sum(axis=1) / np.einsum("n,nc,nc->", weights, model, model)
    translation = point_means - scale[:, None] * (rotation @ model_mean)
    return HeadPose(rotation.astype(np.float32), translation[:, :2].astype(np.float32), scale.astype(np.float32))


def head_frame(meshes: Float32[np.ndarray, "time 478 3"]) -> Float32[np.ndarray, "time 478 3"]:
    """Transforms meshes into the head's own frame: centimetres, facing the camera, origin inside the head.

    A picture does not determine the depth of the head, so z is placed such that the mean depth of the `RIGID` points is
    that of the canonical head.
    """
    pose = head_pose(meshes)
    model_centre = canonical_face().vertices_cm[list(RIGID)].mean(axis=0)
    rigid_depth = meshes[:, RIGID, 2].mean(axis=1)
    turned_depth = pose.scale_px_per_cm * (pose.rotation @ model_centre)[:, 2]
    origin = np.column_stack([pose.translation_px, rigid_depth - turned_depth])
    # v @ R rotates the row vector v by the inverse of R.
    return (((meshes - origin[:, None]) @ pose.rotation) / pose.scale_px_per_cm[:, None, None]).astype(np.float32)


def angles_deg(rotation: Rotations) -> Float[np.ndarray, "time 3"]:
    """Converts rotations to (yaw, pitch, roll) in degrees; signs and ranges are in the module's docstring.

    At a pitch of 90 or -90 degrees yaw and roll are not unique.
    """
    yaw = np.arctan2(-rotation[:, 0, 2], rotation[:, 2, 2])
    pitch = np.arcsin(np.clip(rotation[:, 1, 2], -1, 1))
    roll = np.arctan2(rotation[:, 1, 0], rotation[:, 1, 1])
    return np.degrees(np.stack([yaw, pitch, roll], axis=1))


def rotation_from_angles(angles: Float[np.ndarray, "time 3"]) -> Rotations:
    """Converts (yaw, pitch, roll) in degrees to rotations R_yaw R_pitch R_roll; the inverse of `angles_deg`."""
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
    """Computes the pose code of meshes inside a square crop; it does not depend on the size of the crop.

    Args:
        meshes_in_crop: Pixels of the crop.
        side_px: Side of the crop.

    Returns:
        Twelve numbers: the rotation, row by row (9); x and y of the head's origin, -1 at the crop's left or top edge
        and 1 at its right or bottom edge (2); the natural logarithm of the fraction of the crop's side that 20 cm
        of the head fill (1).
    """
    pose = head_pose(meshes_in_crop)
    position = 2 * (pose.translation_px + 0.5) / side_px - 1
    size = np.log(pose.scale_px_per_cm * HEAD_CM / side_px)
    return np.concatenate([pose.rotation.reshape(-1, 9), position, size[:, None]], axis=1).astype(np.float32)


def pose_from_code(code: Float32[np.ndarray, "time 12"], side_px: int) -> HeadPose:
    """Converts pose codes to head poses in a crop of `side_px`; the inverse of `pose_code`.

    Nine numbers of a network need not be a rotation matrix; they are replaced by the nearest one.
    """
    left, _, right = np.linalg.svd(code[:, :9].reshape(-1, 3, 3).astype(np.float64))
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    position = (code[:, 9:11] + 1) * side_px / 2 - 0.5
    scale = np.exp(code[:, 11]) * side_px / HEAD_CM
    return HeadPose((left @ right).astype(np.float32), position.astype(np.float32), scale.astype(np.float32))


def _matrices(*rows: list[Float[np.ndarray, " time"]]) -> Rotations:
    """Stacks rows of coefficients over time into one matrix for each time."""
    return np.moveaxis(np.array(rows), -1, 0)
