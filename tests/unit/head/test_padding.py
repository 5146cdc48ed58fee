"""Beyond a picture's edge its colours go on, without stripes and without a seam."""

import numpy as np

from pcavs.face.align import crop_picture
from pcavs.head.padding import known_part, softened

SIDE, EDGE, CELL = 160, 100, 2.0


def striped():
    """Black and white stripes up to a lower edge, repeated beyond it."""
    photo = np.zeros((SIDE, SIDE, 3), np.uint8)
    photo[:, (np.arange(SIDE) // 3) % 2 == 0] = 255
    known = np.zeros((SIDE, SIDE), bool)
    known[:EDGE] = True
    return photo, known


def contrast(row):
    return float(row.astype(float).std())


def test_stripes_fade_away_from_the_edge():
    photo, known = striped()
    soft = softened(photo, known, CELL)
    levels = [contrast(soft[y, 20:-20]) for y in (EDGE - 1, EDGE + 1, EDGE + 10, SIDE - 1)]
    assert levels == sorted(levels, reverse=True)
    assert levels[1] > 0.5 * levels[0], "no seam at the edge"
    assert levels[3] < 0.1 * levels[0]


def test_the_picture_itself_stays_to_the_last_bit():
    photo, known = striped()
    np.testing.assert_array_equal(softened(photo, known, CELL)[:EDGE], photo[:EDGE])


def test_a_crop_that_is_all_picture_is_left_alone():
    photo, _ = striped()
    assert softened(photo, np.ones((SIDE, SIDE), bool), CELL) is photo


def test_light_is_kept():
    photo, known = striped()
    photo[:] = (200, 120, 40)
    np.testing.assert_array_equal(softened(photo, known, CELL), photo)


def test_what_is_known_is_what_lies_inside_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    transform = np.array([[1.5, 0.0, -30.0], [0.0, 1.5, 20.0]])
    known = known_part(picture, transform, 100)
    assert not known[:19].any(), "20 rows above it"
    assert known[21:, :89].all()
    assert not known[:, 91:].any()
    crop = crop_picture(picture, transform, 100)
    assert np.ptp(crop[:19].astype(int), axis=0).max() <= 1, "that is where the edge is repeated"
