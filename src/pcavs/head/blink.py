"""Blinks: when they happen, and how the eyelids of a photograph are closed.

Eyelid closure is 0 for the eyes as they are in the photograph and 1 for shut eyes. An eye is closed by a warp of its
columns: the edge of the upper lid moves down over the eye, with its lashes, and the skin between lid and brow is
stretched. Nothing is painted, so the skin keeps its colour and texture.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from pcavs.face.regions import LEFT_EYE, RIGHT_EYE
from pcavs.spec import FRAME_RATE
from pcavs.types import Mesh, Picture

BLINK: Final = (0.4, 0.9, 1.0, 0.8, 0.5, 0.2)
"""Eyelid closure in the frames of a blink: 80 ms down, 160 ms up.
Reference: VanderWerf et al., Eyelid movements, J. Neurophysiol. 2003."""

_MEAN_INTERVAL_S: Final = 3.2
"""Mean time between blinks: 19 a minute. People blink 26 times a minute when they talk, 17 times at rest.
Reference: Bentivoglio et al., Analysis of blink rate patterns in normal subjects, Mov. Disord. 1997."""
_MIN_INTERVAL_S: Final = 1.2
"""Smallest time between blinks. Tuned by hand; not measured."""
_INTERVAL_SHAPE: Final = 2.0
"""Shape parameter of the gamma distribution of the time beyond the smallest one. Tuned by hand; not measured."""
_BLINK_STREAM: Final = 0xB11CC
"""Distinguishes the random numbers of blinks from others that are drawn with the same seed."""

_MIN_OPENING: Final = 0.12
"""Opening, as a share of the eye's width, below which an eye counts as shut in the photograph and is left alone. Tuned
by hand; not measured."""
_MIN_EYE_PX: Final = 4
"""Width below which an eye is left alone, as in a profile. Tuned by hand; not measured."""
_LID_POINTS: Final = 9
"""Points of an eye's polygon from corner to corner along the upper lid."""
_STRETCH: Final = 1.6
"""Height of the skin above the lid that is stretched, in openings of the eye; it ends at the brow at the latest. Chosen
by eye."""
_MIN_STRETCH: Final = 0.5
"""Smallest height of that skin, in openings, where the brow is low. Chosen by eye."""
_LASHES: Final = 0.14
"""Thickness of the dark line of the lashes, in openings: it moves without being stretched. Chosen by eye."""
_LID_EDGE: Final = 0.03
"""Height of the strip below the lid's edge that moves with the lid, in openings; a higher one would move the white of
the eye. Chosen by eye."""
_OVERSHOOT: Final = 1.06
"""Distance that a shut lid has moved, in openings: above 1, so that it covers the wet rim of the lower lid. Chosen by
eye."""
_LEFT_BROW: Final = (46, 53, 52, 65, 55)
"""Landmarks along the lower edge of the brow at the picture's left, from left to right. Brows do not move in a
blink."""
_RIGHT_BROW: Final = (285, 295, 282, 283, 276)
"""The same at the picture's right."""


def blink_track(num_frames: int, seed: int) -> Float32[np.ndarray, " time"]:
    """Draws the eyelid closure of each frame of a film, 0 to 1.

    Equal seeds give equal blinks, and a longer film begins as a shorter one does. A blink that would not end within the
    film is left out.
    """
    closure = np.zeros(num_frames, np.float32)
    rng = np.random.default_rng((seed, _BLINK_STREAM))
    at_s = 0.0
    while True:
        at_s += _MIN_INTERVAL_S + float(
            rng.gamma(_INTERVAL_SHAPE, (_MEAN_INTERVAL_S - _MIN_INTERVAL_S) / _INTERVAL_SHAPE)
        )
        first = round(at_s * FRAME_RATE)
        if first + len(BLINK) > num_frames:
            return closure  # a cut-off blink would end the film with half-shut eyes
        closure[first : first + len(BLINK)] = BLINK


class _Eye(NamedTuple):
    """The geometry that closes one eye, in pixels of a box around it, for each column of the box."""

    box: tuple[slice, slice]
    """Rows and columns of the picture."""
    upper: Float[np.ndarray, " columns"]
    """Row of the upper lid's edge."""
    opening: Float[np.ndarray, " columns"]
    """Rows from the upper to the lower lid."""
    start: Float[np.ndarray, " columns"]
    """Row above which nothing moves."""


class Eyelids:
    """Closes the eyelids of one picture."""

    def __init__(self, picture: Picture, mesh: Mesh, padding_px: int = 0) -> None:
        """Finds the eyelids; eyes that are shut, or seen from the side, are left alone.

        Args:
            picture: The crop, with or without padding.
            mesh: Landmarks in pixels of the crop.
            padding_px: Width of the padding on each side.
        """
        self._picture = picture
        points = mesh[:, :2].astype(np.float64) + padding_px
        polygons = ((LEFT_EYE, _LEFT_BROW), (RIGHT_EYE, _RIGHT_BROW))
        eyes = (_find_eye(points[list(outline)], points[list(brow)], picture.shape) for outline, brow in polygons)
        self._eyes = [eye for eye in eyes if eye is not None]

    def close(self, closure: float) -> Picture:
        """Returns the picture with its eyelids closed, 0 (as they are) to 1 (shut).

        For a closure of 0 the result is the picture itself, not a copy, so callers must not change it.
        """
        if closure <= 0 or not self._eyes:
            return self._picture
        picture = self._picture.copy()
        for eye in self._eyes:
            picture[eye.box] = _close_eye(self._picture[eye.box], eye, closure)
        return picture


def _find_eye(
    outline: Float[np.ndarray, "16 2"], brow: Float[np.ndarray, "5 2"], shape: tuple[int, ...]
) -> _Eye | None:
    """Interpolates the lids' edges in each column; None where the eye cannot be closed.

    Args:
        outline: The eye's polygon from its left corner over the upper lid, in pixels.
        brow: Lower edge of the brow, from left to right.
        shape: Shape of the picture.
    """
    upper, lower = outline[:_LID_POINTS], np.concatenate([outline[_LID_POINTS - 1 :], outline[:1]])[::-1]
    width = float(upper[-1, 0] - upper[0, 0])
    low, high = int(np.ceil(upper[0, 0])), int(np.floor(upper[-1, 0])) + 1
    if width < _MIN_EYE_PX or (np.diff(upper[:, 0]) <= 0).any() or (np.diff(lower[:, 0]) <= 0).any():
        return None  # seen from the side, a lid passes some columns twice
    columns = np.arange(low, high)
    edge = np.interp(columns, upper[:, 0], upper[:, 1])
    opening = (np.interp(columns, lower[:, 0], lower[:, 1]) - edge).clip(0)
    largest = opening.max()
    if largest < _MIN_OPENING * width:
        return None
    start = np.maximum(edge - _STRETCH * largest, np.interp(columns, brow[:, 0], brow[:, 1]))
    start = np.minimum(start, edge - _MIN_STRETCH * largest)
    first = int(np.floor(start.min()))
    last = int(np.ceil((edge + opening).max())) + 2
    if min(low, first) < 0 or high > shape[1] or last > shape[0]:
        return None  # partly outside of the picture
    return _Eye((slice(first, last), slice(low, high)), edge - first, opening, start - first)


def _close_eye(part: UInt8[np.ndarray, "rows columns 3"], eye: _Eye, closure: float) -> Picture:
    """Warps the box around an eye: moves lid edge and lashes down, and stretches the skin above them."""
    rows = np.arange(part.shape[0], dtype=np.float64)[:, None]
    down = closure * _OVERSHOOT * eye.opening[None]
    edge, start = eye.upper[None], eye.start[None]
    lashes = edge - _LASHES * eye.opening[None]
    stretched = start + (rows - start) * (lashes - start) / (lashes + down - start)
    source = np.where(rows < lashes + down, stretched, rows - down)
    unmoved = (rows < start) | (rows > edge + down + _LID_EDGE * eye.opening[None])
    source = np.where(unmoved, rows, source)
    columns = np.broadcast_to(np.arange(part.shape[1], dtype=np.float32), source.shape)
    closed = cv2.remap(
        part, columns.copy(), source.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(closed, np.uint8)
