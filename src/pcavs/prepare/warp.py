"""Smooth warps of a crop that are told at scattered points."""

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from pcavs.types import Picture

Points = Float[np.ndarray, "points 2"]

_GRID_STEP = 8
"""Pixels between the places where a warp is computed; it is smooth, the rest is interpolated."""


def warp_picture(picture: Picture, sources: Points, targets: Points, slack: float = 1e-3) -> Picture:
    """Moves what is at each source to its target, smoothly in between; the picture's border stays where it is.

    Sources may lie on one spot, as the lips of a closed mouth do: what opens between their targets shows that spot.

    Args:
        picture: Square.
        sources: In pixels of the picture.
        targets: The same.
        slack: How much smoothness may cost in exactness; with 1e-3 points land within a pixel or so.
    """
    side = picture.shape[0]
    line = np.linspace(-0.15, 1.15, 9) * side
    border = np.array([(x, y) for x in line for y in line if min(x, y) < 0 or max(x, y) > side])
    return sample(picture, np.concatenate([sources, border]), np.concatenate([targets, border]), side, slack)


def sample(
    picture: Picture, sources: Points, targets: Points, side_px: int, slack: float = 1e-3
) -> UInt8[np.ndarray, "side side 3"]:
    """Gives a square view of a picture in which each source lies at its target; beyond them the warp goes on."""
    unit = float(side_px)
    places = thin_plate(targets / unit, (sources - targets) / unit, side_px, slack) * unit
    rows, columns = np.mgrid[0:side_px, 0:side_px].astype(np.float32)
    return cv2.remap(
        picture, columns + places[..., 0], rows + places[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def thin_plate(points: Points, values: Points, side_px: int, slack: float) -> Float32[np.ndarray, "side side 2"]:
    """Interpolates smoothly between scattered points (Bookstein, PAMI 1989), slightly relaxed.

    Args:
        points: In shares of the side.
        values: One for each point.
        side_px: Side of the grid of pixels on which the result is given.
        slack: Added to the kernel's diagonal.
    """

    def kernel(a: Float[np.ndarray, "a 2"], b: Float[np.ndarray, "b 2"]) -> Float[np.ndarray, "a b"]:
        squared = (a[:, :1] - b[:, 0]) ** 2 + (a[:, 1:] - b[:, 1]) ** 2
        return squared * np.log(squared + 1e-12)

    count = len(points)
    plane = np.column_stack([np.ones(count), points])
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = kernel(points, points) + slack * np.eye(count)
    system[:count, count:], system[count:, :count] = plane, plane.T
    solved = np.linalg.solve(system, np.concatenate([values, np.zeros((3, 2))]))
    line = (np.arange(0, side_px + _GRID_STEP, _GRID_STEP)) / side_px
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    coarse = kernel(grid, points) @ solved[:count] + np.column_stack([np.ones(len(grid)), grid]) @ solved[count:]
    coarse = coarse.reshape(len(line), len(line), 2).astype(np.float32)
    rows, columns = np.mgrid[0:side_px, 0:side_px].astype(np.float32) / _GRID_STEP
    return cv2.remap(coarse, columns, rows, cv2.INTER_LINEAR)
