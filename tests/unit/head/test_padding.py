"""Padding continues the photograph's colours, without stripes and without a seam."""

import numpy as np

from pcavs.face.align import crop_picture
from pcavs.head.padding import blur_padding, photograph_mask

SIDE, EDGE, CELL = 160, 100, 2.0


def striped():
    """Black and white stripes up to a lower edge, and the replicated edge below it."""
    photo = np.zeros((SIDE, SIDE, 3), np.uint8)
    photo[:, (np.arange(SIDE) // 3) % 2 == 0] = 255
    inside = np.zeros((SIDE, SIDE), bool)
    inside[:EDGE] = True
    return photo, inside


def contrast(row):
    return float(row.astype(float).std())


def test_stripes_fade_away_from_the_edge():
    photo, inside = striped()
    soft = blur_padding(photo, inside, CELL)
    levels = [contrast(soft[y, 20:-20]) for y in (EDGE - 1, EDGE + 1, EDGE + 10, SIDE - 1)]
    assert levels == sorted(levels, reverse=True)
    assert levels[1] > 0.5 * levels[0], "no seam at the edge"
    assert levels[3] < 0.1 * levels[0]


def test_the_photograph_itself_stays_to_the_bit():
    photo, inside = striped()
    np.testing.assert_array_equal(blur_padding(photo, inside, CELL)[:EDGE], photo[:EDGE])


def test_a_crop_without_padding_is_left_alone():
    photo, _ = striped()
    assert blur_padding(photo, np.ones((SIDE, SIDE), bool), CELL) is photo


def test_uniform_colours_are_kept():
    photo, inside = striped()
    photo[:] = (200, 120, 40)
    np.testing.assert_array_equal(blur_padding(photo, inside, CELL), photo)


def test_the_mask_is_what_lies_inside_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    transform = np.array([[1.5, 0.0, -30.0], [0.0, 1.5, 20.0]])
    inside = photograph_mask(picture, transform, 100)
    assert not inside[:19].any(), "the first 20 rows lie above the picture"
    assert inside[21:, :89].all()
    assert not inside[:, 91:].any()
    crop = crop_picture(picture, transform, 100)
    assert np.ptp(crop[:19].astype(int), axis=0).max() <= 1, "there the edge is replicated"
