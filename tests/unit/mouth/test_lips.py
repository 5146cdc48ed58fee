"""Lips part along the photograph's edges, and elsewhere the generator's displacement stays."""

import numpy as np
import pytest

from helpers.heads import average_mesh, opening_flow, shut_mesh
from pcavs.face.regions import INNER_LIPS, OUTER_LIPS
from pcavs.head.grid import CELLS, MARGIN
from pcavs.mouth.lips import Lips

SIDE = 256


def cells(mesh, points):
    return (mesh[list(points), :2] + 0.5) * CELLS / SIDE - 0.5


def grid():
    axis = np.arange(MARGIN, MARGIN + CELLS, dtype=np.float32)
    return np.dstack(np.meshgrid(axis, axis))


def gaps(lips, motion):
    near = lips.near(grid())
    places = grid()[near]
    split = lips.split(motion)
    upper, lower = places + lips.sample(split.upper, places), places + lips.sample(split.lower, places)
    return np.minimum(-lips.above_upper_edge(upper), -lips.below_lower_edge(lower)), near


@pytest.mark.parametrize("down", [2.0, 4.0, 6.0])
def test_lips_part_as_far_as_they_move_apart(down):
    mesh = shut_mesh(SIDE)
    gap, _ = gaps(Lips(mesh, SIDE), opening_flow(down, up=1.0))
    assert 2 * gap.max() == pytest.approx(down + 1, abs=1.2)  # the widest column lies between cells


def test_thin_lips_part_evenly():
    """Near the edge of thin lips the displacement lies between those of both lips: half of a mouth once stayed shut."""
    mesh = shut_mesh(SIDE)
    seam = mesh[13, 1]
    outer = list(OUTER_LIPS)
    mesh[outer, 1] = seam + 0.25 * (mesh[outer, 1] - seam)
    gap, _ = gaps(Lips(mesh, SIDE), opening_flow(5.0))
    openings = 2 * gap.max(axis=0)
    middle = np.flatnonzero(openings > 0).mean().round().astype(int)
    assert openings[middle - 6 : middle + 7].min() > 2.5


def test_the_opening_lies_between_the_corners():
    mesh = shut_mesh(SIDE)
    gap, (rows, columns) = gaps(Lips(mesh, SIDE), opening_flow(5.0))
    open_rows, open_columns = np.nonzero(gap > 0)
    inner, outer = cells(mesh, INNER_LIPS), cells(mesh, OUTER_LIPS)
    assert open_columns.min() + columns.start >= inner[:, 0].min() - 1
    assert open_columns.max() + columns.start <= inner[:, 0].max() + 1
    assert open_rows.min() + rows.start > outer[:, 1].min()
    assert np.ptp(open_columns) > 0.7 * np.ptp(inner[:, 0])


def test_a_uniform_displacement_is_not_split():
    mesh = shut_mesh(SIDE)
    lips = Lips(mesh, SIDE)
    motion = np.full((CELLS, CELLS, 2), 3.0, np.float32)
    split = lips.split(motion)
    assert np.allclose(split.upper, 3)
    assert np.allclose(split.lower, 3)
    assert gaps(lips, motion)[0].max() <= 0.01


def test_away_from_the_mouth_the_displacement_stays():
    mesh = shut_mesh(SIDE)
    lips, motion = Lips(mesh, SIDE), opening_flow(5.0)
    split, part = lips.split(motion), motion[lips.box]
    assert np.allclose(split.upper[:6], part[:6])
    assert np.allclose(split.lower[-6:], part[-6:])
    for each in split:
        assert np.allclose(each[:, :5], part[:, :5])
        assert np.allclose(each[:, -5:], part[:, -5:])


def test_the_edges_of_a_closed_mouth_coincide_and_those_of_an_open_one_do_not():
    shut, parted = Lips(shut_mesh(SIDE), SIDE), Lips(average_mesh(SIDE), SIDE)
    assert shut.open_at_rest == 0
    assert parted.open_at_rest == 1
    assert np.abs(shut.top - shut.bottom).max() < 0.01
    top, bottom = parted.edges(CELLS / 2)
    assert bottom - top > 1


def test_a_mouth_at_the_edge_of_the_crop_is_accepted():
    mesh = shut_mesh(SIDE)
    mesh[:, 1] += SIDE - mesh[:, 1].max() + 40
    lips = Lips(mesh, SIDE)
    gaps(lips, np.zeros((CELLS, CELLS, 2), np.float32))
    assert lips.near(grid() + 1000) is None
