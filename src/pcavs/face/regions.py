"""Names groups of points of the 478-point mesh, and measures the mouth.

"Left" and "right" are the picture's, not the person's. Polygons run clockwise in the picture. Points 468 to 477 are the
irises, which the canonical mesh of 468 points lacks.
"""

import functools
from typing import Final

import numpy as np
from jaxtyping import Float, Float32, Int

from pcavs.face.pose import RIGID as RIGID
from pcavs.face.pose import canonical_face, head_frame

OUTER_LIPS: Final = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
"""Polygon, from the left mouth corner along the upper lip."""

INNER_LIPS: Final = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
"""Polygon, from the left inner mouth corner along the upper lip."""

LIPS: Final = OUTER_LIPS + INNER_LIPS
"""The 40 points of the lips, as `lips_shape` orders them."""

FACE_OVAL: Final = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""Polygon around the face, from the top of the forehead."""

LOWER_FACE: Final = (
    *(129, 98, 2, 327, 358),  # under the nose
    *(323, 361, 288, 397, 365, 379, 378, 400, 377, 152),  # right jaw, down to the chin
    *(148, 176, 149, 150, 136, 172, 58, 132, 93),
)
"""Polygon around all that speech moves, from the left wing of the nose."""

MOUTH_AND_CHIN: Final = (
    *(129, 98, 2, 327, 358, 425, 411, 416),  # under the nose, the right cheek
    *(365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136),  # the jaw
    *(192, 187, 205),  # the left cheek
)
"""Polygon around what speech moves most, without ears and hair, from the left wing of the nose."""

LEFT_EYE: Final = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
"""Polygon, from the outer corner along the upper lid."""

RIGHT_EYE: Final = (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382)
"""Polygon, from the inner corner along the upper lid."""

IRISES: Final = tuple(range(468, 478))
"""The left iris, then the right one: each is its centre, then its right, top, left and bottom."""
_MIRRORED_IRISES: Final = (473, 476, 475, 474, 477, 468, 471, 470, 469, 472)
"""The point that each of the `IRISES` becomes in a mirrored picture."""

LEFT_EYE_SIX: Final = (33, 160, 158, 133, 153, 144)
"""Stand-ins for points 36 to 41 of the 68-point scheme."""

RIGHT_EYE_SIX: Final = (362, 385, 387, 263, 373, 380)
"""Stand-ins for points 42 to 47 of the 68-point scheme."""

INNER_MOUTH_EIGHT: Final = (78, 81, 13, 311, 308, 402, 14, 178)
"""Stand-ins for points 60 to 67 of the 68-point scheme."""

_UPPER_INNER_LIP, _LOWER_INNER_LIP = 13, 14
"""Middles of the inner edges of the lips."""

_LEFT_MOUTH_CORNER, _RIGHT_MOUTH_CORNER = OUTER_LIPS[0], OUTER_LIPS[10]
"""Where the outer edges of the lips meet."""


def mouth_opening(meshes: Float32[np.ndarray, "time 478 3"]) -> Float32[np.ndarray, " time"]:
    """Measures the mouth opening: the gap between the inner lips over the distance between the eye centres.

    Both are distances in space, so the result does not change when the head turns. No unit; about 0 for a closed mouth,
    0.1 to 0.4 in speech.
    """
    gap = np.linalg.norm(meshes[:, _UPPER_INNER_LIP] - meshes[:, _LOWER_INNER_LIP], axis=-1)
    return (gap / interocular_distance(meshes)).astype(np.float32)


def mouth_width(meshes: Float32[np.ndarray, "time 478 3"]) -> Float32[np.ndarray, " time"]:
    """Measures the mouth width: the distance between the mouth corners over the distance between the eye centres.

    Both are distances in space, as for `mouth_opening`. No unit; about 0.8 at rest, more in "ee", less in "oo".
    """
    width = np.linalg.norm(meshes[:, _LEFT_MOUTH_CORNER] - meshes[:, _RIGHT_MOUTH_CORNER], axis=-1)
    return (width / interocular_distance(meshes)).astype(np.float32)


def interocular_distance(meshes: Float32[np.ndarray, "time 478 3"]) -> Float32[np.ndarray, " time"]:
    """Measures the distance between the eye centres in space, in the meshes' unit."""
    left, right = meshes[:, LEFT_EYE_SIX].mean(axis=1), meshes[:, RIGHT_EYE_SIX].mean(axis=1)
    return np.linalg.norm(left - right, axis=-1).astype(np.float32)


def lips_shape(meshes: Float32[np.ndarray, "time 478 3"]) -> Float[np.ndarray, "time 80"]:
    """Computes the lip shape in the head's own frame, without the head's position, size and rotation.

    Returns:
        x and y of the 40 `LIPS` points in cm (x0, y0, x1, y1, ...), as a frontal view shows them: x to the right, y
        down, origin inside the head. The person's own lip shape is part of it; subtract the clip's mean to get the
        motion.
    """
    return head_frame(meshes)[:, LIPS, :2].reshape(len(meshes), -1).astype(np.float32)


@functools.cache
def mirrored_points() -> Int[np.ndarray, " points"]:
    """Returns, for each of the 478 points, the index of its mirror image; points of the midline map to themselves."""
    vertices = canonical_face().vertices_cm.astype(np.float64)
    flipped = vertices * (-1, 1, 1)
    mirrored = np.linalg.norm(flipped[:, None] - vertices[None], axis=-1).argmin(axis=1)
    return np.concatenate([mirrored, _MIRRORED_IRISES])
