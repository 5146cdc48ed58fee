"""What a talker's fields say of the speaking face alone: how lips and jaw move."""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Float32

from pcavs.face.pose import head_pose
from pcavs.face.regions import LOWER_FACE
from pcavs.head.grid import CELLS, crop_cells
from pcavs.mouth.mirror import Mirror, MouthMotion
from pcavs.runtime.base import FieldArrays
from pcavs.types import Mesh

_GROWN_CM: Final = 0.8
_SOFT_CM: Final = 0.8


class SpeechFields:
    """Reads the fields of frames in which a head holds the picture's own pose.

    What the talker says of the very picture is taken off, so that a face at rest is the picture; what it says outside
    of the lower face is left out, so that eyes, hair and background hold still.
    """

    def __init__(self, mesh: Mesh, side_px: int, at_rest: FieldArrays) -> None:
        """Prepares the region that speech moves.

        Args:
            mesh: In pixels of the crop.
            side_px: Of the crop.
            at_rest: What the talker says for the picture's own content and pose.
        """
        self._rest = at_rest.flow
        self._region = _lower_face(mesh, side_px)
        self._mirror = Mirror(mesh, side_px)

    def motion(self, fields: FieldArrays) -> MouthMotion:
        """Gives how speech moves each place of the picture: to where its pixel comes from, in cells."""
        flow = (fields.flow - self._rest).transpose(1, 2, 0) * np.float32(CELLS / 2)
        motion = cv2.resize(flow, (CELLS, CELLS), interpolation=cv2.INTER_LINEAR)
        return self._mirror.evened(motion) * self._region[..., None]


def _lower_face(mesh: Mesh, side_px: int) -> Float32[np.ndarray, "cells cells"]:
    to_cells = CELLS / side_px
    unit = float(head_pose(mesh[None]).scale_px_per_cm[0]) * to_cells
    region = np.zeros((CELLS, CELLS), np.uint8)
    corners = crop_cells(mesh[list(LOWER_FACE), :2], side_px)
    cv2.fillPoly(region, [np.rint(corners).astype(np.int32)], 255)
    reach = 2 * round(_GROWN_CM * unit) + 1
    grown = cv2.dilate(region, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    return cv2.GaussianBlur(grown.astype(np.float32) / 255, (0, 0), _SOFT_CM * unit / 2)
