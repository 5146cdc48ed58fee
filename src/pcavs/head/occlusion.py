"""Heals the outlines of a turned head: what should be hidden but lies squeezed into a line beside a cheek or a nose."""

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from pcavs.head.grid import Places, extent
from pcavs.types import Picture

_SQUEEZED: Final = 4.0
"""Cells of the picture that lie in one cell of the frame, from which on what is seen of them is left out."""
_HIDDEN: Final = 5.4
"""The same from which on nothing of them is left: in between a moving head takes them away softly."""
_FLANK_SQUEEZED, _FLANK_HIDDEN = 5.0, 8.0
"""The same beside a nose."""
_FLANK_SHARE: Final = 0.6
"""How much of the line beside a nose is taken away: without any, its tip would run into the cheek."""
_SOFT_CELLS: Final = 0.25
_SMOOTH_CELLS: Final = 2.0
"""Blur of the line along which cheek and background meet: cells would show as waves."""
_EDGE_PX: Final = 1.0
"""Width of the step from one to the other."""
_GAP_CELLS: Final = 7
"""Breaks in a line that are closed: else it would be a row of beads."""
_ROOM_CELLS: Final = 6
_MOST_CELLS: Final = 0.1
"""Share of a frame's cells that may be healed: no turn that a head can make squeezes more."""

Cells = Float32[np.ndarray, "cells cells"]
Pixels = Float32[np.ndarray, "rows columns"]
Where = Bool[np.ndarray, "rows columns"]
Colours = Callable[[Where], Float32[np.ndarray, "pixels 3"]]
_Part = tuple[slice, slice]
"""Rows and columns."""


def healed(moved: Picture, places: Places, beyond: Cells) -> Picture:
    """Lets what lies beside a squeezed line meet in its place.

    An ear and hair that a turn should hide behind the cheek are pressed into a cell or two instead: a dark, ragged
    line. Both sides of it are continued until they meet, halfway, along a smooth edge. The shaded flank that a nose
    should hide is such a line, too, inside of the face; most of it gives way to the nearest skin.

    Args:
        moved: The frame; it may be painted on.
        places: Where the frame's cells come from, of the head's turn alone.
        beyond: Share of each cell that comes from outside of the face.
    """
    squeezed = _squeezed(places)
    # Of a line along the cheek, one side is the cheek's own edge.
    outside = cv2.dilate(beyond, np.ones((3, 3), np.uint8))
    outline = cv2.morphologyEx(squeezed * outside, cv2.MORPH_CLOSE, np.ones((_GAP_CELLS, _GAP_CELLS), np.uint8))
    found = _find(outline, moved, _SQUEEZED, _HIDDEN)
    if found is not None:
        face = found.enlarged(beyond) < 0.5
        found.lay(_met(found, face), cv2.dilate(found.share, np.ones((3, 3), np.uint8)))
    found = _find(squeezed * (1 - outside), moved, _FLANK_SQUEEZED, _FLANK_HIDDEN)
    if found is not None:
        found.lay(_Side(found, ~found.line).colours, _FLANK_SHARE * found.share)
    return moved


class _Line:
    """A squeezed line, and what is around it."""

    def __init__(
        self, cells: _Part, part: Picture, pixels: float, squeezed: Cells, limits: tuple[float, float]
    ) -> None:
        """Enlarges it to the frame's pixels."""
        self._cells, self.part, self.pixels = cells, part, pixels
        fine, (first, last) = self.enlarged(squeezed), limits
        self.line = fine > first
        """What is left out."""
        self.share = np.asarray(((fine - first) / (last - first)).clip(0, 1), np.float32)
        """How much of it."""

    def enlarged(self, values: Cells) -> Pixels:
        """Brings values of the frame's cells to the pixels around the line."""
        size = self.part.shape[1], self.part.shape[0]
        return np.asarray(cv2.resize(values[self._cells], size, interpolation=cv2.INTER_CUBIC), np.float32)

    def lay(self, colours: Colours, share: Pixels) -> None:
        """Paints on the frame, with a soft rim."""
        share = cv2.GaussianBlur(share, (0, 0), _SOFT_CELLS * self.pixels)
        at = share > 0
        filled = self.part.copy()
        filled[at] = colours(at)
        filled = cv2.GaussianBlur(filled, (0, 0), 1.2 * _SOFT_CELLS * self.pixels)
        self.part[:] = cv2.blendLinear(filled, self.part, share, 1 - share)


class _Side:
    """What lies on one side of a line."""

    def __init__(self, found: _Line, where: Where) -> None:
        """Finds how far away it is, and what of it is nearest."""
        hidden = (~where).astype(np.uint8)
        away, found_labels = cv2.distanceTransformWithLabels(hidden, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        self.away, labels = np.asarray(away, np.float32), np.asarray(found_labels, np.int32)
        known = np.flatnonzero(hidden.ravel() == 0)
        self._places = np.zeros(int(labels.max()) + 1, np.int64)
        self._places[labels.ravel()[known]] = known
        self._labels = labels
        self._part = found.part.reshape(-1, 3)

    def colours(self, at: Where) -> Float32[np.ndarray, "pixels 3"]:
        """Continues its colours."""
        return self._part[self._places[self._labels[at]]].astype(np.float32)


def _met(found: _Line, face: Where) -> Colours:
    """Continues what lies on either side of a line until it meets the other."""
    sides = [_Side(found, where & ~found.line) for where in (face, ~face) if (where & ~found.line).any()]
    if len(sides) < 2:
        return sides[0].colours if sides else lambda at: found.part[at].astype(np.float32)
    inner, outer = sides
    rows, columns = face.shape
    small = round(columns / found.pixels), round(rows / found.pixels)
    apart = cv2.resize(inner.away - outer.away, small, interpolation=cv2.INTER_AREA)
    apart = cv2.resize(cv2.GaussianBlur(apart, (0, 0), _SMOOTH_CELLS), (columns, rows), interpolation=cv2.INTER_CUBIC)

    def colours(at: Where) -> Float32[np.ndarray, "pixels 3"]:
        share = (0.5 - apart[at] / (2 * _EDGE_PX)).clip(0, 1)[:, None]
        other = outer.colours(at)
        return other + share * (inner.colours(at) - other)

    return colours


def _find(squeezed: Cells, moved: Picture, first: float, last: float) -> _Line | None:
    """Cuts a line out of a frame, with room to look for neighbours; None where nothing is to heal."""
    line = squeezed > first
    cells = extent(line)
    if cells is None or line.mean() > _MOST_CELLS:
        return None
    pixels = moved.shape[0] / len(squeezed)
    rows, columns = (
        slice(max(span.start - _ROOM_CELLS, 0), min(span.stop + _ROOM_CELLS, len(squeezed))) for span in cells
    )
    high, wide = (slice(round(span.start * pixels), round(span.stop * pixels)) for span in (rows, columns))
    return _Line((rows, columns), moved[high, wide], pixels, squeezed, (first, last))


def _squeezed(places: Places) -> Cells:
    """How many cells of the picture lie between a cell and its neighbours."""
    found = np.zeros(places.shape[:2], np.float32)
    across = np.linalg.norm(np.diff(places, axis=1), axis=2)
    down = np.linalg.norm(np.diff(places, axis=0), axis=2)
    for whole, between in ((found, across), (found.T, down.T)):
        np.maximum(whole[:, 1:], between, out=whole[:, 1:])
        np.maximum(whole[:, :-1], between, out=whole[:, :-1])
    return found
