"""The eight ways in which a picture may lie in its file."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped


class Orientation(NamedTuple):
    """How to turn stored pixels upright: first exchange rows and columns, then mirror."""

    transposed: bool = False
    mirror_x: bool = False
    mirror_y: bool = False


UPRIGHT = Orientation()

EXIF_ORIENTATIONS = {
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
    """Turns a height x width x channels array upright; always a contiguous copy."""
    if orientation.transposed:
        pixels = pixels.swapaxes(0, 1)
    if orientation.mirror_x:
        pixels = pixels[:, ::-1]
    if orientation.mirror_y:
        pixels = pixels[::-1]
    return np.array(pixels, order="C")
