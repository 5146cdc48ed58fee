"""Parts a photograph's lips where speech opens them.

A flow is smooth: where lips part it stretches the lower lip over the opening. Both lips know better how they move: each
lip's motion is carried on to its edge and beyond, and what neither reaches is the opening. So lips are the photograph's
pixels up to an edge that is as fine as the film.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.regions import INNER_LIPS, OUTER_LIPS, mouth_opening
from pcavs.head.grid import CELLS, MARGIN, Places, crop_cells, extent
from pcavs.types import Mesh

_HARDLY, _WIDELY = 0.02, 0.05
"""Openings, as shares of the distance between the eyes, from which on the photograph's own lips count as parted."""
_HOLD: Final = 0.45
"""Share of a lip's height, from its inner edge, where its motion is taken: there the talker's flow is level."""
_LEAST_UP_CELLS, _LEAST_DOWN_CELLS = 1.5, 2.5
"""Nearer to a thin lip's edge flows are on their way from one lip to the other."""
_ACROSS_SIGMA: Final = 1.2
_TAPER_CELLS: Final = 3.0
"""Length over which the lips part from a corner on."""
_AROUND_CELLS: Final = 6
_FRINGE_CELLS: Final = 0.35
_BLEND_CELLS: Final = 1.5

Line = Float[np.ndarray, " columns"]


class Tear(NamedTuple):
    """How both lips move, over a box of the picture; in cells."""

    upper: Float32[np.ndarray, "rows columns 2"]
    lower: Float32[np.ndarray, "rows columns 2"]


class Lips:
    """The line along which a photograph's lips part."""

    def __init__(self, mesh: Mesh, side_px: int) -> None:
        """Finds the inner edges.

        Args:
            mesh: In pixels of the crop.
            side_px: Of the crop.
        """
        points = crop_cells(mesh[:, :2].astype(np.float64), side_px)
        opening = float(mouth_opening(mesh[None])[0])
        self.own_share = min(max((opening - _HARDLY) / (_WIDELY - _HARDLY), 0.0), 1.0)
        inner, outer = points[list(INNER_LIPS)], points[list(OUTER_LIPS)]
        low = np.floor(outer.min(axis=0)).astype(int) - _AROUND_CELLS
        high = np.ceil(outer.max(axis=0)).astype(int) + _AROUND_CELLS
        high[1] += round(float(np.ptp(outer[:, 0])) / 2)  # a wide open jaw
        (x0, y0), (x1, y1) = low.clip(0, CELLS - 2), high.clip(2, CELLS)
        self.box = (slice(y0, y1), slice(x0, x1))
        self._rows, columns = np.arange(y0, y1, dtype=np.float64), np.arange(x0, x1, dtype=np.float64)
        self._columns = columns
        top, bottom = (_line(half, columns) for half in _halves(inner))
        middle, half = (top + bottom) / 2, (bottom - top).clip(0) / 2 * self.own_share
        # Landmarks lie a little inside: what is left of teeth on a lip would move with it.
        half += np.minimum(half, _FRINGE_CELLS * self.own_share)
        self.top, self.bottom = middle - half, middle + half
        high_edge, low_edge = (_line(half, columns) for half in _halves(outer))
        self._hold_top = self.top - (_HOLD * (self.top - high_edge)).clip(_LEAST_UP_CELLS)
        self._hold_bottom = self.bottom + (_HOLD * (low_edge - self.bottom)).clip(_LEAST_DOWN_CELLS)
        ends = inner[[0, 10], 0]
        inside = np.minimum(columns - ends[0], ends[1] - columns) / _TAPER_CELLS
        share = inside.clip(0, 1)
        self._parted = share * (2 - share)

    def torn(self, motion: Float32[np.ndarray, "cells cells 2"]) -> Tear:
        """Carries the motion of either lip on over the opening.

        Args:
            motion: From each place of the picture to where its pixel comes from.
        """
        part = motion[self.box].astype(np.float64)
        sources = self._rows[:, None] + part[..., 1]
        beyond = sources >= self._hold_top
        above = np.where(beyond.any(axis=0), beyond.argmax(axis=0), len(part) // 2).clip(1)
        below = sources <= self._hold_bottom
        under = np.where(below.any(axis=0), len(part) - 1 - below[::-1].argmax(axis=0), len(part) // 2)
        top, held_top = self._held(part, sources, above - 1, self._hold_top)
        bottom, held_bottom = self._held(part, sources, under.clip(0, len(part) - 2), self._hold_bottom)
        rows = np.arange(len(part))[:, None]
        down, up = (((rows - top) / _BLEND_CELLS).clip(0, 1), ((bottom - rows) / _BLEND_CELLS).clip(0, 1))
        upper = part + (self._parted * down)[..., None] * (held_top - part)
        lower = part + (self._parted * up)[..., None] * (held_bottom - part)
        return Tear(upper.astype(np.float32), lower.astype(np.float32))

    def nearby(self, places: Places) -> tuple[slice, slice] | None:
        """The rows and columns of places, in cells of the crop and its margin, that lie near the lips."""
        (y0, y1), (x0, x1) = ((MARGIN + axis.start, MARGIN + axis.stop - 1) for axis in self.box)
        x, y = places[..., 0], places[..., 1]
        return extent((x >= x0) & (x <= x1) & (y >= y0) & (y <= y1))

    def at(self, motion: Float32[np.ndarray, "_ _ 2"], places: Places) -> Places:
        """Reads a motion of the box at places."""
        x, y = (places[..., axis] - np.float32(MARGIN + self.box[1 - axis].start) for axis in range(2))
        return cv2.remap(motion, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def above(self, places: Places) -> Float32[np.ndarray, "rows columns"]:
        """How far places of the picture are above the upper lip's edge, in cells."""
        edge = np.interp(places[..., 0] - MARGIN, self._columns, self.top)
        return (edge - (places[..., 1] - MARGIN)).astype(np.float32)

    def below(self, places: Places) -> Float32[np.ndarray, "rows columns"]:
        """How far places of the picture are below the lower lip's edge, in cells."""
        edge = np.interp(places[..., 0] - MARGIN, self._columns, self.bottom)
        return (places[..., 1] - MARGIN - edge).astype(np.float32)

    def edges(self, column: float) -> tuple[float, float]:
        """Rows of the upper and of the lower lip's edge in a column of the picture, in cells."""
        return float(np.interp(column, self._columns, self.top)), float(np.interp(column, self._columns, self.bottom))

    def _held(self, part: np.ndarray, sources: np.ndarray, row: np.ndarray, line: Line) -> tuple[Line, np.ndarray]:
        """Where a line of the picture has gone, and how it moves there; a little smoothed along it."""
        column = np.arange(part.shape[1])
        first, second = sources[row, column], sources[row + 1, column]
        share = ((line - first) / np.where(np.abs(second - first) < 0.05, 1.0, second - first)).clip(0, 1)
        moved = part[row, column] * (1 - share[:, None]) + part[row + 1, column] * share[:, None]
        moved = cv2.GaussianBlur(moved, (1, 7), sigmaX=0.1, sigmaY=_ACROSS_SIGMA)
        return row + share, moved


def _halves(outline: Float[np.ndarray, "20 2"]) -> tuple[np.ndarray, np.ndarray]:
    """The upper and the lower half of a polygon of the lips, both from left to right."""
    return outline[:11], np.concatenate([outline[:1], outline[:9:-1]])


def _line(points: Float[np.ndarray, "points 2"], columns: Line) -> Line:
    return np.interp(columns, np.maximum.accumulate(points[:, 0]), points[:, 1])
