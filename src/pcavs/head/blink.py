"""Blinks: when they come, and how a photograph's lids close."""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from pcavs.face.regions import LEFT_EYE, RIGHT_EYE
from pcavs.spec import FRAME_RATE
from pcavs.types import Mesh, Picture

BLINK: Final = (0.4, 0.9, 1.0, 0.8, 0.5, 0.2)
"""Share by which the lids are closed, frame after frame: down in 80 ms, up in 160 (VanderWerf et al., J. Neurophysiol.
2003)."""

_MEAN_S: Final = 3.2
"""Between blinks of people who talk: 19 a minute, 26 in Bentivoglio et al. (Mov. Disord. 1997), 17 at rest."""
_LEAST_S: Final = 1.2
_SPREAD: Final = 2.0
"""Shape of the gamma distribution beyond the least: uneven, as blinks are."""

_LEAST_OPENING: Final = 0.12
"""Of the eye's width: eyes that are shut in the photograph stay shut."""
_ABOVE: Final = 1.6
"""Openings above the lid over which its skin is stretched: nearly to the brow."""
_LEAST_ABOVE: Final = 0.5
_LASHES: Final = 0.14
"""Share of the opening that the lashes' dark line takes: it is moved and not stretched."""
_BELOW_LASHES: Final = 0.03
"""Share of the opening, beneath the lid's edge, that moves with it; more would bring the eye's white along."""
_BEYOND: Final = 1.06
"""Openings by which a shut lid is down: over the wet rim of the lower one."""
_LEFT_BROW: Final = (46, 53, 52, 65, 55)
_RIGHT_BROW: Final = (285, 295, 282, 283, 276)
"""The brows' lower edges, from left to right: they hold still."""


def blink_track(num_frames: int, seed: int) -> Float32[np.ndarray, " time"]:
    """Says for each frame how far the lids are closed, 0 to 1; equal for equal seeds, and as longer films begin."""
    closed = np.zeros(num_frames, np.float32)
    rng = np.random.default_rng((seed, 0xB11CC))
    at_s = 0.0
    while True:
        at_s += _LEAST_S + float(rng.gamma(_SPREAD, (_MEAN_S - _LEAST_S) / _SPREAD))
        first = round(at_s * FRAME_RATE)
        if first + len(BLINK) > num_frames:
            return closed  # half a blink would end the film with eyes half shut
        closed[first : first + len(BLINK)] = BLINK


class _Eye(NamedTuple):
    """What closes one eye, in pixels of a box around it."""

    box: tuple[slice, slice]
    upper: Float[np.ndarray, " columns"]
    """Row of the upper lid's edge in each column."""
    opening: Float[np.ndarray, " columns"]
    start: Float[np.ndarray, " columns"]
    """Row above which nothing moves."""


class Lids:
    """Closes the eyes of a picture by drawing the skin above them down."""

    def __init__(self, picture: Picture, mesh: Mesh, left_px: int = 0) -> None:
        """Finds the lids.

        Args:
            picture: With a margin around the crop, or the crop.
            mesh: In pixels of the crop.
            left_px: The margin.
        """
        self._picture = picture
        points = mesh[:, :2].astype(np.float64) + left_px
        both = ((LEFT_EYE, _LEFT_BROW), (RIGHT_EYE, _RIGHT_BROW))
        eyes = (_eye(points[list(outline)], points[list(brow)], picture.shape) for outline, brow in both)
        self._eyes = [eye for eye in eyes if eye is not None]

    def closed(self, share: float) -> Picture:
        """Gives the picture with its lids closed by a share; itself where that is 0. Not to be drawn on."""
        if share <= 0 or not self._eyes:
            return self._picture
        picture = self._picture.copy()
        for eye in self._eyes:
            picture[eye.box] = _drawn_down(self._picture[eye.box], eye, share)
        return picture


def _eye(outline: Float[np.ndarray, "16 2"], brow: Float[np.ndarray, "5 2"], shape: tuple[int, ...]) -> _Eye | None:
    upper, lower = outline[:9], np.concatenate([outline[8:], outline[:1]])[::-1]
    width = float(upper[-1, 0] - upper[0, 0])
    low, high = int(np.ceil(upper[0, 0])), int(np.floor(upper[-1, 0])) + 1
    if width < 4 or (np.diff(upper[:, 0]) <= 0).any() or (np.diff(lower[:, 0]) <= 0).any():
        return None  # seen from the side: there is no lid to close
    columns = np.arange(low, high)
    tops = np.interp(columns, upper[:, 0], upper[:, 1])
    opening = (np.interp(columns, lower[:, 0], lower[:, 1]) - tops).clip(0)
    if opening.max() < _LEAST_OPENING * width:
        return None
    most = opening.max()
    start = np.maximum(tops - _ABOVE * most, np.interp(columns, brow[:, 0], brow[:, 1]))
    start = np.minimum(start, tops - _LEAST_ABOVE * most)
    first = int(np.floor(start.min()))
    last = int(np.ceil((tops + opening).max())) + 2
    if min(low, first) < 0 or high > shape[1] or last > shape[0]:
        return None
    return _Eye((slice(first, last), slice(low, high)), tops - first, opening, start - first)


def _drawn_down(part: UInt8[np.ndarray, "rows columns 3"], eye: _Eye, share: float) -> Picture:
    """Moves the lid's edge down, with its lashes; stretches the skin above it; covers what is beneath."""
    rows = np.arange(part.shape[0], dtype=np.float64)[:, None]
    down = share * _BEYOND * eye.opening[None]
    edge, start = eye.upper[None], eye.start[None]
    lashes = edge - _LASHES * eye.opening[None]
    stretched = start + (rows - start) * (lashes - start) / (lashes + down - start)
    source = np.where(rows < lashes + down, stretched, rows - down)
    still = (rows < start) | (rows > edge + down + _BELOW_LASHES * eye.opening[None])
    source = np.where(still, rows, source)
    columns = np.broadcast_to(np.arange(part.shape[1], dtype=np.float32), source.shape)
    moved = cv2.remap(
        part, columns.copy(), source.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.uint8)
