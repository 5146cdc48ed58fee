"""What is behind a moving head holds still, and what the head uncovers looks like it."""

import cv2
import numpy as np
import pytest

from helpers.heads import average_mesh
from pcavs.head.background import find_background

SIDE, ROOM = 192, 32
CROP = SIDE - 2 * ROOM
RADIUS = 62


class People:
    """Sees one disc, and another one where it is told."""

    def __init__(self, *others, share=1.0):
        self.others, self.worth = others, share

    def person_mask(self, picture):
        rows, columns = np.mgrid[0:256, 0:256] * SIDE / 256
        seen = np.zeros((256, 256), np.float32)
        for row, column, radius in ((SIDE / 2, SIDE / 2, RADIUS), *self.others):
            distance = np.hypot(rows - row, columns - column)
            seen = np.maximum(seen, np.clip((radius - distance) / 2 + 0.5, 0, 1))
        return (seen * self.worth).astype(np.float32)


def disc(row=SIDE / 2, column=SIDE / 2, radius=RADIUS):
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    return np.hypot(rows - row, columns - column) < radius


def photo():
    """A red person before a wall, light above and dark below."""
    picture = np.full((SIDE, SIDE, 3), (90, 140, 90), np.uint8)
    picture[SIDE // 2 :] = (40, 60, 120)
    picture[disc()] = (220, 30, 30)
    return cv2.GaussianBlur(picture, (0, 0), 0.7)


def mesh():
    small = average_mesh(CROP)
    small[:, :2] = (small[:, :2] - small[:, :2].mean(axis=0)) * 0.8 + CROP / 2
    return small


def places(across=0.0, margin=ROOM):
    """Everything moves to the right by some pixels."""
    rows, columns = np.mgrid[ROOM - margin : SIDE - ROOM + margin, ROOM - margin : SIDE - ROOM + margin]
    return (columns - across).astype(np.float32), rows.astype(np.float32)


def moved(picture, columns, rows):
    return cv2.remap(picture, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("margin", [0, ROOM])
@pytest.mark.parametrize("people", [People(), People(share=0.95), People((20, 20, 15))])
def test_where_nothing_moves_the_picture_stays_to_the_last_bit(margin, people):
    picture = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    background = find_background(picture, mesh(), ROOM, people)
    there = places(margin=margin)
    frame = moved(picture, *there)
    assert background is not None
    assert np.array_equal(background.behind(frame, *there), frame)


def test_the_person_moves_and_the_wall_does_not():
    picture, across = photo(), 14
    background = find_background(picture, mesh(), ROOM, People())
    there = places(across)
    frame = background.behind(moved(picture, *there), *there).astype(int)
    own = picture.astype(int)
    free = ~disc(radius=RADIUS + 5) & ~disc(column=SIDE / 2 + across, radius=RADIUS + 5)
    assert free.mean() > 0.3
    assert np.abs(frame - own)[free].max() <= 2
    person = disc(column=SIDE / 2 + across, radius=RADIUS - 4)
    assert np.abs(frame - (220, 30, 30))[person].max() <= 6


def test_what_is_uncovered_goes_on_as_the_wall():
    picture, across = photo(), 14
    background = find_background(picture, mesh(), ROOM, People())
    there = places(across)
    frame = background.behind(moved(picture, *there), *there).astype(int)
    bare = disc(radius=RADIUS - 2) & ~disc(column=SIDE / 2 + across, radius=RADIUS + 3)
    assert bare.sum() > 300
    assert frame[bare][:, 0].max() < 120, "no red is left behind"
    rows = np.flatnonzero(bare.any(axis=1))
    height = np.arange(SIDE)[:, None]
    above, below = bare & (height < rows[0] + 40), bare & (height > rows[-1] - 40)
    assert np.abs(np.median(frame[above], axis=0) - (90, 140, 90)).max() < 25
    assert np.abs(np.median(frame[below], axis=0) - (40, 60, 120)).max() < 25


def test_without_it_the_wall_comes_along():
    """The test above can fail."""
    picture = photo()
    frame = moved(picture, *places(14)).astype(int)
    stripe = np.s_[SIDE // 2 - 3 : SIDE // 2 + 3, :40]
    assert np.array_equal(frame[stripe][:, 20:], picture[stripe][:, 6:26].astype(int))


def test_somebody_else_beside_holds_still():
    picture = photo()
    other = disc(24, 24, 12)
    picture[other] = (250, 250, 0)
    background = find_background(picture, mesh(), ROOM, People((24, 24, 12)))
    there = places(8)
    frame = background.behind(moved(picture, *there), *there).astype(int)
    assert np.abs(frame - picture)[disc(24, 24, 9)].max() <= 2


def test_where_nobody_is_recognised_everything_moves_as_before():
    picture = photo()
    assert find_background(picture, mesh(), ROOM, None) is None
    assert find_background(picture, mesh(), ROOM, People(share=0.5)) is None
    assert find_background(picture, mesh() + np.float32(500), ROOM, People()) is None
