"""Which place of a face mirrors which, so that lips open alike on both sides."""

import functools
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int

from pcavs.face.pose import angles_deg, canonical_face, head_pose
from pcavs.face.regions import mirrored_points
from pcavs.head.grid import CELLS, crop_cells
from pcavs.types import Mesh

_FRONTAL_DEG, _ASIDE_DEG = 12.0, 28.0
"""Yaw up to which both sides are seen alike well, and from which on the far one is not to be learnt from."""

_NOSE_TIP: Final = 4

MouthMotion = Float32[np.ndarray, "cells cells 2"]
"""From each cell of the picture to where its pixel comes from, in cells."""


class Mirror:
    """The mirror image of every place of a face's lower half, as one photograph shows the face."""

    def __init__(self, mesh: Mesh, side_px: int) -> None:
        """Fits the mirror to the landmarks.

        Args:
            mesh: In pixels of the crop.
            side_px: Of the crop.
        """
        pose = head_pose(mesh[None])
        yaw = abs(float(angles_deg(pose.rotation.astype(np.float64))[0, 0]))
        self._share = np.float32(0.5 * min(max((_ASIDE_DEG - yaw) / (_ASIDE_DEG - _FRONTAL_DEG), 0.0), 1.0))
        own, other = mirrored_landmarks()
        points = crop_cells(mesh[:, :2].astype(np.float64), side_px)
        middle, size = points[own].mean(axis=0), float(np.ptp(points[own], axis=0).max())
        found, *_ = np.linalg.lstsq(_terms((points[own] - middle) / size), points[other], rcond=None)
        rows, columns = np.mgrid[0:CELLS, 0:CELLS].astype(np.float64)
        places = np.stack([columns, rows], axis=-1).reshape(-1, 2)
        mirrored = _terms((places - middle) / size) @ found
        self._x, self._y = (mirrored[:, axis].reshape(CELLS, CELLS).astype(np.float32) for axis in range(2))
        self._turn = (found[1:3].T / size).astype(np.float32)

    def evened(self, motion: MouthMotion) -> MouthMotion:
        """Gives a motion that both sides share: the mean of each place's own and its mirror's."""
        other = cv2.remap(motion, self._x, self._y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return motion + self._share * (other @ self._turn.T - motion)


@functools.cache
def mirrored_landmarks() -> tuple[Int[np.ndarray, " points"], Int[np.ndarray, " points"]]:
    """Landmarks below the tip of the nose, and that of the other side for each."""
    vertices = canonical_face().vertices_cm
    own = np.flatnonzero(vertices[:, 1] > vertices[_NOSE_TIP, 1])  # y points down
    return own, mirrored_points()[own]


def _terms(places: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 6"]:
    """Constant, linear and squared terms."""
    x, y = places.T
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
