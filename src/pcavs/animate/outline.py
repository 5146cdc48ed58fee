"""Heals the outline of a turned head: what should be hidden but lies squeezed into a line beside the cheek."""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from pcavs.animate.solid import Places, extent
from pcavs.types import Picture

_SQUEEZED: Final = 4.0
"""Cells of the picture that lie in one cell of the frame, from which on what is seen of them is left out."""
_HIDDEN: Final = 5.4
"""The same from which on nothing of them is left: in between a moving head takes them away softly."""
_SOFT_CELLS: Final = 0.25
_GAP_CELLS: Final = 7
"""Breaks in a line that are closed: else it would be a row of beads."""
_ROOM_CELLS: Final = 6
_MOST_CELLS: Final = 0.1
"""Share of a frame's cells that may be healed: no turn that a head can make squeezes more."""


def healed(moved: Picture, places: Places, beyond: Float32[np.ndarray, "rows columns"]) -> Picture:
    """Lets what lies beside a squeezed line meet in its place.

    An ear and hair that a turn should hide behind the cheek are pressed into a cell or two instead: a dark, ragged
    line. Each of its pixels takes the colour of the nearest pixel outside, so cheek and background meet in the middle.

    Args:
        moved: The frame; it may be painted on.
        places: Where the frame's cells come from, of the head's turn alone.
        beyond: Share of each cell that comes from outside of the face: flanks of noses are squeezed, too, and rightly.
    """
    # Of a line along the cheek, one side is the cheek's own edge.
    squeezed = _squeezed(places) * cv2.dilate(beyond, np.ones((3, 3), np.uint8))
    squeezed = cv2.morphologyEx(squeezed, cv2.MORPH_CLOSE, np.ones((_GAP_CELLS, _GAP_CELLS), np.uint8))
    cells = extent(squeezed > _SQUEEZED)
    if cells is None or (squeezed > _SQUEEZED).mean() > _MOST_CELLS:
        return moved
    pixels = moved.shape[0] / len(places)
    box = _box(cells, pixels, moved.shape[0])
    part = moved[box]
    fine = cv2.resize(squeezed, moved.shape[:2], interpolation=cv2.INTER_CUBIC)[box]
    line = fine > _SQUEEZED
    share = ((fine - _SQUEEZED) / (_HIDDEN - _SQUEEZED)).clip(0, 1).astype(np.float32)
    share = cv2.GaussianBlur(cv2.dilate(share, np.ones((3, 3), np.uint8)), (0, 0), _SOFT_CELLS * pixels)
    filled = cv2.GaussianBlur(_nearest(part, line), (0, 0), 1.2 * _SOFT_CELLS * pixels).astype(np.float32)
    moved[box] = np.rint(part + share[..., None] * (filled - part)).astype(np.uint8)
    return moved


def _squeezed(places: Places) -> Float32[np.ndarray, "rows columns"]:
    """How many cells of the picture lie between a cell and its neighbours."""
    found = np.zeros(places.shape[:2], np.float32)
    across = np.linalg.norm(np.diff(places, axis=1), axis=2)
    down = np.linalg.norm(np.diff(places, axis=0), axis=2)
    for whole, between in ((found, across), (found.T, down.T)):
        np.maximum(whole[:, 1:], between, out=whole[:, 1:])
        np.maximum(whole[:, :-1], between, out=whole[:, :-1])
    return found


def _box(cells: tuple[slice, slice], pixels: float, side: int) -> tuple[slice, slice]:
    """Rows and columns of pixels around cells, with room to look for neighbours."""
    rows, columns = (
        slice(
            max(int((span.start - _ROOM_CELLS) * pixels), 0),
            min(int(np.ceil((span.stop + _ROOM_CELLS) * pixels)), side),
        )
        for span in cells
    )
    return rows, columns


def _nearest(part: Picture, line: Bool[np.ndarray, "rows columns"]) -> Picture:
    """Gives each pixel of the line the colour of the nearest pixel outside."""
    if line.all():
        return part
    found = cv2.distanceTransformWithLabels(line.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    labels = found[1].astype(np.int64)
    outside = np.flatnonzero(~line.ravel())
    first = np.zeros(int(labels.max()) + 1, np.int64)
    first[labels.ravel()[outside]] = outside
    return part.reshape(-1, 3)[first[labels]]
