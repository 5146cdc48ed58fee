"""Folds are inpainted, and nothing else is changed."""

import numpy as np
import pytest

from pcavs.head.grid import CELLS, Places
from pcavs.head.occlusion import inpaint_folds
from pcavs.types import Picture

CHEEK, HAIR, WALL = (200, 150, 120), (20, 10, 10), (90, 160, 230)
PIXELS = 2


def identity() -> Places:
    return np.dstack(np.meshgrid(*[np.arange(CELLS, dtype=np.float32)] * 2))


def folded(hidden: float) -> Places:
    """A backward warp that skips so many cells of the photograph between columns 63 and 64."""
    places = identity()
    places[:, 64:, 0] += hidden
    return places


EVERYWHERE = np.ones((CELLS, CELLS), np.float32)


def frame() -> Picture:
    """A cheek and a wall with a dark line between them."""
    picture = np.empty((CELLS * PIXELS, CELLS * PIXELS, 3), np.uint8)
    picture[:, :128], picture[:, 128:] = CHEEK, WALL
    picture[:, 126:130] = HAIR
    return picture


def test_a_fold_is_replaced_by_its_neighbours():
    result = inpaint_folds(frame(), folded(8), EVERYWHERE)
    rows = result[20:-20].astype(int)
    assert rows.max(axis=2)[:, 100:156].min() > 90, "the dark line is gone"
    np.testing.assert_array_equal(rows[:, :118], frame()[20:-20, :118])
    np.testing.assert_array_equal(rows[:, 138:], frame()[20:-20, 138:])


@pytest.mark.parametrize("hidden", [0.0, 1.0, 2.8])
def test_moderate_compression_is_left_alone(hidden: float):
    np.testing.assert_array_equal(inpaint_folds(frame(), folded(hidden), EVERYWHERE), frame())


def test_a_fold_fades_out_with_growing_compression():
    dark = [
        int((255 - inpaint_folds(frame(), folded(hidden), EVERYWHERE)[:, 120:136].astype(int)).sum())
        for hidden in (2, 3.4, 4, 6)
    ]
    assert dark == sorted(dark, reverse=True)
    assert len(set(dark)) == 4


def test_a_warp_that_is_compressed_everywhere_is_left_alone():
    places = identity() * np.float32(5)
    np.testing.assert_array_equal(inpaint_folds(frame(), places, EVERYWHERE), frame())


def test_horizontal_folds_are_inpainted_too():
    across = folded(8).transpose(1, 0, 2)[..., ::-1].copy()
    result = inpaint_folds(np.ascontiguousarray(frame().transpose(1, 0, 2)), across, EVERYWHERE)
    assert result[100:156, 20:-20].max(axis=2).min() > 90


def test_the_fold_beside_a_nose_becomes_lighter_and_remains():
    def darkness(picture: Picture) -> int:
        return int((np.array(CHEEK) - picture[100, 124:128].astype(int)).clip(0).sum())

    nose = frame()
    nose[:, 128:] = CHEEK
    nose[:, 127] = HAIR
    result = inpaint_folds(nose.copy(), folded(8), 0 * EVERYWHERE)
    assert 0.2 < darkness(result) / darkness(nose) < 0.7
    np.testing.assert_array_equal(inpaint_folds(nose.copy(), folded(3), 0 * EVERYWHERE), nose)


def test_cheek_and_wall_meet_along_a_smooth_edge():
    """The edge in cells is a staircase; that in pixels must not be one."""
    places, outside, picture = identity(), 0 * EVERYWHERE, np.empty((CELLS * PIXELS, CELLS * PIXELS, 3), np.uint8)
    for row in range(CELLS):
        edge = 62 + (row // 4) % 3
        places[row, edge:, 0] += 8
        outside[row, edge:] = 1
        for line in range(PIXELS * row, PIXELS * (row + 1)):
            picture[line, : PIXELS * edge], picture[line, PIXELS * edge :] = CHEEK, WALL
            picture[line, PIXELS * edge - 2 : PIXELS * edge + 2] = HAIR
    result = inpaint_folds(picture, places, outside)[30:-30].astype(int)
    is_wall = np.abs(result - WALL).sum(axis=2) < np.abs(result - CHEEK).sum(axis=2)
    edges = is_wall.argmax(axis=1)
    assert result[:, 100:156].max(axis=2).min() > 90, "the dark line is gone"
    assert edges.std() < 0.6, "the staircase has steps of four pixels"
    assert abs(edges.mean() - PIXELS * 63) < 2


def test_gaps_in_a_fold_are_closed():
    outside = EVERYWHERE.copy()
    for row in range(3):
        outside[row + 8 :: 16] = 0
    result = inpaint_folds(frame(), folded(8), outside)
    assert result[20:-20, 100:156].max(axis=2).min() > 90
