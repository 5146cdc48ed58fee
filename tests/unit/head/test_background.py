"""The background behind a moving head holds still, and what the head uncovers continues it."""

import cv2
import numpy as np
import pytest

from helpers.heads import average_mesh
from pcavs.head.background import find_background

SIDE, PADDING = 192, 32
CROP = SIDE - 2 * PADDING
RADIUS = 62


class DiscSegmenter:
    """Takes a disc in the middle for a person, and further discs that it is given."""

    def __init__(self, *others, share=1.0, radius=RADIUS):
        self.others, self.share, self.radius = others, share, radius

    def person_mask(self, picture):
        rows, columns = np.mgrid[0:256, 0:256] * SIDE / 256
        mask = np.zeros((256, 256), np.float32)
        for row, column, radius in ((SIDE / 2, SIDE / 2, self.radius), *self.others):
            distance = np.hypot(rows - row, columns - column)
            mask = np.maximum(mask, np.clip((radius - distance) / 2 + 0.5, 0, 1))
        return (mask * self.share).astype(np.float32)


def disc(row=SIDE / 2, column=SIDE / 2, radius=RADIUS):
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    return np.hypot(rows - row, columns - column) < radius


def photo():
    """A red person in front of a wall that is green above and blue below."""
    picture = np.full((SIDE, SIDE, 3), (90, 140, 90), np.uint8)
    picture[SIDE // 2 :] = (40, 60, 120)
    picture[disc()] = (220, 30, 30)
    return cv2.GaussianBlur(picture, (0, 0), 0.7)


def mesh():
    small = average_mesh(CROP)
    small[:, :2] = (small[:, :2] - small[:, :2].mean(axis=0)) * 0.8 + CROP / 2
    return small


def places(across=0.0, margin=PADDING):
    """The backward warp that moves everything to the right by some pixels."""
    rows, columns = np.mgrid[PADDING - margin : SIDE - PADDING + margin, PADDING - margin : SIDE - PADDING + margin]
    return (columns - across).astype(np.float32), rows.astype(np.float32)


def warp(picture, columns, rows):
    return cv2.remap(picture, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("margin", [0, PADDING])
@pytest.mark.parametrize("segmenter", [DiscSegmenter(), DiscSegmenter(share=0.95), DiscSegmenter((20, 20, 15))])
def test_without_motion_the_frame_equals_the_photograph_to_the_bit(margin, segmenter):
    picture = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    background = find_background(picture, mesh(), PADDING, segmenter)
    there = places(margin=margin)
    frame = warp(picture, *there)
    assert background is not None
    assert np.array_equal(background.composite(frame, *there), frame)


def test_the_person_moves_and_the_wall_does_not():
    picture, across = photo(), 14
    background = find_background(picture, mesh(), PADDING, DiscSegmenter())
    there = places(across)
    frame = background.composite(warp(picture, *there), *there).astype(int)
    own = picture.astype(int)
    free = ~disc(radius=RADIUS + 5) & ~disc(column=SIDE / 2 + across, radius=RADIUS + 5)
    assert free.mean() > 0.3
    assert np.abs(frame - own)[free].max() <= 2
    person = disc(column=SIDE / 2 + across, radius=RADIUS - 4)
    assert np.abs(frame - (220, 30, 30))[person].max() <= 6


def test_uncovered_background_continues_the_wall():
    picture, across = photo(), 14
    background = find_background(picture, mesh(), PADDING, DiscSegmenter())
    there = places(across)
    frame = background.composite(warp(picture, *there), *there).astype(int)
    bare = disc(radius=RADIUS - 2) & ~disc(column=SIDE / 2 + across, radius=RADIUS + 3)
    assert bare.sum() > 300
    assert frame[bare][:, 0].max() < 120, "no red remains"
    rows = np.flatnonzero(bare.any(axis=1))
    height = np.arange(SIDE)[:, None]
    above, below = bare & (height < rows[0] + 40), bare & (height > rows[-1] - 40)
    assert np.abs(np.median(frame[above], axis=0) - (90, 140, 90)).max() < 25
    assert np.abs(np.median(frame[below], axis=0) - (40, 60, 120)).max() < 25


def test_an_earring_that_counts_as_background_moves_with_the_head():
    """Hoops were seen twice: at the ear, and where the photograph has them."""
    across, radius, (column, row) = 24, 48, (44, 100)
    picture = np.full((SIDE, SIDE, 3), (40, 60, 120), np.uint8)
    picture[disc(radius=radius)] = (220, 30, 30)
    cv2.circle(picture, (column, row), 4, (250, 220, 40), 1, cv2.LINE_AA)
    large = mesh()
    large[:, :2] = (large[:, :2] - CROP / 2) * 1.25 + CROP / 2
    background = find_background(picture, large, PADDING, DiscSegmenter(radius=radius))
    there = places(across)
    frame = background.composite(warp(picture, *there), *there).astype(int)

    def yellow(place):
        part = frame[row - 7 : row + 8, place - 7 : place + 4]
        return int(((part[..., 0] > 120) & (part[..., 1] > 120)).sum())

    assert yellow(column) == 0
    assert yellow(column + across) > 10


def test_without_compositing_the_wall_moves_along():
    """Shows that the tests above can fail."""
    picture = photo()
    frame = warp(picture, *places(14)).astype(int)
    stripe = np.s_[SIDE // 2 - 3 : SIDE // 2 + 3, :40]
    assert np.array_equal(frame[stripe][:, 20:], picture[stripe][:, 6:26].astype(int))


def test_another_person_holds_still():
    picture = photo()
    other = disc(24, 24, 12)
    picture[other] = (250, 250, 0)
    background = find_background(picture, mesh(), PADDING, DiscSegmenter((24, 24, 12)))
    there = places(8)
    frame = background.composite(warp(picture, *there), *there).astype(int)
    assert np.abs(frame - picture)[disc(24, 24, 9)].max() <= 2


def test_without_a_recognised_person_there_is_no_background():
    picture = photo()
    assert find_background(picture, mesh(), PADDING, None) is None
    assert find_background(picture, mesh(), PADDING, DiscSegmenter(share=0.5)) is None
    assert find_background(picture, mesh() + np.float32(500), PADDING, DiscSegmenter()) is None
