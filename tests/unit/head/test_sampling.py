"""Frames sampled from the enlarged photograph are nearly those of bicubic sampling, and exact where nothing moves."""

import cv2
import numpy as np
import pytest

from helpers.heads import smooth_picture
from pcavs.head import sampling
from pcavs.head.sampling import PhotoSampler
from pcavs.metrics.image import psnr

SIDE = 96


@pytest.fixture
def photo():
    return smooth_picture(SIDE, seed=3)


def places(shift=0.0, turn=0.0):
    rows, columns = np.mgrid[16:80, 16:80].astype(np.float32)
    return columns + np.float32(shift) + np.float32(turn) * (rows - 48), rows - np.float32(turn) * (columns - 48)


def bicubic(photo, columns, rows):
    return cv2.remap(photo, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def test_where_nothing_moves_the_photograph_is_shown_to_the_bit(photo):
    assert np.array_equal(PhotoSampler(photo).sample(photo, *places()), photo[16:80, 16:80])


def test_a_turn_is_nearly_that_of_bicubic_sampling(photo):
    where = places(0.37, 0.05)
    assert psnr(PhotoSampler(photo).sample(photo, *where), bicubic(photo, *where)) > 50


def test_large_photographs_are_sampled_bicubically(photo, monkeypatch):
    monkeypatch.setattr(sampling, "_MAX_SIDE_PX", SIDE - 1)
    where = places(0.37, 0.05)
    assert np.array_equal(PhotoSampler(photo).sample(photo, *where), bicubic(photo, *where))


@pytest.mark.parametrize("box", [np.s_[40:44, 30:50], np.s_[0:6, 20:40], np.s_[17:19, 60:96], np.s_[0:10, 0:10]])
def test_what_is_repainted_is_sampled_as_if_it_were_the_photograph(photo, box):
    repainted = photo.copy()
    repainted[box] = 255 - repainted[box]
    where = places(-0.4, 0.08)
    frame = PhotoSampler(photo).sample(repainted, *where)
    np.testing.assert_array_equal(frame, PhotoSampler(repainted).sample(repainted, *where))


def test_an_equal_copy_changes_nothing(photo):
    where = places(0.2, 0.02)
    sampler = PhotoSampler(photo)
    np.testing.assert_array_equal(sampler.sample(photo.copy(), *where), sampler.sample(photo, *where))
