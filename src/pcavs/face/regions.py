"""Names for groups of points of the 478-point mesh, and two measures of the mouth.

"Left" and "right" are the picture's, not the person's. Polygons run clockwise in the picture from its left end,
unless said otherwise. Points 468 to 477 are the irises, which the canonical 468-point model lacks.
"""

import functools
from typing import Final

import numpy as np
from jaxtyping import Float, Float32, Int

from pcavs.face.pose import RIGID as RIGID
from pcavs.face.pose import canonical_face, head_frame

OUTER_LIPS: Final = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
"""Ordered polygon, from the left mouth corner over the upper lip."""

INNER_LIPS: Final = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
"""Ordered polygon, from the left inner corner over the upper lip."""

LIPS: Final = OUTER_LIPS + INNER_LIPS

FACE_OVAL: Final = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""Ordered polygon, from the top of the forehead."""

LOWER_FACE: Final = (
    *(129, 98, 2, 327, 358),  # under the nose
    *(323, 361, 288, 397, 365, 379, 378, 400, 377, 152),  # right jaw, down to the chin
    *(148, 176, 149, 150, 136, 172, 58, 132, 93),
)
"""Ordered polygon of all that speech moves, from the nose's left wing."""

MOUTH_AND_CHIN: Final = (
    *(129, 98, 2, 327, 358, 425, 411, 416),  # under the nose, the right cheek
    *(365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136),  # the jaw
    *(192, 187, 205),  # the left cheek
)
"""Ordered polygon of what speech moves most, away from ears and hair, from the nose's left wing."""

LEFT_EYE: Final = (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7)
"""Ordered polygon, from the outer corner over the upper lid."""

RIGHT_EYE: Final = (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382)
"""Ordered polygon, from the inner corner over the upper lid."""

EYES: Final = LEFT_EYE + RIGHT_EYE
BROWS: Final = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46, 300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
IRISES: Final = tuple(range(468, 478))
_MIRRORED_IRISES: Final = (473, 476, 475, 474, 477, 468, 471, 470, 469, 472)
"""Each iris is its centre, then its right, top, left and bottom."""

LEFT_EYE_SIX: Final = (33, 160, 158, 133, 153, 144)
"""Stand-ins for points 36 to 41 of the 68-point scheme."""

RIGHT_EYE_SIX: Final = (362, 385, 387, 263, 373, 380)
"""Stand-ins for points 42 to 47 of the 68-point scheme."""

INNER_MOUTH_EIGHT: Final = (78, 81, 13, 311, 308, 402, 14, 178)
"""Stand-ins for points 60 to 67 of the 68-point scheme."""

_UPPER_INNER_LIP, _LOWER_INNER_LIP = 13, 14


def mouth_opening(meshes: Float32[np.ndarray, "time 478 3"]) -> Float32[np.ndarray, " time"]:
    """Measures the gap between the inner lips as a share of the distance between the eye centres.

    Both are measured in space, so that a turned head does not look more open. Unitless; about 0 for a closed
    mouth, 0.1 to 0.4 in speech.
    """
    gap = np.linalg.norm(meshes[:, _UPPER_INNER_LIP] - meshes[:, _LOWER_INNER_LIP], axis=-1)
    return (gap / interocular_distance(meshes)).astype(np.float32)


def interocular_distance(meshes: Float32[np.ndarray, "time 478 3"]) -> Float32[np.ndarray, " time"]:
    """Measures the distance between the eye centres in space, in the meshes' unit."""
    left, right = meshes[:, LEFT_EYE_SIX].mean(axis=1), meshes[:, RIGHT_EYE_SIX].mean(axis=1)
    return np.linalg.norm(left - right, axis=-1).astype(np.float32)


def lips_shape(meshes: Float32[np.ndarray, "time 478 3"]) -> Float[np.ndarray, "time 80"]:
    """Describes the lips without the head's position, size and rotation.

    Returns:
        x and y in cm of the 40 `LIPS` points (x0, y0, x1, y1, ...), as a frontal view of the same lips would show
        them; x to the picture's right, y down, origin inside the head. A person's own lip shape stays in it:
        subtract the clip's mean to get speech.
    """
    return head_frame(meshes)[:, LIPS, :2].reshape(len(meshes), -1).astype(np.float32)


@functools.cache
def mirrored_points() -> Int[np.ndarray, " points"]:
    """Tells for each of the 478 points which one it becomes in a mirror; those of the midline stay."""
    vertices = canonical_face().vertices_cm.astype(np.float64)
    flipped = vertices * (-1, 1, 1)
    mirrored = np.linalg.norm(flipped[:, None] - vertices[None], axis=-1).argmin(axis=1)
    return np.concatenate([mirrored, _MIRRORED_IRISES])
