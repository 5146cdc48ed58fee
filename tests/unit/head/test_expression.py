"""Brows, cheeks and smiles: the right parts move, in the right direction, by the person's own proportions."""

import numpy as np
import pytest

from helpers.heads import average_mesh
from pcavs.head.expression import ExpressionWarp
from pcavs.head.grid import CELLS, crop_cells
from pcavs.pose.expression import COLUMNS

SIDE = 256
CELLS_A_CM = CELLS / 20.0
LEFT_BROW, RIGHT_BROW, LEFT_CORNER, RIGHT_CORNER, CHEEK, CHIN, IRIS, NOSE = 105, 334, 61, 291, 50, 152, 468, 4


def row(**values):
    return np.array([values.get(name, 0.0) for name in COLUMNS])


def way(warp, mesh, point, **values):
    """How far a landmark of the photograph has moved, in cells, x and y: where its pixel is found in the frame."""
    backward = warp.displacement(row(**values))
    x, y = np.meshgrid(np.arange(CELLS), np.arange(CELLS))
    sources = np.stack([x + backward[..., 0], y + backward[..., 1]], axis=-1)
    place = crop_cells(mesh[point, :2].astype(float), SIDE)
    found = np.linalg.norm(sources - place, axis=-1).argmin()
    column, line = found % CELLS, found // CELLS
    return np.array([column, line]) + place - sources[line, column] - place


@pytest.fixture(scope="module")
def face():
    mesh = average_mesh(SIDE)
    return ExpressionWarp(mesh, SIDE), mesh


def test_nothing_moves_without_an_expression(face):
    warp, _ = face
    assert warp.displacement(None) is None
    assert warp.displacement(row()) is None
    assert warp.displacement(row(left_lid=1.0, gaze_yaw=10.0)) is None


def test_one_brow_is_raised_alone(face):
    warp, mesh = face
    scale = np.ptp(crop_cells(mesh[[33, 263], 0].astype(float)[:, None].repeat(2, 1), SIDE)[:, 0]) / 8.9
    moved = way(warp, mesh, LEFT_BROW, left_brow=1.0)
    assert -1.05 * scale < moved[1] < -0.6 * scale
    assert abs(moved[0]) < 0.2 * scale
    for other in (RIGHT_BROW, LEFT_CORNER, CHIN, IRIS, NOSE):
        assert np.abs(way(warp, mesh, other, left_brow=1.0)).max() < 0.12 * scale


def test_brows_go_down_and_together(face):
    warp, mesh = face
    assert way(warp, mesh, LEFT_BROW, left_brow=-1.0)[1] > 0.5
    left, right = (way(warp, mesh, point, frown=1.0) for point in (107, 336))
    assert left[0] > 0.5 > -0.5 > right[0]
    assert min(left[1], right[1]) > 0.3


def test_a_smile_draws_the_corners_out_and_up_and_lifts_the_cheeks(face):
    warp, mesh = face
    left, right = (way(warp, mesh, point, smile=1.0) for point in (LEFT_CORNER, RIGHT_CORNER))
    assert left[0] < -1.5
    assert right[0] > 1.5
    assert max(left[1], right[1]) < -0.8
    assert way(warp, mesh, CHEEK, smile=1.0)[1] < -0.5
    assert np.abs(way(warp, mesh, CHIN, smile=1.0)).max() < 0.5
    assert way(warp, mesh, LEFT_CORNER, smile=-0.5)[1] > 0.3


def test_faces_of_any_turn_move_along_their_own_axes():
    mesh = average_mesh(SIDE, roll=20)
    moved = way(ExpressionWarp(mesh, SIDE), mesh, LEFT_BROW, left_brow=1.0)
    assert np.degrees(np.arctan2(moved[0], -moved[1])) == pytest.approx(20, abs=6)


def test_no_pixel_is_passed_over_by_another(face):
    warp, _ = face
    strongest = row(left_brow=1, right_brow=1, frown=1, cheeks=1, smile=1)
    for values in (strongest, row(left_brow=-1, right_brow=-1, frown=1, cheeks=1, smile=-0.5)):
        backward = warp.displacement(values)
        assert (1 + np.diff(backward[..., 0], axis=1) > 0.05).all()
        assert (1 + np.diff(backward[..., 1], axis=0) > 0.05).all()
