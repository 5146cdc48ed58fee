"""Checks that the face of a photograph can be animated: that it is a face, inside the picture, and not covered."""

from typing import Final

import numpy as np
from jaxtyping import Float

from pcavs.errors import FaceError
from pcavs.face.landmarker import FaceLandmarker, Region
from pcavs.face.regions import FACE_OVAL, LEFT_EYE, LIPS, RIGHT_EYE, interocular_distance
from pcavs.types import Mesh, Picture

_SHIFTS: Final = (
    *((0.1, 0.0, 1.0, 0.0), (-0.1, 0.0, 1.0, 0.0), (0.0, 0.1, 1.0, 0.0), (0.0, -0.1, 1.0, 0.0)),
    *((0.0, 0.0, 1.2, 0.0), (0.0, 0.0, 0.85, 0.0), (0.0, 0.0, 1.0, 0.2), (0.0, 0.0, 1.0, -0.2)),
)
"""Moves of the landmark network's input: x and y as shares of its side, factor of the side, rotation in radians."""
_MAX_SPREAD: Final = 0.09
"""Mean distance by which the landmarks of a face may move with its input, in eye distances. On faces they move by 0.02,
on a cat, coins, a motorcycle and parts of faces that pass for one by 0.11 to 0.33."""
_COVERED_SPREAD: Final = 0.024
"""The same of the lips' landmarks, from which on a note says that the mouth seems covered (docs/measurements.md)."""
_EDGE_PX: Final = 0.5
"""The outer half of the outermost pixels belongs to the picture."""
_NOTED_SHARE: Final = 0.1
"""Share of the face's outline outside of the picture from which on it is noted. Tuned by hand; not measured."""
_NAMES: Final = (("the left eye", LEFT_EYE), ("the right eye", RIGHT_EYE), ("the mouth", LIPS))
"""Parts that a film cannot do without; left is the picture's."""


class NoFaceError(FaceError):
    """What was taken for a face is none."""


def check_face(picture: Picture, mesh: Mesh, landmarker: FaceLandmarker, name: str) -> list[str]:
    """Checks the face of a photograph before it is animated.

    Args:
        picture: RGB.
        mesh: Landmarks that were found in it.
        landmarker: The networks.
        name: Name of the picture in messages.

    Returns:
        Notes for the user, one line each.

    Raises:
        NoFaceError: The landmarks do not hold still on what they were found on, so it is no face.
        FaceError: The picture's edge cuts eyes or mouth.
    """
    spread = _spread(picture, mesh, landmarker)
    if spread.mean() > _MAX_SPREAD:
        raise NoFaceError(
            f"no face in {name}: something like a face was found, but its landmarks do not hold still; "
            "give a picture of a whole face"
        )
    for part, points in _NAMES:
        if _outside(picture, mesh, points) > 0:
            raise FaceError(
                f"the edge of {name} cuts the face at {part}; give a picture that shows eyes, mouth and chin"
            )
    notes = []
    if spread[list(LIPS)].mean() > _COVERED_SPREAD:
        notes.append(
            f"the mouth in {name} seems covered, by a mask, a microphone or a hand; films may move what covers it"
        )
    if _outside(picture, mesh, FACE_OVAL) > _NOTED_SHARE:
        notes.append(f"the edge of {name} cuts off part of the face; what is missing is filled with the picture's edge")
    return notes


def _outside(picture: Picture, mesh: Mesh, points: tuple[int, ...]) -> float:
    """Returns the share of points that lie outside of a picture."""
    height, width = picture.shape[:2]
    places: Float[np.ndarray, "points 2"] = mesh[list(points), :2]
    low, high = -_EDGE_PX, np.array([width, height]) - 1 + _EDGE_PX
    return float(((places < low) | (places > high)).any(axis=1).mean())


def _spread(picture: Picture, mesh: Mesh, landmarker: FaceLandmarker) -> Float[np.ndarray, " points"]:
    """Returns how far each landmark moves when the network sees the face a little moved; mean, in eye distances."""
    region = Region.of_mesh(mesh)
    distances = [
        np.linalg.norm(landmarker.locate(picture, _moved(region, *shift)).mesh[:, :2] - mesh[:, :2], axis=1)
        for shift in _SHIFTS
    ]
    return np.mean(distances, axis=0) / max(float(interocular_distance(mesh[None])[0]), 1.0)


def _moved(region: Region, x: float, y: float, scale: float, angle_rad: float) -> Region:
    centre = region.centre_px + np.array([x, y]) * region.side_px
    return Region(centre, region.side_px * scale, region.angle_rad + angle_rad)
