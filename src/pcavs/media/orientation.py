"""Turns stored pixels upright: the eight orientations of EXIF, used by photographs and videos alike."""

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Shaped


class Orientation(NamedTuple):
    """How to turn stored pixels upright: first exchange rows and columns, then mirror."""

    transposed: bool = False
    mirror_x: bool = False
    """Reverse the columns (left and right)."""
    mirror_y: bool = False
    """Reverse the rows (top and bottom)."""


UPRIGHT: Final = Orientation()
"""Pixels that are stored upright."""

EXIF_ORIENTATIONS: Final = {
    1: UPRIGHT,
    2: Orientation(mirror_x=True),
    3: Orientation(mirror_x=True, mirror_y=True),
    4: Orientation(mirror_y=True),
    5: Orientation(transposed=True),
    6: Orientation(transposed=True, mirror_x=True),
    7: Orientation(transposed=True, mirror_x=True, mirror_y=True),
    8: Orientation(transposed=True, mirror_y=True),
}
"""By the value of the EXIF orientation tag (EXIF 2.3, tag 0x0112)."""


def from_display_matrix(matrix: bytes) -> Orientation:
    """Reads the 3 x 3 display matrix of mp4 and mov, rounded to quarter turns.

    Reference: ISO/IEC 14496-12, track header box: x' = a x + c y, y' = b x + d y.
    """
    a, b, _, c, d = np.frombuffer(matrix, np.int32, count=5).astype(np.int64)
    if abs(a) >= abs(b):
        return Orientation(False, bool(a < 0), bool(d < 0))
    return Orientation(True, bool(c < 0), bool(b < 0))


def turn_upright(pixels: Shaped[np.ndarray, "..."], orientation: Orientation) -> Shaped[np.ndarray, "..."]:
    """Turns a (height, width, channels) array upright; returns a contiguous copy in every case."""
    if orientation.transposed:
        pixels = pixels.swapaxes(0, 1)
    if orientation.mirror_x:
        pixels = pixels[:, ::-1]
    if orientation.mirror_y:
        pixels = pixels[::-1]
    return np.array(pixels, order="C")
