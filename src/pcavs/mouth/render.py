"""Composites the mouth into a frame at the film's resolution: parted lips, and the mouth's interior between them.

The frame has been warped by the generator's smooth displacement, which stretches the lower lip over the opening. Near
the lips it is replaced: each pixel belongs to the upper lip, the lower lip or the opening, as the split displacement
fields say (`lips`). Lips are sampled from the photograph, the opening is drawn (`inside`) or, where the photograph
shows teeth itself, sampled from it. See docs/decisions/0012.
"""

from typing import Final, NamedTuple, TypeAlias

import cv2
import numpy as np
from jaxtyping import UInt8

from pcavs.head.grid import Places, Window, extent, nested, photo_px, pixel_block, px_per_cell, sampled
from pcavs.mouth.inside import Colours, MouthInterior, Opening, OwnTeeth, Values, for_each_channel
from pcavs.mouth.lips import Lips
from pcavs.mouth.motion import Displacement
from pcavs.mouth.palette import MouthPalette
from pcavs.runtime.base import FieldArrays
from pcavs.types import Mesh, Picture

_EDGE_PX: Final = 1.5
"""Width of the transition from lip to opening, at any resolution. Chosen by eye."""
_MIN_OPENING_CELLS: Final = 0.02
"""Distance between the lips up to which the frame stays as it is. Tuned by hand; not measured."""
_FADE_IN_CELLS: Final = 0.3
"""Further distance over which the parted mouth is faded in, so that it does not appear from one frame to the next.
Tuned by hand; not measured."""
_FULL_CLOSING: Final = 0.1
"""Share of the gap closed from which the mouth is drawn even where the generator paints nothing. Tuned by hand; not
measured."""
_MIN_SPLIT_CELLS: Final = 1e-3
"""Difference between the displacements of the two lips above which a cell counts as split."""
_SPLIT_DILATION: Final = np.ones((5, 5), np.uint8)
"""Kernel that dilates the split cells, because bicubic interpolation reads two cells around each pixel: without it the
corners of the mouth were cut off at 1024 px."""

_PAINT_DILATION: Final = np.ones((7, 7), np.uint8)
"""Kernel, in the generator's pixels, that dilates the opening in its mask. Tuned by hand; not measured."""
_NO_PAINT: Final = 0.1
"""Share of painted colours (1 - mask) up to which a place does not count as an opening. Tuned by hand; not measured."""
_FULL_PAINT: Final = 0.4
"""Share of painted colours from which it counts fully. Tuned by hand; not measured."""
_PAINT_BLUR_SIGMA_PX: Final = 1.0
"""Standard deviation of the Gaussian on the painted colours, in the generator's pixels: only the brightness of the
opening is taken from them, no detail. Chosen by eye."""

_TEETH_STRETCH_CELLS: Final = 2.0
"""Length of the photograph's own teeth, from the upper lip, that is stretched where that lip rises. Chosen by eye."""
_LIP_RIM_CELLS: Final = 1.5
"""Width of the lower lip's rim that is left out of the photograph's own teeth, to which it would stick. Chosen by
eye."""
_LIP_SUNK_CELLS: Final = 0.7
"""Distance that the lower lip has sunk when the whole rim is left out. Chosen by eye."""

PaddedPhoto: TypeAlias = UInt8[np.ndarray, "_ _ 3"]
"""The crop with `head.grid.margin_px` of the photograph around it, RGB."""


class SpeechFrame(NamedTuple):
    """The inputs of one frame's mouth."""

    fields: FieldArrays
    """Output of the generator at the photograph's own pose."""
    displacement: Displacement
    """Displacement that speech causes (`MouthMotion`)."""
    places: Places
    """The warp of the turned head, without speech."""
    closing: float = 0.0
    """Share of the gap between the lips that `mouth.closure` has closed; 0 where it did nothing."""


class _LipPlaces(NamedTuple):
    """Three backward warps of the frame's cells around the lips."""

    head: Places
    """Without speech."""
    upper: Places
    """With the displacement of the upper lip."""
    lower: Places
    """With the displacement of the lower lip."""

    def crop(self, window: Window) -> "_LipPlaces":
        """Returns a part of the cells."""
        return _LipPlaces(*(each[window] for each in self))


class Mouth:
    """The mouth of one photograph."""

    def __init__(self, mesh: Mesh, picture: Picture, teeth: OwnTeeth | None = None) -> None:
        """Prepares lips and interior.

        Args:
            mesh: Landmarks in pixels of the crop.
            picture: The crop.
            teeth: The person's own teeth; None draws everybody's.
        """
        self._side_px = picture.shape[0]
        self._px_per_cell = np.float32(px_per_cell(self._side_px))
        self.lips = Lips(mesh, self._side_px)
        """The photograph's lips."""
        self._palette = MouthPalette(mesh, picture, None if teeth is None else teeth.tint)
        self._interior = MouthInterior(
            mesh, self._side_px, self._palette, self.lips.edges, self.lips.open_at_rest, teeth
        )

    def composite(self, frame: Picture, photo: PaddedPhoto, speech: SpeechFrame) -> Picture:
        """Draws the parted mouth over a frame, in place, and returns it; a closed mouth changes nothing.

        Args:
            frame: The frame, warped by the generator's smooth displacement.
            photo: What the frame was sampled from.
            speech: Fields and warps of the frame.
        """
        window, places = self._split_places(speech)
        if window is None or places is None:
            return frame
        above, below = self.lips.above_upper_edge(places.upper), self.lips.below_lower_edge(places.lower)
        opening_cells = 2 * float(np.minimum(-above, -below).max())
        if opening_cells <= _MIN_OPENING_CELLS and speech.closing <= 0:
            return frame
        block = pixel_block(window, len(speech.places), frame.shape[0], self._side_px)
        edges = block.enlarge(above, below, self._opening_mask(speech.fields, places.head))
        lip_places = block.enlarge(places.upper, places.lower)
        above_upper, below_lower, weight = cv2.split(edges)
        upper_x, upper_y, lower_x, lower_y = cv2.split(lip_places)
        is_upper = above_upper > below_lower
        mouth = self._sample_photo(photo, np.where(is_upper, upper_x, lower_x), np.where(is_upper, upper_y, lower_y))
        alpha = (np.maximum(above_upper, below_lower) * (-self._px_per_cell / _EDGE_PX)).clip(0, 1)
        inner = extent(alpha > 0)
        if inner is not None:
            inner_block = block.crop(inner)
            rest = inner_block.enlarge(self.lips.above_upper_edge(places.head), self.lips.below_lower_edge(places.head))
            distances = np.concatenate([-edges[inner][..., :2], -rest], axis=-1)
            opening = Opening(
                inner_block.enlarge(places.head), lip_places[inner][..., 2:], *np.moveaxis(distances, -1, 0)
            )
            painted = inner_block.enlarge(self._painted_colours(speech.fields, places.head))
            interior = self._blend_own_teeth(self._interior.shade(opening, painted), photo, opening)
            mouth[inner] += for_each_channel(alpha[inner]) * (interior - mouth[inner])
        background = frame[block.rows, block.columns]
        weight = weight.clip(0, min(max((opening_cells - _MIN_OPENING_CELLS) / _FADE_IN_CELLS, 0.0), 1.0))
        weight = np.maximum(weight, np.float32(min(speech.closing / _FULL_CLOSING, 1.0)))
        mouth -= background
        mouth *= for_each_channel(weight)
        mouth += background
        np.clip(mouth, 0, 255, out=mouth)
        frame[block.rows, block.columns] = np.rint(mouth, out=mouth)
        return frame

    def _split_places(self, speech: SpeechFrame) -> tuple[Window | None, _LipPlaces | None]:
        """Finds the cells of the frame where the displacements of both lips differ, and the warp of each lip there."""
        window = self.lips.near(speech.places)
        if window is None:
            return None, None
        head = speech.places[window]
        split = self.lips.split(speech.displacement)
        upper, lower = (head + self.lips.sample(each, head) for each in split)
        differs = (np.abs(upper - lower).max(axis=-1) > _MIN_SPLIT_CELLS).astype(np.uint8)
        part = extent(cv2.dilate(differs, _SPLIT_DILATION) > 0)
        if part is None:
            return None, None
        return nested(window, part), _LipPlaces(head, upper, lower).crop(part)

    def _opening_mask(self, fields: FieldArrays, places: Places) -> Values:
        """Computes a mask of the opening from the generator's: 1 where it paints colours, 0 where it only warps."""
        painted = sampled(cv2.dilate(1 - fields.mask, _PAINT_DILATION), places)
        return ((painted - _NO_PAINT) / (_FULL_PAINT - _NO_PAINT)).clip(0, 1)

    def _painted_colours(self, fields: FieldArrays, places: Places) -> Colours:
        """Returns the colours that the generator paints, low-passed and matched to the photograph's palette."""
        smooth = cv2.GaussianBlur(fields.colours.transpose(1, 2, 0), (0, 0), _PAINT_BLUR_SIGMA_PX)
        return self._palette.match(sampled(smooth, places) * 127.5 + 127.5)

    def _blend_own_teeth(self, interior: Colours, photo: PaddedPhoto, opening: Opening) -> Colours:
        """Composites the photograph's own pixels between its parted lips over the interior.

        They move with the head and not with speech. Where the upper lip rises above its place in the photograph, the
        upper ends of the teeth are stretched up to it.
        """
        if self.lips.open_at_rest <= 0:
            return interior
        lip_sunk = opening.above_lower - opening.above_rest_lower
        above_rim = opening.above_rest_lower - _LIP_RIM_CELLS * (lip_sunk / _LIP_SUNK_CELLS).clip(0, 1)
        height_px = (opening.below_rest_upper + above_rim) * self._px_per_cell
        fade = np.minimum(1 + above_rim * (self._px_per_cell / _EDGE_PX), height_px).clip(0, 1)
        weight = self.lips.open_at_rest * fade
        risen = (opening.below_upper - opening.below_rest_upper).clip(0)
        shrink = _TEETH_STRETCH_CELLS / (_TEETH_STRETCH_CELLS + risen)
        stretch = opening.below_upper * shrink - opening.below_rest_upper
        places = opening.head_places.copy()
        is_stretched = opening.below_upper < _TEETH_STRETCH_CELLS + risen
        places[..., 1] += np.where(is_stretched, stretch, 0) + above_rim.clip(None, 0)
        return interior + for_each_channel(weight) * (self._sample_photo(photo, *cv2.split(places)) - interior)

    def _sample_photo(self, photo: PaddedPhoto, columns: Values, rows: Values) -> Colours:
        """Samples the photograph bicubically at grid coordinates; its edge is repeated outside."""
        x, y = photo_px(columns, rows, self._side_px)
        return cv2.remap(photo, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
