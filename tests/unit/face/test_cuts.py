"""Cuts are detected by a change of colours; motion keeps the colours."""

import numpy as np

from helpers.heads import smooth_picture
from pcavs.face.cuts import CutFinder


def test_movement_is_no_cut():
    finder, picture = CutFinder(), smooth_picture(192)
    assert not any(finder.step(np.roll(picture, 12 * t, axis=1)) for t in range(8))


def test_a_little_less_light_is_no_cut():
    finder, picture = CutFinder(), smooth_picture(192)
    assert not any(finder.step((picture * (1 - 0.01 * t)).astype(np.uint8)) for t in range(8))


def test_other_colours_are_a_cut_once():
    finder, picture = CutFinder(), smooth_picture(192)
    other = (smooth_picture(192, seed=1) * np.array([0.8, 0.4, 0.3])).astype(np.uint8)
    assert [finder.step(each) for each in (picture, picture, other, other)] == [False, False, True, False]
