"""Which of several faces is meant."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from pcavs.face.landmarker import Detection
from pcavs.types import Box, Picture


@runtime_checkable
class FaceChoice(Protocol):
    """Says whom to follow."""

    name: str
    """For messages: how the one who is taken was chosen."""

    def rank(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection]:
        """Gives the faces that may be meant, likeliest first; none where the one who is meant is not among them."""
        ...


class Largest:
    """The largest central face."""

    name = "the largest central one"

    def rank(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection]:
        """Ranks by `prominence`."""
        height, width = picture.shape[:2]
        return sorted(faces, key=lambda face: prominence(face.box, width, height), reverse=True)


class ByPosition:
    """One of the faces, counted from the picture's left."""

    def __init__(self, index: int) -> None:
        """Takes its number, from 0 on; -1 is the rightmost."""
        self._index = index
        self.name = "the rightmost" if index == -1 else f"number {index} from the left"

    def rank(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection]:
        """Gives that face alone, if there are as many."""
        from_left = sorted(faces, key=lambda face: float(face.box[0] + face.box[2]))
        return from_left[self._index :][:1] if self._index < len(from_left) else []


class MostSimilar:
    """The face that is most like a reference."""

    name = "the one most like the reference"

    def __init__(self, likeness: Callable[[Picture, Detection], float]) -> None:
        """Takes the measure: larger is liker."""
        self._likeness = likeness

    def rank(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection]:
        """Ranks by likeness; a single face is not measured."""
        if len(faces) < 2:
            return list(faces)
        return sorted(faces, key=lambda face: self._likeness(picture, face), reverse=True)


def prominence(box: Box, width: int, height: int) -> float:
    """Ranks faces: the area, less the farther from the middle (nothing at the corners)."""
    area = float(np.prod(box[2:] - box[:2]))
    middle = np.array([width, height]) / 2
    away = np.linalg.norm((box[:2] + box[2:]) / 2 + 0.5 - middle) / np.linalg.norm(middle)
    return area * max(0.0, 1 - float(away))
