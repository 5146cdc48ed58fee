"""What is behind a moving head holds still (docs/decisions/0010): separated once, in the identity picture."""

from typing import Final, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from pcavs.face.regions import FACE_OVAL
from pcavs.head.grid import WIDE
from pcavs.types import Mesh, Picture

Share = Float32[np.ndarray, "side side"]
Coarse = Float32[np.ndarray, "coarse coarse"]
Places = Float32[np.ndarray, "rows columns"]

_REFINED_PX: Final = 384
"""Largest side at which the person's outline follows the picture's edges."""
_REACH_CELLS: Final = 3.0
"""How far the outline may be moved to an edge."""
_EDGE: Final = 1e-4
"""Variance of a colour, of 1, below which a change is no edge."""
_NOBODY, _ANYBODY = 0.25, 0.9
"""Shares that count as none and as all of a place."""
_LEAST_FACE: Final = 0.9
"""Share of the face that must be taken for a person: what sees less does not know this kind of picture."""
_RIM: Final = 9
_RING_CELLS: Final = 1.0
"""Around the person, what goes along with the head: stray hairs."""
_STRAND_CELLS: Final = 2.5
_STRANDS_REACH_CELLS: Final = 9.0
"""How far from the person strands of hair go along with the head; fewer and fewer do."""
_HIDDEN_PX: Final = 256
_HIDDEN_REACH_PX: Final = 4.0
_CLEAN_PX: Final = 2
"""Around what is hidden, as small pictures go: a hair's colour there would run into all that is filled."""


@runtime_checkable
class People(Protocol):
    """Tells people from what is behind them; `face.person.PersonSegmenter` does."""

    def person_mask(self, picture: Picture) -> Coarse:
        """Gives the share of each place, 0 to 1, that shows a person, at a side of its own."""
        ...


class Background:
    """Lays what a head uncovers, and what never moved, behind the moved person.

    A frame is the moved picture less the background that moved with it, plus the background where it is: where nothing
    moves this is the picture to the last bit.
    """

    def __init__(self, photo: Picture, person: Share) -> None:
        """Prepares the background behind the person.

        Args:
            photo: The identity picture with what is around it, square.
            person: Share of each of its pixels that belongs to the person.
        """
        behind = ((1 - person) * 255).round().astype(np.uint8)
        self._plate = _uncovered(photo, behind)
        self._moving = np.dstack([_weighted(self._plate, behind), behind])

    def behind(self, moved: Picture, columns: Places, rows: Places) -> Picture:
        """Gives a frame whose background holds still.

        Args:
            moved: The moved picture: of each of its pixels, what lies at a place of the photo.
            columns: These places in pixels of the photo; `moved` shows the photo's middle, as far as it reaches.
            rows: The same down.
        """
        came_along = cv2.remap(self._moving, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        first = (len(self._plate) - len(moved)) // 2
        still = self._plate[first : first + len(moved), first : first + len(moved)]
        change = cv2.subtract(_weighted(still, came_along[..., 3]), came_along[..., :3], dtype=cv2.CV_16S)
        return np.asarray(cv2.add(moved, change, dtype=cv2.CV_8U), np.uint8)


def find_background(photo: Picture, mesh: Mesh, room_px: int, people: People | None) -> Background | None:
    """Tells the background from the person; None where there is nobody to ask, or no person is recognised.

    Args:
        photo: The identity picture with what is around it.
        mesh: Landmarks in pixels of the picture.
        room_px: What is around it, on each side.
        people: Tells people from what is behind them.
    """
    if people is None:
        return None
    coarse = people.person_mask(photo)
    oval = (mesh[list(FACE_OVAL), :2] + room_px + 0.5) * len(coarse) / len(photo) - 0.5
    face = np.zeros(coarse.shape, np.uint8)
    cv2.fillPoly(face, [np.rint(oval).astype(np.int32)], 1)
    if not face.any() or float(coarse[face > 0].mean()) < _LEAST_FACE:
        return None
    coarse = np.where(_joined(coarse, face), np.maximum(coarse, face), 0).astype(np.float32)
    return Background(photo, _refined(photo, coarse))


def _joined(coarse: Coarse, face: UInt8[np.ndarray, "coarse coarse"]) -> Bool[np.ndarray, "coarse coarse"]:
    """What hangs together with the face, and its soft rim; neither other people nor a shape in the wallpaper."""
    parts = cv2.connectedComponents(((coarse > 0.5) | (face > 0)).astype(np.uint8))[1]
    own = (parts == int(np.bincount(parts[face > 0]).argmax())).astype(np.uint8)
    return cv2.dilate(own, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_RIM, _RIM))) > 0


def _weighted(picture: UInt8[np.ndarray, "rows columns 3"], share: UInt8[np.ndarray, "rows columns"]) -> Picture:
    """The same arithmetic wherever a background is weighted, so that equal places cancel to the last bit."""
    return np.asarray(cv2.multiply(picture, cv2.merge([share] * 3), scale=1 / 255), np.uint8)


def _uncovered(photo: Picture, behind: UInt8[np.ndarray, "side side"]) -> Picture:
    """The picture without the person: lines that end at its outline go on, and fade."""
    cell = len(photo) / WIDE
    side = 2 * round(_RING_CELLS * cell) + 1
    known = cv2.erode((behind == 255).astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    size = (_HIDDEN_PX, _HIDDEN_PX)
    hidden = (cv2.resize(known * np.uint8(255), size, interpolation=cv2.INTER_AREA) < 255).astype(np.uint8)
    hidden = cv2.dilate(hidden, np.ones((2 * _CLEAN_PX + 1,) * 2, np.uint8))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    filled = cv2.inpaint(small, hidden, _HIDDEN_REACH_PX, cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, (len(photo), len(photo)), interpolation=cv2.INTER_LINEAR)
    share = cv2.GaussianBlur(known.astype(np.float32), (0, 0), 0.5 * cell) * known
    plate = cv2.blendLinear(photo, filled, share, 1 - share)
    # Strands of hair that were taken for background would stay where the head was. They are thinner than a median.
    combed = cv2.medianBlur(plate, 2 * round(_STRAND_CELLS * cell) + 1)
    near = 1 - cv2.distanceTransform(known, cv2.DIST_L2, 5) / np.float32(_STRANDS_REACH_CELLS * cell)
    near = near.clip(0, 1).astype(np.float32)
    return np.asarray(cv2.blendLinear(combed, plate, near, 1 - near), np.uint8)


def _refined(photo: Picture, coarse: Coarse) -> Share:
    """Moves the outline of a person to the edges of the picture: a guided filter over colours.

    Reference: He, Sun and Tang, Guided image filtering, ECCV 2010, equations 19 to 21.
    """
    side = min(len(photo), _REFINED_PX)
    guide = cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    share = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)
    reach = 2 * max(1, round(_REACH_CELLS * side / WIDE)) + 1

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(values, -1, (reach, reach), borderType=cv2.BORDER_REFLECT)

    colour, whole = mean(guide), mean(share)
    together = mean(guide * share[..., None]) - colour * whole[..., None]
    products = mean((guide[..., :, None] * guide[..., None, :]).reshape(side, side, 9))
    spread = products.reshape(side, side, 3, 3) - colour[..., :, None] * colour[..., None, :]
    slope = _solved(spread + np.float32(_EDGE) * np.eye(3, dtype=np.float32), together)
    rest = whole - (slope * colour).sum(axis=-1)
    followed = (mean(slope) * guide).sum(axis=-1) + mean(rest)
    sure = ((followed - _NOBODY) / (_ANYBODY - _NOBODY)).clip(0, 1).astype(np.float32)
    size = (len(photo), len(photo))
    return np.asarray(cv2.resize(sure, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _solved(
    matrices: Float[np.ndarray, "rows columns 3 3"], right: Float[np.ndarray, "rows columns 3"]
) -> Float[np.ndarray, "rows columns 3"]:
    return np.linalg.solve(matrices, right[..., None])[..., 0]
