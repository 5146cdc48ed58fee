"""The displacement of speech is the same on both sides of a face."""

import cv2
import numpy as np
import pytest

from helpers.heads import shut_mesh
from pcavs.face.regions import OUTER_LIPS
from pcavs.head.grid import CELLS
from pcavs.mouth.motion import FaceMirror, mirrored_landmarks

SIDE = 256
FLIP = np.array([-1, 1], np.float32)


def bump(places, at, motion, sigma=4.0):
    """A displacement field with a Gaussian bump at one place."""
    distances = np.linalg.norm(places - at, axis=-1)
    return (np.exp(-0.5 * (distances / sigma) ** 2)[..., None] * motion).astype(np.float32)


def cells():
    rows, columns = np.mgrid[0:CELLS, 0:CELLS]
    return np.stack([columns, rows], axis=-1).astype(np.float64)


def corners(mesh):
    return ((mesh[[61, 291], :2] + 0.5) * CELLS / SIDE - 0.5).astype(np.float64)


def turned(mesh, degrees):
    """The head, rolled in the picture plane."""
    turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), degrees, 1.0)
    mesh = mesh.copy()
    mesh[:, :2] = mesh[:, :2] @ turn[:, :2].T + turn[:, 2]
    return mesh


def test_the_mirror_image_of_a_mirror_image_is_the_landmark_itself():
    own, other = mirrored_landmarks()
    found = dict(zip(own.tolist(), other.tolist(), strict=True))
    assert set(OUTER_LIPS) <= set(found)
    assert all(found[found[each]] == each for each in found)
    assert (found[61], found[78], found[13], found[17]) == (291, 308, 13, 17)


@pytest.mark.parametrize("roll", [0, 20])
def test_a_motion_of_one_corner_is_shared_by_both(roll):
    mesh = turned(shut_mesh(SIDE), roll)
    left, right = corners(mesh)
    out = (left - right) / np.linalg.norm(left - right)
    symmetric = FaceMirror(mesh, SIDE).symmetrize(bump(cells(), left, out * 3))
    (x0, y0), (x1, y1) = np.rint([left, right]).astype(int)
    assert symmetric[y0, x0] == pytest.approx(out * 1.5, abs=0.15)
    assert symmetric[y1, x1] == pytest.approx(-out * 1.5, abs=0.15)


def test_a_symmetric_displacement_does_not_change():
    mesh = shut_mesh(SIDE)
    left, right = corners(mesh)
    away = np.array([2.0, 1.0])
    mirrored = bump(cells(), left, -away * FLIP) + bump(cells(), right, -away)
    symmetric = FaceMirror(mesh, SIDE).symmetrize(mirrored)
    y, x = (slice(int(left[1]) - 8, int(left[1]) + 9), slice(int(left[0]) - 6, int(right[0]) + 7))
    assert np.abs(symmetric - mirrored)[y, x].max() < 0.15 * np.abs(mirrored).max()


def test_the_far_side_of_a_turned_head_does_not_count():
    mesh = shut_mesh(SIDE)
    angle = np.deg2rad(35)
    centre = mesh.mean(axis=0)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    aside = ((mesh - centre) @ turn.T + centre).astype(np.float32)
    motion = bump(cells(), corners(aside)[0], np.array([3.0, 0.0]))
    assert np.array_equal(FaceMirror(aside, SIDE).symmetrize(motion), motion)
