"""What a talker's fields say of the speaking face alone: how lips and jaw move, and what is seen between the lips."""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Float32

from pcavs.animate.mouthcolour import MouthColours
from pcavs.animate.solid import CELLS, MARGIN, Places
from pcavs.backends.base import FieldArrays
from pcavs.face.pose import head_pose
from pcavs.face.regions import INNER_LIPS, mouth_opening
from pcavs.types import Mesh, Picture

_LOWER_FACE: Final = (
    *(129, 98, 2, 327, 358),  # under the nose
    *(323, 361, 288, 397, 365, 379, 378, 400, 377, 152),  # right jaw, down to the chin
    *(148, 176, 149, 150, 136, 172, 58, 132, 93),
)
"""Ordered polygon of all that speech moves, from the nose's left wing."""
_GROWN_CM: Final = 0.8
_SOFT_CM: Final = 0.8
_HARDLY, _WIDELY = 0.1, 0.18
"""Openings, as shares of the distance between the eyes, from which on the photograph's own teeth are trusted."""
_SHARE_LOW: Final = 0.2
_CRISPNESS: Final = 0.6
_CRISP_SIGMA: Final = 1.2
_SHOWN: Final = 0.004
"""Share of colours below which nothing is painted: less than a grey level."""


class SpeechFields:
    """Reads the fields of frames in which a head holds the picture's own pose.

    What the talker says of the very picture is taken off, so that a face at rest is the picture; what it says outside
    of the lower face is left out, so that eyes, hair and background hold still.
    """

    def __init__(self, mesh: Mesh, picture: Picture, at_rest: FieldArrays) -> None:
        """Prepares the region that speech moves.

        Args:
            mesh: In pixels of the crop.
            picture: The crop.
            at_rest: What the talker says for the picture's own content and pose.
        """
        side = picture.shape[0]
        self._side = side
        self._rest = at_rest.flow
        self._region = _lower_face(mesh, side)
        self._shown = _open_mouth(mesh, side)
        self._toned = MouthColours(mesh, picture)

    def motion(self, fields: FieldArrays, places: Places) -> Places:
        """Gives how speech moves the face, in cells, at places of the picture."""
        flow = (fields.flow - self._rest).transpose(1, 2, 0) * np.float32(CELLS / 2)
        fine = cv2.resize(flow, (CELLS, CELLS), interpolation=cv2.INTER_LINEAR) * self._region[..., None]
        return _sampled(fine, places)

    def painted(self, moved: Picture, fields: FieldArrays, places: Places, sources: Places, margin_px: int) -> Picture:
        """Lays the colours of what is new between the lips into a frame.

        Args:
            moved: The frame without them; is painted on.
            fields: What the talker says.
            places: Where the frame's cells lie on the head of the picture.
            sources: Where their pixels come from, now that lips and jaw have moved.
            margin_px: By how much the frame is larger than the crop, on each side.
        """
        share = 1 - _sampled(fields.mask, places, outside=1.0)
        share *= _sampled(self._region, places) * (1 - _sampled(self._shown, sources))
        rows, columns = np.flatnonzero(share.max(axis=1) > _SHOWN), np.flatnonzero(share.max(axis=0) > _SHOWN)
        if not len(rows):
            return moved
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        colours = _sampled(_crisp(fields.colours.transpose(1, 2, 0)), places[box])
        paint = np.dstack([self._toned(colours * 127.5 + 127.5), share[box]]).astype(np.float32)
        shift = (len(places) - CELLS) / 2
        return _laid(moved, paint, (columns[0] - shift, rows[0] - shift), self._side / CELLS, margin_px)


def _laid(moved: Picture, paint: np.ndarray, corner: tuple[float, float], pixels: float, margin_px: int) -> Picture:
    """Enlarges a block of paint whose first cell is `corner`, and mixes it in."""
    height, width = paint.shape[:2]
    x0, y0 = (round((value - 1) * pixels) + margin_px for value in corner)
    x1, y1 = x0 + round((width + 2) * pixels), y0 + round((height + 2) * pixels)
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, moved.shape[1]), min(y1, moved.shape[0])
    first = [(low + 0.5 - margin_px) / pixels - 0.5 - cell for low, cell in zip((x0, y0), corner, strict=True)]
    step = np.array([[1 / pixels, 0, first[0]], [0, 1 / pixels, first[1]]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    block = cv2.warpAffine(paint, step, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    under = moved[y0:y1, x0:x1]
    share = ((block[..., 3:] - _SHARE_LOW) / (1 - 2 * _SHARE_LOW)).clip(0, 1)
    moved[y0:y1, x0:x1] = np.rint((under + share * (block[..., :3] - under)).clip(0, 255)).astype(np.uint8)
    return moved


def _crisp(colours: np.ndarray) -> np.ndarray:
    """Undoes part of the blur of small networks: teeth and lips part more clearly."""
    return colours + _CRISPNESS * (colours - cv2.GaussianBlur(colours, (0, 0), _CRISP_SIGMA))


def _sampled(values: np.ndarray, places: Places, outside: float = 0.0) -> Float32[np.ndarray, "rows columns *channels"]:
    """Reads values that span the crop at places in cells."""
    scale = values.shape[0] / CELLS
    x, y = ((places[..., axis] - (MARGIN - 0.5)) * np.float32(scale) - np.float32(0.5) for axis in range(2))
    return cv2.remap(
        np.ascontiguousarray(values), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=[outside] * 4
    )


def _open_mouth(mesh: Mesh, side_px: int) -> Float32[np.ndarray, "cells cells"]:
    """Share of the photograph's own teeth at each place; none where the lips are hardly apart."""
    opening = float(mouth_opening(mesh[None])[0])
    share = min(max((opening - _HARDLY) / (_WIDELY - _HARDLY), 0.0), 1.0)
    inside = np.zeros((CELLS, CELLS), np.uint8)
    corners = (mesh[list(INNER_LIPS), :2] + 0.5) * CELLS / side_px - 0.5
    cv2.fillPoly(inside, [np.rint(corners).astype(np.int32)], 255)
    return cv2.GaussianBlur(inside.astype(np.float32) * (share / 255), (0, 0), 1)


def _lower_face(mesh: Mesh, side_px: int) -> Float32[np.ndarray, "cells cells"]:
    to_cells = CELLS / side_px
    unit = float(head_pose(mesh[None]).scale_px_per_cm[0]) * to_cells
    region = np.zeros((CELLS, CELLS), np.uint8)
    corners = (mesh[list(_LOWER_FACE), :2] + 0.5) * to_cells - 0.5
    cv2.fillPoly(region, [np.rint(corners).astype(np.int32)], 255)
    reach = 2 * round(_GROWN_CM * unit) + 1
    grown = cv2.dilate(region, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    return cv2.GaussianBlur(grown.astype(np.float32) / 255, (0, 0), _SOFT_CM * unit / 2)
