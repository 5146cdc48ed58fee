"""Detects faces in pictures that are turned by quarters: the detector is made for faces that are about upright.

It takes many an upside-down face for an upright one, with its eyes at the mouth, at a lower score.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from jaxtyping import Float

from pcavs.face.landmarker import Detection, FaceLandmarker
from pcavs.types import Picture

_DOUBTFUL_SCORE: Final = 0.88
"""Score below which a face is looked at in other orientations: upright ones score 0.93, upside-down ones at most 0.78
(measured on portraits and renders that were turned in steps of 30 degrees)."""
_MIN_GAIN: Final = 0.1
"""How much better another orientation must score."""
_WINDOW: Final = 2.5
"""Side of the part of the picture that is turned, in sizes of the face."""


def upright_detection(picture: Picture, face: Detection, landmarker: FaceLandmarker) -> Detection:
    """Detects a face again in the orientation in which the detector is surest of it.

    Args:
        picture: RGB.
        face: A face that was detected in it.
        landmarker: The networks.

    Returns:
        The face in pixels of the picture, with its keypoints where they are; the same detection if no quarter turn
        scores clearly better.
    """
    if face.score >= _DOUBTFUL_SCORE:
        return face
    centre = (face.box[:2] + face.box[2:]) / 2
    reach = float((face.box[2:] - face.box[:2]).max()) * _WINDOW / 2
    height, width = picture.shape[:2]
    x0, y0 = np.clip(np.floor(centre - reach), 0, [width - 1, height - 1]).astype(int)
    x1, y1 = np.clip(np.ceil(centre + reach), [x0 + 1, y0 + 1], [width, height]).astype(int)
    part = picture[y0:y1, x0:x1]
    best = face
    for turns in (2, 1, 3):
        for found in landmarker.detect(np.ascontiguousarray(np.rot90(part, turns)), face.score + _MIN_GAIN)[:1]:
            if found.score > best.score:
                best = _turned_back(found, turns, part.shape[:2], np.array([x0, y0], np.float32))
    return best


def search_turned(picture: Picture, landmarker: FaceLandmarker, min_score: float) -> Iterator[list[Detection]]:
    """Searches a picture in which no upright face is found: upside down, then on either side (`FaceLandmarker.search`).

    Yields:
        The faces of each round, best first, in pixels of the picture.
    """
    for turns in (2, 1, 3):
        turned = np.ascontiguousarray(np.rot90(picture, turns))
        for faces in landmarker.search(turned, min_score):
            yield [_turned_back(face, turns, picture.shape[:2], np.zeros(2, np.float32)) for face in faces]


def _turned_back(face: Detection, turns: int, size: tuple[int, ...], shift: Float[np.ndarray, "2"]) -> Detection:
    """Converts a detection in `np.rot90(part, turns)` to pixels of the picture that holds the part.

    Args:
        face: The detection.
        turns: Counterclockwise quarter turns.
        size: Height and width of the part before it was turned.
        shift: x and y of the part's first pixel.
    """
    height, width = size

    def back(points: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
        x, y = points[:, 0], points[:, 1]
        places = {1: (width - 1 - y, x), 2: (width - 1 - x, height - 1 - y), 3: (y, height - 1 - x)}[turns]
        return (np.stack(places, axis=1) + shift).astype(np.float32)

    corners = back(face.box.reshape(2, 2))
    box = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
    return Detection(box, back(face.keypoints), face.score)
