"""From what the generator gives to the frame, at any size."""

from typing import Literal, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import UInt8

from pcavs.runtime.base import FaceArrays, FieldArrays, Rendered
from pcavs.types import Picture


@runtime_checkable
class Composer(Protocol):
    """Makes frames of one size."""

    def frame(self, rendered: Rendered) -> Picture:
        """Gives the frame."""
        ...


def make_composer(kind: Literal["flow", "paper"], picture: UInt8[np.ndarray, "side side 3"]) -> Composer:
    """Makes the composer for a kind of talker, from the identity picture at the film's own size, RGB."""
    return FieldComposer(picture) if kind == "flow" else FaceComposer(picture.shape[0])


class FaceComposer:
    """Brings made faces to the film's size."""

    def __init__(self, side: int) -> None:
        """Takes the film's side in pixels."""
        self._side = side

    def frame(self, rendered: Rendered) -> Picture:
        """Gives the frame; levels are rounded to the nearest."""
        assert isinstance(rendered, FaceArrays)
        face = (np.clip(rendered.face.transpose(1, 2, 0), -1, 1) * 127.5 + 128.0).astype(np.uint8)
        if face.shape[0] == self._side:
            return face
        shrinks = face.shape[0] > self._side
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(face, (self._side, self._side), interpolation=method), np.uint8)


class FieldComposer:
    """Moves one identity picture by the fields of each frame and lays the painted colours in.

    The same as `models.generator.compose`, but for three things, together below two levels of 255 on smooth
    pictures: the picture is sampled by cubic instead of linear interpolation, which keeps skin and hair sharp; at
    places rounded to 1/32 pixel; and moved picture and colours are rounded to 8 bits before they are mixed.
    """

    def __init__(self, picture: UInt8[np.ndarray, "side side 3"]) -> None:
        """Takes the identity picture at the film's own size, RGB."""
        self._picture = picture
        side = picture.shape[0]
        self._rows, self._columns = (axis.astype(np.float32) for axis in np.mgrid[0:side, 0:side])

    def frame(self, rendered: Rendered) -> Picture:
        """Gives the frame; takes 2 ms at 256 pixels."""
        assert isinstance(rendered, FieldArrays)
        fields = rendered
        side = self._picture.shape[0]
        half = side / 2  # the picture spans [-1, 1]
        columns = self._columns + _enlarged(fields.flow[0], side) * half
        rows = self._rows + _enlarged(fields.flow[1], side) * half
        moved = cv2.remap(self._picture, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        mask = _enlarged(fields.mask, side)
        painted = cv2.convertScaleAbs(_enlarged(fields.colours.transpose(1, 2, 0), side) + 1, alpha=127.5)
        return np.asarray(cv2.blendLinear(moved, painted, mask, 1 - mask), np.uint8)


def _enlarged(field: np.ndarray, side: int) -> np.ndarray:
    """Resizes bilinearly, pixel areas aligned (not corners), as the networks do."""
    return cv2.resize(np.ascontiguousarray(field), (side, side), interpolation=cv2.INTER_LINEAR)
