"""Smooth warps of a picture between scattered points: thin-plate splines on a coarse grid, bicubic resampling."""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from pcavs.types import Picture

Points = Float[np.ndarray, "points 2"]

_GRID_STEP_PX: Final = 8
"""Distance of the pixels at which the displacement is computed; it is interpolated bilinearly between them."""

_BORDER_POINTS: Final = 9
"""Rows and columns of the lattice whose outer points hold the picture's border still."""

_BORDER_MARGIN: Final = 0.15
"""Distance of the lattice's outer points from the picture, as a fraction of its side; both were tuned by hand."""

_MIN_SQUARED_DISTANCE: Final = 1e-12
"""Keeps the kernel's logarithm finite where two points coincide."""


def warp_picture(picture: Picture, sources: Points, targets: Points, slack: float = 1e-3) -> Picture:
    """Moves what lies at each source to its target, with a smooth displacement in between; the border stays in place.

    Several sources may coincide, as those on closed lips do: the area that opens between their targets is filled with
    the colour of that point.

    Args:
        picture: Square.
        sources: Pixels of the picture.
        targets: Pixels of the picture, one for each source.
        slack: Relaxation of the spline; see `thin_plate`.
    """
    side = picture.shape[0]
    line = np.linspace(-_BORDER_MARGIN, 1 + _BORDER_MARGIN, _BORDER_POINTS) * side
    border = np.array([(x, y) for x in line for y in line if min(x, y) < 0 or max(x, y) > side])
    return resample(picture, np.concatenate([sources, border]), np.concatenate([targets, border]), side, slack)


def resample(
    picture: Picture, sources: Points, targets: Points, side_px: int, slack: float = 1e-3
) -> UInt8[np.ndarray, "side side 3"]:
    """Returns a square view of a picture in which each source lies at its target.

    The displacement is extrapolated outside the targets; pixels outside the picture repeat its border.

    Args:
        picture: Any size.
        sources: Pixels of the picture.
        targets: Pixels of the view, one for each source.
        side_px: Side of the view.
        slack: Relaxation of the spline; see `thin_plate`.
    """
    unit = float(side_px)
    displacement = thin_plate(targets / unit, (sources - targets) / unit, side_px, slack) * unit
    rows, columns = np.mgrid[0:side_px, 0:side_px].astype(np.float32)
    return cv2.remap(
        picture,
        columns + displacement[..., 0],
        rows + displacement[..., 1],
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )


def thin_plate(points: Points, values: Points, side_px: int, slack: float) -> Float32[np.ndarray, "side side 2"]:
    """Interpolates values at scattered points by a relaxed thin-plate spline.

    Args:
        points: As fractions of the side.
        values: One for each point.
        side_px: Side of the grid of pixels on which the result is given.
        slack: Added to the kernel's diagonal: more smoothness for less exactness. With 1e-3 a face's landmarks are met
            to about a pixel.

    Reference: Bookstein, "Principal warps", IEEE PAMI 11(6), 1989.
    """

    def kernel(a: Float[np.ndarray, "a 2"], b: Float[np.ndarray, "b 2"]) -> Float[np.ndarray, "a b"]:
        squared = (a[:, :1] - b[:, 0]) ** 2 + (a[:, 1:] - b[:, 1]) ** 2
        return squared * np.log(squared + _MIN_SQUARED_DISTANCE)

    count = len(points)
    plane = np.column_stack([np.ones(count), points])
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = kernel(points, points) + slack * np.eye(count)
    system[:count, count:], system[count:, :count] = plane, plane.T
    weights = np.linalg.solve(system, np.concatenate([values, np.zeros((3, 2))]))
    line = (np.arange(0, side_px + _GRID_STEP_PX, _GRID_STEP_PX)) / side_px
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    coarse = kernel(grid, points) @ weights[:count] + np.column_stack([np.ones(len(grid)), grid]) @ weights[count:]
    coarse = coarse.reshape(len(line), len(line), 2).astype(np.float32)
    rows, columns = np.mgrid[0:side_px, 0:side_px].astype(np.float32) / _GRID_STEP_PX
    return cv2.remap(coarse, columns, rows, cv2.INTER_LINEAR)
