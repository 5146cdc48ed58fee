"""Parts the lips of frames and lays the inside of the mouth between them, at the film's own size."""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from pcavs.head.grid import CELLS, Places, extent, photo_px, sampled
from pcavs.mouth.colour import MouthColours
from pcavs.mouth.inside import Colours, Gap, MouthInside, Pixels
from pcavs.mouth.lips import Lips
from pcavs.mouth.mirror import MouthMotion
from pcavs.runtime.base import FieldArrays
from pcavs.types import Mesh, Picture

_EDGE_PX: Final = 1.5
"""Width of the step from lip to inside."""
_SHUT, _OPEN = 0.02, 0.3
"""Cells between the lips from which on, and at which fully, they are parted, so that nothing leaps."""
_SAME: Final = 1e-3
"""Cells by which both lips' motions differ where it matters which of them a place follows."""
_BORDER: Final = np.ones((5, 5), np.uint8)
"""Cells are enlarged with those around them, or the corners' last pixels leap."""
_NEAR: Final = np.ones((7, 7), np.uint8)
_LITTLE, _SURELY = 0.1, 0.4
"""Shares of painted colours, nearby, from which on the talker means an opening."""
_SOFT_CELLS: Final = 1.0
"""Of what the talker paints only the light is taken."""
_STRETCH_CELLS: Final = 2.0
"""How much of the photograph's own teeth, from the upper lip on, is stretched where that lip rises."""
_RIM_CELLS, _SUNK_CELLS = 0.9, 0.7
"""How much of the lower lip's rim sticks to them, and how far that lip has to sink until it is left out."""

Photo = UInt8[np.ndarray, "_ _ 3"]
"""A crop and as much around it as `MARGIN` says."""
_Part = tuple[slice, slice]
"""Rows and columns."""


class Speaking(NamedTuple):
    """What a frame says."""

    fields: FieldArrays
    motion: MouthMotion
    """How speech moves each place of the picture."""
    places: Places
    """Where the frame's cells lie on the head of the picture."""


class _Torn(NamedTuple):
    """Cells of a frame around the lips."""

    places: Places
    upper: Places
    """Where their pixels come from if they belong to the upper lip."""
    lower: Places

    def part(self, part: _Part) -> "_Torn":
        return _Torn(*(each[part] for each in self))


class _Block(NamedTuple):
    """A part of the frame, in its pixels."""

    rows: slice
    columns: slice
    step: Float64[np.ndarray, "2 3"]
    """From its pixels to cells."""

    def part(self, part: _Part) -> "_Block":
        rows, columns = _within((self.rows, self.columns), part)
        step = self.step.copy()
        step[:, 2] += step[[0, 1], [0, 1]] * (part[1].start, part[0].start)
        return _Block(rows, columns, step)

    def enlarged(self, *values: np.ndarray) -> Float32[np.ndarray, "rows columns channels"]:
        """Brings up to four channels of values, one a cell, to pixels."""
        size = (self.columns.stop - self.columns.start, self.rows.stop - self.rows.start)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(np.dstack(values), self.step, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


class Mouth:
    """The mouth of one photograph."""

    def __init__(self, mesh: Mesh, picture: Picture) -> None:
        """Prepares lips and teeth.

        Args:
            mesh: In pixels of the crop.
            picture: The crop.
        """
        self._side = picture.shape[0]
        self._pixels = np.float32(self._side / CELLS)
        self._lips = Lips(mesh, self._side)
        self._toned = MouthColours(mesh, picture)
        self._inside = MouthInside(mesh, self._side, self._toned, self._lips.edges)

    def parted(self, moved: Picture, photo: Photo, speaking: Speaking) -> Picture:
        """Parts the lips of a frame.

        Args:
            moved: The frame with lips that stretch instead; is painted on.
            photo: What its pixels come from.
            speaking: What the frame says.
        """
        near, torn = self._torn(speaking)
        if near is None or torn is None:
            return moved
        above, below = self._lips.above(torn.upper), self._lips.below(torn.lower)
        opening = 2 * float(np.minimum(-above, -below).max())
        if opening <= _SHUT:
            return moved
        block = self._block(near, len(speaking.places), moved.shape[0])
        edges = block.enlarged(above, below, self._meant(speaking.fields, torn.places))
        ways = block.enlarged(torn.upper, torn.lower)
        is_upper = (edges[..., 0] > edges[..., 1])[..., None]
        lips = self._fetched(photo, np.where(is_upper, ways[..., :2], ways[..., 2:]))
        inner = (np.minimum(-edges[..., 0], -edges[..., 1]) * (self._pixels / _EDGE_PX)).clip(0, 1)
        part = extent(inner > 0)
        if part is not None:
            there = block.part(part)
            own = there.enlarged(self._lips.above(torn.places), self._lips.below(torn.places))
            distances = np.concatenate([-edges[part][..., :2], -own], axis=-1)
            gap = Gap(there.enlarged(torn.places), ways[part][..., 2:], *np.moveaxis(distances, -1, 0))
            filled = self._inside.colours(gap, there.enlarged(self._said(speaking.fields, torn.places)))
            filled = self._with_own(filled, photo, gap)
            lips[part] += inner[part][..., None] * (filled - lips[part])
        under = moved[block.rows, block.columns]
        share = edges[..., 2:].clip(0, min((opening - _SHUT) / _OPEN, 1.0))
        moved[block.rows, block.columns] = np.rint((under + share * (lips - under)).clip(0, 255)).astype(np.uint8)
        return moved

    def _torn(self, speaking: Speaking) -> tuple[_Part | None, _Torn | None]:
        """Which of the frame's cells follow one lip or the other, and how."""
        near = self._lips.nearby(speaking.places)
        if near is None:
            return None, None
        places = speaking.places[near]
        upper, lower = (places + self._lips.at(each, places) for each in self._lips.torn(speaking.motion))
        differs = (np.abs(upper - lower).max(axis=-1) > _SAME).astype(np.uint8)
        part = extent(cv2.dilate(differs, _BORDER) > 0)
        if part is None:
            return None, None
        return _within(near, part), _Torn(places, upper, lower).part(part)

    def _block(self, cells: _Part, num_cells: int, size_px: int) -> _Block:
        """The pixels of some of the frame's cells."""
        shift, margin_px = (num_cells - CELLS) / 2, (size_px - self._side) / 2
        sides, firsts = [], []
        for axis in cells:
            low, high = ((cell - shift) * float(self._pixels) + margin_px for cell in (axis.start, axis.stop))
            side = slice(max(round(low), 0), min(round(high), size_px))
            sides.append(side)
            firsts.append((side.start + 0.5 - margin_px) / float(self._pixels) - 0.5 + shift - axis.start)
        step = 1 / float(self._pixels)
        return _Block(sides[0], sides[1], np.array([[step, 0, firsts[1]], [0, step, firsts[0]]]))

    def _meant(self, fields: FieldArrays, places: Places) -> Pixels:
        """Where the talker means an opening; elsewhere all is moved as it says."""
        painted = sampled(cv2.dilate(1 - fields.mask, _NEAR), places)
        return ((painted - _LITTLE) / (_SURELY - _LITTLE)).clip(0, 1)

    def _said(self, fields: FieldArrays, places: Places) -> Colours:
        """What the talker paints, softly, drawn to the photograph's colours."""
        soft = cv2.GaussianBlur(fields.colours.transpose(1, 2, 0), (0, 0), _SOFT_CELLS)
        return self._toned(sampled(soft, places) * 127.5 + 127.5)

    def _with_own(self, filled: Colours, photo: Photo, gap: Gap) -> Colours:
        """Lays what the photograph shows between its own lips over it.

        That stays where the head is; but where the upper lip has risen, the upper ends of teeth are stretched after it.
        """
        if self._lips.own_share <= 0:
            return filled
        sunk = gap.over_lower - gap.over_own
        inside = gap.over_own - _RIM_CELLS * (sunk / _SUNK_CELLS).clip(0, 1)
        tall = (gap.under_own + inside) * self._pixels
        share = self._lips.own_share * np.minimum(1 + inside * (self._pixels / _EDGE_PX), tall).clip(0, 1)
        risen = (gap.under_upper - gap.under_own).clip(0)
        stretched = gap.under_upper * (_STRETCH_CELLS / (_STRETCH_CELLS + risen)) - gap.under_own
        places = gap.places.copy()
        places[..., 1] += np.where(gap.under_upper < _STRETCH_CELLS + risen, stretched, 0) + inside.clip(None, 0)
        return filled + share[..., None] * (self._fetched(photo, places) - filled)

    def _fetched(self, photo: Photo, places: Places) -> Colours:
        """Pixels of the photograph at places of the head."""
        x, y = photo_px(places, self._side)
        return cv2.remap(photo, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)


def _within(whole: _Part, part: _Part) -> _Part:
    """A part of a part."""
    rows, columns = (slice(of.start + its.start, of.start + its.stop) for of, its in zip(whole, part, strict=True))
    return rows, columns
