"""Computes from the generator's fields how speech displaces the lower face, the same on both sides.

Used where the head is turned by depth: the generator is run at the photograph's own pose, so the difference between
its displacement field and the one for the photograph's own content is the motion of speech. `render` splits the result
at the lips, and `animate.renderer` adds it to the warp of the turned head.
"""

import functools
from typing import Final, TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int

from pcavs.face.pose import angles_deg, canonical_face, head_pose
from pcavs.face.regions import LOWER_FACE, mirrored_points
from pcavs.head.grid import CELLS, cells_per_cm, crop_cells
from pcavs.runtime.base import FieldArrays
from pcavs.types import Mesh

_REGION_DILATION_CM: Final = 0.8
"""Radius by which the polygon of the lower face is dilated. Chosen by eye."""
_REGION_BLUR_CM: Final = 0.8
"""Width of the region's soft edge: two standard deviations of its Gaussian blur. Chosen by eye."""

_FRONTAL_DEG: Final = 12.0
"""Yaw up to which both sides of the mouth have equal weight. Tuned by hand; not measured."""
_ASIDE_DEG: Final = 28.0
"""Yaw from which the mirror image has weight 0, because the landmarks of the far side are too uncertain. Tuned by hand;
not measured."""

_NOSE_TIP: Final = 4
"""Index of this landmark in the mesh."""

Displacement: TypeAlias = Float32[np.ndarray, "cells cells 2"]
"""Backward displacement field (x, y) over the crop: where each cell's pixel comes from in the photograph, minus the
cell's own place, in cells."""


class MouthMotion:
    """Reads the displacement that speech causes from the fields of frames at the photograph's own pose.

    The displacement for the photograph's own content is subtracted, so that a face at rest is exactly the photograph.
    Outside the lower face the result is 0: eyes, hair and background do not move. See docs/decisions/0011.
    """

    def __init__(self, mesh: Mesh, side_px: int, rest_fields: FieldArrays) -> None:
        """Prepares the region and the mirror map of one photograph.

        Args:
            mesh: Landmarks in pixels of the crop.
            side_px: Side of the crop.
            rest_fields: Fields of the generator for the photograph's own content and pose.
        """
        self._rest_flow = rest_fields.flow
        self._region = _lower_face_region(mesh, side_px)
        self._mirror = FaceMirror(mesh, side_px)

    def displacement(self, fields: FieldArrays) -> Displacement:
        """Computes the displacement of one frame's speech, enlarged to the grid's resolution."""
        flow = (fields.flow - self._rest_flow).transpose(1, 2, 0) * np.float32(CELLS / 2)  # [-1, 1] spans the crop
        displacement = cv2.resize(flow, (CELLS, CELLS), interpolation=cv2.INTER_LINEAR)
        return self._mirror.symmetrize(displacement) * self._region[..., None]


class FaceMirror:
    """Maps each place of a face's lower half to its mirror image on the other side, in one photograph.

    The map is a quadratic polynomial fitted to the landmarks, so it also fits faces that lean or are half turned.
    """

    def __init__(self, mesh: Mesh, side_px: int) -> None:
        """Fits the map by least squares.

        Args:
            mesh: Landmarks in pixels of the crop.
            side_px: Side of the crop.
        """
        pose = head_pose(mesh[None])
        yaw = abs(float(angles_deg(pose.rotation.astype(np.float64))[0, 0]))
        self._weight = np.float32(0.5 * min(max((_ASIDE_DEG - yaw) / (_ASIDE_DEG - _FRONTAL_DEG), 0.0), 1.0))
        own, other = mirrored_landmarks()
        points = crop_cells(mesh[:, :2].astype(np.float64), side_px)
        centre, size = points[own].mean(axis=0), float(np.ptp(points[own], axis=0).max())
        coefficients, *_ = np.linalg.lstsq(_quadratic_terms((points[own] - centre) / size), points[other], rcond=None)
        rows, columns = np.mgrid[0:CELLS, 0:CELLS].astype(np.float64)
        places = np.stack([columns, rows], axis=-1).reshape(-1, 2)
        mirrored = _quadratic_terms((places - centre) / size) @ coefficients
        self._x, self._y = (mirrored[:, axis].reshape(CELLS, CELLS).astype(np.float32) for axis in range(2))
        # The linear part of the map also mirrors the direction of a displacement.
        self._direction = (coefficients[1:3].T / size).astype(np.float32)

    def symmetrize(self, displacement: Displacement) -> Displacement:
        """Returns the mean of the displacement and its mirror image; the weight of the mirror image falls with yaw."""
        other = cv2.remap(displacement, self._x, self._y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return displacement + self._weight * (other @ self._direction.T - displacement)


@functools.cache
def mirrored_landmarks() -> tuple[Int[np.ndarray, " points"], Int[np.ndarray, " points"]]:
    """Returns the indices of the landmarks below the nose's tip, and for each its counterpart on the other side."""
    vertices = canonical_face().vertices_cm
    own = np.flatnonzero(vertices[:, 1] > vertices[_NOSE_TIP, 1])  # y points down
    return own, mirrored_points()[own]


def _quadratic_terms(places: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 6"]:
    """Returns the constant, linear and quadratic terms of each place."""
    x, y = places.T
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)


def _lower_face_region(mesh: Mesh, side_px: int) -> Float32[np.ndarray, "cells cells"]:
    """Draws a mask of the lower face: 1 from under the nose to the chin, softly 0 around it."""
    scale = cells_per_cm(head_pose(mesh[None]).scale_px_per_cm[0], side_px)
    region = np.zeros((CELLS, CELLS), np.uint8)
    corners = crop_cells(mesh[list(LOWER_FACE), :2], side_px)
    cv2.fillPoly(region, [np.rint(corners).astype(np.int32)], 255)
    diameter = 2 * round(_REGION_DILATION_CM * scale) + 1
    dilated = cv2.dilate(region, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter)))
    return cv2.GaussianBlur(dilated.astype(np.float32) / 255, (0, 0), _REGION_BLUR_CM * scale / 2)
