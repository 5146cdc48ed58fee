"""The grid on which heads and mouths are warped, and the only conversions between its cells and pixels.

The aligned crop of a photograph is divided into `CELLS` x `CELLS` cells, whatever its size in pixels; the grid extends
`MARGIN` cells further on each side, over the surroundings of the crop in the photograph. *Crop coordinates* count cells
from the crop's top-left cell, *grid coordinates* from the margin's: grid = crop + `MARGIN`. Both are (x, y), x to the
right, y down, and integers are centres of cells, as they are centres of pixels. The *padded photograph* is the crop
with `margin_px(side_px)` pixels around it.
"""

from typing import Final, NamedTuple, TypeAlias

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

CELLS: Final = 128
"""Cells along a side of the crop: one is about 2 mm of a head, finer than the resolution of the landmarks."""
MARGIN: Final = 32
"""Cells around the crop on each side: how far hair and background from outside can move into it."""
WIDE: Final = CELLS + 2 * MARGIN
"""Cells along a side of the grid."""

Window: TypeAlias = tuple[slice, slice]
"""Rows and columns of a rectangle."""
Places: TypeAlias = Float32[np.ndarray, "rows columns 2"]
"""For each cell of a frame, the grid coordinates (x, y) of the photograph that it shows: a backward warp."""


def crop_cells(points_px: Float[np.ndarray, "*points 2"], side_px: int) -> Float[np.ndarray, "*points 2"]:
    """Converts pixels of a crop with sides of `side_px` into crop coordinates."""
    return (points_px + 0.5) * CELLS / side_px - 0.5


def px_per_cell(side_px: int) -> float:
    """Returns the side of a cell in pixels of a crop with sides of `side_px`."""
    return side_px / CELLS


def cells_per_cm(scale_px_per_cm: float | np.floating, side_px: int) -> float:
    """Converts the scale of a head (`face.pose.HeadPose`) into cells for each centimetre of the average head."""
    return float(scale_px_per_cm) * (CELLS / side_px)


def margin_px(side_px: int) -> int:
    """Returns the width of the margin in pixels, rounded up."""
    return -(-side_px * MARGIN // CELLS)


def photo_px(
    columns: Float32[np.ndarray, "rows columns"], rows: Float32[np.ndarray, "rows columns"], side_px: int
) -> tuple[Float32[np.ndarray, "rows columns"], ...]:
    """Converts grid coordinates into pixels (x, y) of the padded photograph of a crop with sides of `side_px`."""
    scale = np.float32(px_per_cell(side_px))
    offset_px = np.float32(margin_px(side_px)) - np.float32(0.5)
    x, y = ((axis - (MARGIN - 0.5)) * scale + offset_px for axis in (columns, rows))
    return x, y


def photo_px_maps(places: Places, size_px: int, side_px: int) -> tuple[Float32[np.ndarray, "size size"], ...]:
    """Enlarges a frame's places to its pixels: the padded photograph's x and y for each pixel, for `cv2.remap`.

    Displacements are interpolated (bicubically) instead of places, so that a frame without motion maps each pixel to
    itself exactly.

    Args:
        places: Places of the frame's cells; the frame is the crop with the same margin on each side.
        size_px: Side of the frame.
        side_px: Side of the crop.
    """
    num_cells = len(places)
    shift = np.arange(num_cells, dtype=np.float32) + (WIDE - num_cells) // 2
    cells = np.dstack([places[..., 0] - shift[None], places[..., 1] - shift[:, None]])
    displacement = cv2.resize(
        cells * np.float32(px_per_cell(side_px)), (size_px, size_px), interpolation=cv2.INTER_CUBIC
    )
    first = np.float32((side_px + 2 * margin_px(side_px) - size_px) // 2)
    pixels = np.arange(size_px, dtype=np.float32)
    return pixels[None] + displacement[..., 0] + first, pixels[:, None] + displacement[..., 1] + first


def sampled(values: np.ndarray, places: Places, outside: float = 0.0) -> Float32[np.ndarray, "rows columns *channels"]:
    """Samples values that span the crop, at any resolution, at grid coordinates, bilinearly.

    Args:
        values: Height x width, or height x width x channels (up to four).
        places: Grid coordinates of the samples.
        outside: Value outside the crop.
    """
    scale = values.shape[0] / CELLS
    x, y = ((places[..., axis] - (MARGIN - 0.5)) * np.float32(scale) - np.float32(0.5) for axis in range(2))
    return cv2.remap(
        np.ascontiguousarray(values), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=[outside] * 4
    )


def extent(mask: Bool[np.ndarray, "rows columns"]) -> tuple[slice, slice] | None:
    """Returns the rows and columns of the bounding box of a mask's True cells; None if there are none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)) if len(rows) else None


def nested(outer: Window, inner: Window) -> Window:
    """Converts a window relative to another window into a window of the array."""
    rows, columns = (slice(a.start + b.start, a.start + b.stop) for a, b in zip(outer, inner, strict=True))
    return rows, columns


class PixelBlock(NamedTuple):
    """A rectangle of the frame, in pixels."""

    rows: slice
    columns: slice
    to_cells: Float64[np.ndarray, "2 3"]
    """Affine map from pixels of the block to the window of cells that the block covers."""

    def crop(self, window: Window) -> "PixelBlock":
        """Returns a part of the block; its map leads to the same cells."""
        rows, columns = nested((self.rows, self.columns), window)
        to_cells = self.to_cells.copy()
        to_cells[:, 2] += to_cells[[0, 1], [0, 1]] * (window[1].start, window[0].start)
        return PixelBlock(rows, columns, to_cells)

    def enlarge(self, *values: np.ndarray) -> Float32[np.ndarray, "rows columns channels"]:
        """Interpolates values of the cells, up to four channels in all, bicubically at the block's pixels."""
        size = (self.columns.stop - self.columns.start, self.rows.stop - self.rows.start)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(np.dstack(values), self.to_cells, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def pixel_block(window: Window, num_cells: int, size_px: int, side_px: int) -> PixelBlock:
    """Returns the block of a frame's pixels that a window of its cells covers.

    Args:
        window: Rows and columns of cells.
        num_cells: Cells along a side of the frame.
        size_px: Side of the frame.
        side_px: Side of the crop.
    """
    scale = float(np.float32(px_per_cell(side_px)))
    margin_cells, margin = (num_cells - CELLS) / 2, (size_px - side_px) / 2
    sides, offsets = [], []
    for axis in window:
        low, high = ((cell - margin_cells) * scale + margin for cell in (axis.start, axis.stop))
        side = slice(max(round(low), 0), min(round(high), size_px))
        sides.append(side)
        offsets.append((side.start + 0.5 - margin) / scale - 0.5 + margin_cells - axis.start)
    step = 1 / scale
    return PixelBlock(sides[0], sides[1], np.array([[step, 0, offsets[1]], [0, step, offsets[0]]]))
