"""Decides which face to track in a frame that shows several."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, runtime_checkable

import numpy as np

from pcavs.errors import InputError
from pcavs.face.landmarker import Detection, overlap
from pcavs.types import Box, Picture

_SAME_OVERLAP: Final = 0.2
"""Intersection over union from which a detection and a box of landmarks are of the same place. Tuned by hand."""
_MAX_FACES: Final = 100
"""Faces that can be chosen by number; more digits than this has are taken for a file's name."""


@runtime_checkable
class FaceChoice(Protocol):
    """Ranks the faces of the first frame; the best one in which landmarks are found is tracked."""

    name: str
    """Describes the chosen face in messages, such as "the rightmost"."""

    def rank(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection]:
        """Returns the faces that may be tracked, best first; an empty list if none of them may."""
        ...


class Largest:
    """Chooses the largest central face."""

    name = "the largest central one"

    def rank(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection]:
        """Ranks the faces by `prominence`."""
        height, width = picture.shape[:2]
        return sorted(faces, key=lambda face: prominence(face.box, width, height), reverse=True)


class Others:
    """Chooses as another choice does, among the faces that have not been refused."""

    def __init__(self, choice: FaceChoice, refused: Sequence[Box]) -> None:
        """Takes the choice, and the boxes of what is no face."""
        self._choice, self._refused = choice, refused
        self.name = choice.name

    def rank(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection]:
        """Returns the ranking without faces that overlap what was refused."""
        ranked = self._choice.rank(picture, faces)
        return [face for face in ranked if all(overlap(face.box, box) < _SAME_OVERLAP for box in self._refused)]


class ByPosition:
    """Chooses a face by its position, counted from the left of the picture."""

    def __init__(self, index: int) -> None:
        """Stores the index: 0 is the leftmost face, -1 the rightmost."""
        self._index = index
        self.name = "the rightmost" if index == -1 else f"number {index} from the left"

    def rank(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection]:
        """Returns the face of this index alone; an empty list if there are fewer faces."""
        from_left = sorted(faces, key=lambda face: float(face.box[0] + face.box[2]))
        return from_left[self._index :][:1] if self._index < len(from_left) else []


class MostSimilar:
    """Chooses the face that is most similar to a reference."""

    name = "the one most like the reference"

    def __init__(self, similarity: Callable[[Picture, Detection], float]) -> None:
        """Stores the measure, which returns a higher number for a more similar face."""
        self._similarity = similarity

    def rank(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection]:
        """Ranks the faces by similarity; a single face is returned without measuring it."""
        if len(faces) < 2:
            return list(faces)
        return sorted(faces, key=lambda face: self._similarity(picture, face), reverse=True)


def parse_choice(text: str) -> FaceChoice | None:
    """Parses `largest`, `left`, `right`, or a number counted from the left (the first is 0); None for any other text.

    Raises:
        InputError: The number is too large.
    """
    if text == "largest":
        return Largest()
    if text in ("left", "right"):
        return ByPosition(0 if text == "left" else -1)
    if not text.isdecimal() or len(text) > len(str(_MAX_FACES)):
        return None
    if int(text) >= _MAX_FACES:
        raise InputError(f"a face of {text} cannot be chosen; give 0 to {_MAX_FACES - 1}, counted from the left")
    return ByPosition(int(text))


def prominence(box: Box, width: int, height: int) -> float:
    """Scores a face: its area, weighted from 1 at the picture's centre to 0 at its corners."""
    area = float(np.prod(box[2:] - box[:2]))
    middle = np.array([width, height]) / 2
    away = np.linalg.norm((box[:2] + box[2:]) / 2 + 0.5 - middle) / np.linalg.norm(middle)
    return area * max(0.0, 1 - float(away))
