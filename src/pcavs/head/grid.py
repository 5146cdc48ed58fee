"""The grid on which heads and mouths are warped, and the only conversions between its cells and pixels.

The aligned crop of a photograph is divided into `CELLS` x `CELLS` cells, whatever its size in pixels; the grid goes
on for `MARGIN` cells on each side, over what surrounds the crop in the photograph. *Crop coordinates* count cells
from the crop's top-left cell, *grid coordinates* from the margin's: grid = crop + `MARGIN`. Both are (x, y), x to
the right, y down, and integers are centres of cells, as they are centres of pixels. The *padded photograph* is the
crop with `margin_px(side_px)` pixels around it.
"""

from typing import Final, TypeAlias

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

CELLS: Final = 128
"""Cells along a side of the crop: one is about 2 mm of a head, finer than the landmarks resolve it."""
MARGIN: Final = 32
"""Cells around the crop on each side: how far hair and background from outside can move into it."""
WIDE: Final = CELLS + 2 * MARGIN
"""Cells along a side of the grid."""

Places: TypeAlias = Float32[np.ndarray, "rows columns 2"]
"""For each cell of a frame, the grid coordinates (x, y) of the photograph that it shows: a backward warp."""


def crop_cells(points_px: Float[np.ndarray, "*points 2"], side_px: int) -> Float[np.ndarray, "*points 2"]:
    """Converts pixels of a crop with sides of `side_px` into crop coordinates."""
    return (points_px + 0.5) * CELLS / side_px - 0.5


def margin_px(side_px: int) -> int:
    """Returns the width of the margin in pixels, rounded up."""
    return -(-side_px * MARGIN // CELLS)


def photo_px(places: Places, side_px: int) -> tuple[Float32[np.ndarray, "rows columns"], ...]:
    """Converts grid coordinates into pixels (x, y) of the padded photograph of a crop with sides of `side_px`."""
    pixels_per_cell = np.float32(side_px / CELLS)
    offset_px = np.float32(margin_px(side_px)) - np.float32(0.5)
    x, y = ((places[..., axis] - (MARGIN - 0.5)) * pixels_per_cell + offset_px for axis in range(2))
    return x, y


def photo_px_maps(places: Places, size_px: int, side_px: int) -> tuple[Float32[np.ndarray, "size size"], ...]:
    """Enlarges a frame's places to its pixels: the padded photograph's x and y for each pixel, for `cv2.remap`.

    Displacements are interpolated, by cubics, rather than places, so that a frame that does not move maps each pixel to
    itself exactly.

    Args:
        places: Of the frame's cells; the frame is the crop with the same margin on each side.
        size_px: Side of the frame.
        side_px: Side of the crop.
    """
    num_cells = len(places)
    shift = np.arange(num_cells, dtype=np.float32) + (WIDE - num_cells) // 2
    cells = np.dstack([places[..., 0] - shift[None], places[..., 1] - shift[:, None]])
    displacement = cv2.resize(cells * np.float32(side_px / CELLS), (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    first = np.float32((side_px + 2 * margin_px(side_px) - size_px) // 2)
    pixels = np.arange(size_px, dtype=np.float32)
    return pixels[None] + displacement[..., 0] + first, pixels[:, None] + displacement[..., 1] + first


def sampled(values: np.ndarray, places: Places, outside: float = 0.0) -> Float32[np.ndarray, "rows columns *channels"]:
    """Samples values that span the crop, at any resolution, at grid coordinates, bilinearly.

    Args:
        values: Height x width, or height x width x channels (up to four).
        places: Where.
        outside: Value beyond the crop.
    """
    scale = values.shape[0] / CELLS
    x, y = ((places[..., axis] - (MARGIN - 0.5)) * np.float32(scale) - np.float32(0.5) for axis in range(2))
    return cv2.remap(
        np.ascontiguousarray(values), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=[outside] * 4
    )


def extent(mask: Bool[np.ndarray, "rows columns"]) -> tuple[slice, slice] | None:
    """Returns the rows and columns of the smallest box around all that is true; None where nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)) if len(rows) else None
