"""What a turn should hide is taken away, and nothing else is touched."""

import numpy as np
import pytest

from pcavs.head.grid import CELLS, Places
from pcavs.head.occlusion import healed
from pcavs.types import Picture

CHEEK, HAIR, WALL = (200, 150, 120), (20, 10, 10), (90, 160, 230)
PIXELS = 2


def straight() -> Places:
    return np.dstack(np.meshgrid(*[np.arange(CELLS, dtype=np.float32)] * 2))


def squeezed(hidden: float) -> Places:
    """Between columns 63 and 64, so many cells of the picture have vanished."""
    places = straight()
    places[:, 64:, 0] += hidden
    return places


EVERYWHERE = np.ones((CELLS, CELLS), np.float32)


def frame() -> Picture:
    """A cheek and a wall, with a dark line between them where the two meet."""
    picture = np.empty((CELLS * PIXELS, CELLS * PIXELS, 3), np.uint8)
    picture[:, :128], picture[:, 128:] = CHEEK, WALL
    picture[:, 126:130] = HAIR
    return picture


def test_a_squeezed_line_gives_way_to_its_neighbours():
    result = healed(frame(), squeezed(8), EVERYWHERE)
    rows = result[20:-20].astype(int)
    assert rows.max(axis=2)[:, 100:156].min() > 90, "the dark line is gone"
    np.testing.assert_array_equal(rows[:, :118], frame()[20:-20, :118])
    np.testing.assert_array_equal(rows[:, 138:], frame()[20:-20, 138:])


@pytest.mark.parametrize("hidden", [0.0, 1.0, 2.8])
def test_what_is_narrowed_but_seen_stays(hidden: float):
    np.testing.assert_array_equal(healed(frame(), squeezed(hidden), EVERYWHERE), frame())


def test_it_vanishes_softly_while_a_head_turns():
    dark = [
        int((255 - healed(frame(), squeezed(hidden), EVERYWHERE)[:, 120:136].astype(int)).sum())
        for hidden in (2, 3.4, 4, 6)
    ]
    assert dark == sorted(dark, reverse=True)
    assert len(set(dark)) == 4


def test_a_field_that_is_squeezed_everywhere_is_left_alone():
    places = straight() * np.float32(5)
    np.testing.assert_array_equal(healed(frame(), places, EVERYWHERE), frame())


def test_lines_that_lie_across_are_healed_too():
    across = squeezed(8).transpose(1, 0, 2)[..., ::-1].copy()
    result = healed(np.ascontiguousarray(frame().transpose(1, 0, 2)), across, EVERYWHERE)
    assert result[100:156, 20:-20].max(axis=2).min() > 90


def test_the_flank_that_a_nose_hides_is_lighter_and_stays_a_line():
    def darkness(picture: Picture) -> int:
        return int((np.array(CHEEK) - picture[100, 124:128].astype(int)).clip(0).sum())

    nose = frame()
    nose[:, 128:] = CHEEK
    nose[:, 127] = HAIR
    result = healed(nose.copy(), squeezed(8), 0 * EVERYWHERE)
    assert 0.2 < darkness(result) / darkness(nose) < 0.7
    np.testing.assert_array_equal(healed(nose.copy(), squeezed(3), 0 * EVERYWHERE), nose)


def test_cheek_and_wall_meet_along_a_smooth_edge():
    """Cells are coarse: the edge that they know leaps from one to the next."""
    places, beyond, picture = straight(), 0 * EVERYWHERE, np.empty((CELLS * PIXELS, CELLS * PIXELS, 3), np.uint8)
    for row in range(CELLS):
        edge = 62 + (row // 4) % 3
        places[row, edge:, 0] += 8
        beyond[row, edge:] = 1
        for line in range(PIXELS * row, PIXELS * (row + 1)):
            picture[line, : PIXELS * edge], picture[line, PIXELS * edge :] = CHEEK, WALL
            picture[line, PIXELS * edge - 2 : PIXELS * edge + 2] = HAIR
    result = healed(picture, places, beyond)[30:-30].astype(int)
    is_wall = np.abs(result - WALL).sum(axis=2) < np.abs(result - CHEEK).sum(axis=2)
    edges = is_wall.argmax(axis=1)
    assert result[:, 100:156].max(axis=2).min() > 90, "the dark line is gone"
    assert edges.std() < 0.6, "it leapt by four pixels"
    assert abs(edges.mean() - PIXELS * 63) < 2


def test_a_line_with_gaps_is_healed_as_one():
    beyond = EVERYWHERE.copy()
    for row in range(3):
        beyond[row + 8 :: 16] = 0
    result = healed(frame(), squeezed(8), beyond)
    assert result[20:-20, 100:156].max(axis=2).min() > 90
