"""Inpaints the folds of a turned head: thin lines in which the warp compresses parts that the turn should hide.

The depth map is continuous, so hidden parts do not disappear: ear and hair behind the far cheek, and the cheek behind
the nose, are compressed into one or two cells of the frame, which show as a dark, ragged line. A fold is where the
backward warp skips several cells of the photograph between neighbouring cells of the frame. There are two kinds:

- along the face's outline: the face on one side and the background on the other are extended over the fold until they
  meet in its middle, along a smoothed edge;
- inside of the face, beside the nose: the fold is partly replaced by the nearest skin.
"""

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from pcavs.head.grid import Places, extent
from pcavs.types import Picture

_OUTLINE_COMPRESSION: Final = (4.0, 5.4)
"""Compression (cells of the photograph in one cell of the frame) from which an outline fold is inpainted, and from
which it is replaced fully; in between the two are blended, so that it fades while the head turns. Chosen by eye: a
start at 2.6 tore ears at 20 degrees."""
_NOSE_COMPRESSION: Final = (5.0, 8.0)
"""The same for folds inside of the face. Chosen by eye."""
_NOSE_OPACITY: Final = 0.6
"""Share of a fold inside of the face that is replaced. Chosen by eye: at 1 the tip of the nose dissolves."""
_RIM_CELLS: Final = 0.25
"""Standard deviation of the blur of the inpainted area's rim. Chosen by eye."""
_FILL_BLUR: Final = 1.2
"""Standard deviation of the blur of the inpainted colours, as a multiple of `_RIM_CELLS`. Chosen by eye."""
_EDGE_SMOOTH_CELLS: Final = 2.0
"""Standard deviation of the blur of the edge along which face and background meet: without it, cells show as waves.
Chosen by eye."""
_EDGE_PX: Final = 1.0
"""Width of the transition from face to background, for anti-aliasing. Chosen by eye."""
_MAX_GAP_CELLS: Final = 7
"""Size of the kernel that closes gaps in a fold (morphological closing); gaps would look like a row of beads. Chosen by
eye on seven faces."""
_CONTEXT_CELLS: Final = 6
"""Margin of the box around a fold from which colours are extended. Tuned by hand; not measured."""
_MAX_FOLDED_SHARE: Final = 0.1
"""Share of a frame's cells above which nothing is inpainted: no turn within the limits compresses more.
Tuned by hand; not measured."""

Cells = Float32[np.ndarray, "cells cells"]
"""One value for each cell of the frame."""
Pixels = Float32[np.ndarray, "rows columns"]
"""One value for each pixel of a box of the frame."""
PixelMask = Bool[np.ndarray, "rows columns"]
"""Some pixels of a box of the frame."""
ColoursAt = Callable[[PixelMask], Float32[np.ndarray, "pixels 3"]]
"""Returns inpainted colours for the pixels of a mask."""
_Box = tuple[slice, slice]
"""Rows and columns."""


def inpaint_folds(frame: Picture, places: Places, outside_face: Cells) -> Picture:
    """Inpaints the folds of a turned head; a frame without folds stays as it is, to the bit.

    Args:
        frame: The warped photograph. It is changed in place and returned.
        places: The backward warp of the head's turn alone, without the motion of speech.
        outside_face: How far each cell of the frame shows something outside of the face, 0 to 1
            (`DepthHead.outside_face`).
    """
    compression = _compression(places)
    if compression.max() <= min(_OUTLINE_COMPRESSION[0], _NOSE_COMPRESSION[0]):
        return frame
    # A fold along the outline borders on the face, so its last cell on that side counts as outside, too.
    outside = cv2.dilate(outside_face, np.ones((3, 3), np.uint8))
    closing = np.ones((_MAX_GAP_CELLS, _MAX_GAP_CELLS), np.uint8)
    outline = cv2.morphologyEx(compression * outside, cv2.MORPH_CLOSE, closing)
    fold = _find_fold(outline, frame, _OUTLINE_COMPRESSION)
    if fold is not None:
        face = fold.to_pixels(outside_face) < 0.5
        fold.paint(_meeting_colours(fold, face), cv2.dilate(fold.opacity, np.ones((3, 3), np.uint8)))
    fold = _find_fold(compression * (1 - outside), frame, _NOSE_COMPRESSION)
    if fold is not None:
        fold.paint(_Surroundings(fold, ~fold.mask).colours, _NOSE_OPACITY * fold.opacity)
    return frame


class _Fold:
    """The folds of one kind in a frame, and the box of pixels around them."""

    def __init__(
        self, box: _Box, part: Picture, px_per_cell: float, compression: Cells, limits: tuple[float, float]
    ) -> None:
        """Enlarges the compression to the frame's pixels.

        Args:
            box: Cells of the frame to work on.
            part: View of the same box in the frame's pixels, which `paint` changes.
            px_per_cell: Pixels of the frame per cell.
            compression: Compression of all cells of the frame.
            limits: Compression at which inpainting begins and at which it is complete.
        """
        self._box, self.part, self.px_per_cell = box, part, px_per_cell
        fine, (first, last) = self.to_pixels(compression), limits
        self.mask = fine > first
        """Pixels of the folds."""
        self.opacity = np.asarray(((fine - first) / (last - first)).clip(0, 1), np.float32)
        """How far each pixel is replaced, 0 to 1."""

    def to_pixels(self, values: Cells) -> Pixels:
        """Interpolates values of the frame's cells at the pixels of the box, bicubically."""
        size = self.part.shape[1], self.part.shape[0]
        return np.asarray(cv2.resize(values[self._box], size, interpolation=cv2.INTER_CUBIC), np.float32)

    def paint(self, colours: ColoursAt, opacity: Pixels) -> None:
        """Blends colours into the frame, with a soft rim."""
        opacity = cv2.GaussianBlur(opacity, (0, 0), _RIM_CELLS * self.px_per_cell)
        at = opacity > 0
        filled = self.part.copy()
        filled[at] = colours(at)
        filled = cv2.GaussianBlur(filled, (0, 0), _FILL_BLUR * _RIM_CELLS * self.px_per_cell)
        self.part[:] = cv2.blendLinear(filled, self.part, opacity, 1 - opacity)


class _Surroundings:
    """Pixels whose colours are extended over a fold: each pixel takes the colour of the nearest of them."""

    def __init__(self, fold: _Fold, mask: PixelMask) -> None:
        """Finds the nearest pixel of a mask, and its distance, for every pixel of the fold's box."""
        unknown = (~mask).astype(np.uint8)
        distance, found = cv2.distanceTransformWithLabels(unknown, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        self.distance_px, labels = np.asarray(distance, np.float32), np.asarray(found, np.int32)
        known = np.flatnonzero(unknown.ravel() == 0)
        self._pixel_of_label = np.zeros(int(labels.max()) + 1, np.int64)
        self._pixel_of_label[labels.ravel()[known]] = known
        self._labels = labels
        self._part = fold.part.reshape(-1, 3)

    def colours(self, at: PixelMask) -> Float32[np.ndarray, "pixels 3"]:
        """Returns the colour of the nearest known pixel, for each pixel of a mask."""
        return self._part[self._pixel_of_label[self._labels[at]]].astype(np.float32)


def _meeting_colours(fold: _Fold, face: PixelMask) -> ColoursAt:
    """Extends face and background over a fold, each up to the pixels that are as far from one as from the other."""
    sides = [_Surroundings(fold, part & ~fold.mask) for part in (face, ~face) if (part & ~fold.mask).any()]
    if len(sides) < 2:
        return sides[0].colours if sides else lambda at: fold.part[at].astype(np.float32)
    inner, outer = sides
    rows, columns = face.shape
    # The edge between both is where the distances are equal. It is smoothed at the resolution of cells.
    small = round(columns / fold.px_per_cell), round(rows / fold.px_per_cell)
    difference = cv2.resize(inner.distance_px - outer.distance_px, small, interpolation=cv2.INTER_AREA)
    difference = cv2.GaussianBlur(difference, (0, 0), _EDGE_SMOOTH_CELLS)
    difference = cv2.resize(difference, (columns, rows), interpolation=cv2.INTER_CUBIC)

    def colours(at: PixelMask) -> Float32[np.ndarray, "pixels 3"]:
        share = (0.5 - difference[at] / (2 * _EDGE_PX)).clip(0, 1)[:, None]
        other = outer.colours(at)
        return other + share * (inner.colours(at) - other)

    return colours


def _find_fold(compression: Cells, frame: Picture, limits: tuple[float, float]) -> _Fold | None:
    """Finds the cells with compression above the first limit; None if there are none, or implausibly many."""
    mask = compression > limits[0]
    box = extent(mask)
    if box is None or mask.mean() > _MAX_FOLDED_SHARE:
        return None
    px_per_cell = frame.shape[0] / len(compression)
    rows, columns = (
        slice(max(span.start - _CONTEXT_CELLS, 0), min(span.stop + _CONTEXT_CELLS, len(compression))) for span in box
    )
    height, width = (slice(round(span.start * px_per_cell), round(span.stop * px_per_cell)) for span in (rows, columns))
    return _Fold((rows, columns), frame[height, width], px_per_cell, compression, limits)


def _compression(places: Places) -> Cells:
    """Returns, for each cell of the frame, the largest distance in the photograph to the place of a neighbour cell."""
    largest = np.zeros(places.shape[:2], np.float32)
    x, y = cv2.split(places)
    across = cv2.magnitude(x[:, 1:] - x[:, :-1], y[:, 1:] - y[:, :-1])
    down = cv2.magnitude(x[1:] - x[:-1], y[1:] - y[:-1])
    np.maximum(largest[:, 1:], across, out=largest[:, 1:])
    np.maximum(largest[:, :-1], across, out=largest[:, :-1])
    np.maximum(largest[1:], down, out=largest[1:])
    np.maximum(largest[:-1], down, out=largest[:-1])
    return largest
