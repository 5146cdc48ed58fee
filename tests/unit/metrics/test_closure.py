"""Whether lips meet where speech demands it."""

import numpy as np
import pytest

from pcavs.metrics.closure import closed_limit, lips_meet, lips_meet_amid


def speaking():
    """Opens to 0.2 and closes to 0.01 once a second, fully closed from 0.2 to 0.28 s."""
    opening = np.full(100, 0.2)
    for second in range(4):
        opening[25 * second + 5 : 25 * second + 8] = 0.01
    return opening


def test_limit_lies_between_the_persons_closed_and_wide_open_mouth():
    assert closed_limit(speaking()) == pytest.approx(0.01 + 0.15 * 0.19)
    assert closed_limit(speaking() + 0.05) == pytest.approx(0.06 + 0.15 * 0.19)


@pytest.mark.parametrize(
    ("span", "met"),
    [((0.2, 0.28), True), ((0.1, 0.15), False), ((0.1, 0.17), True), ((0.32, 0.4), True), ((0.33, 0.4), False)],
)
def test_lips_may_meet_one_frame_early_or_late(span, met):
    opening = speaking()
    assert lips_meet(opening, closed_limit(opening), [span]) == [met]


def test_phonemes_after_the_end_of_a_film_are_left_out():
    opening = speaking()
    assert lips_meet(opening, 0.05, [(0.2, 0.25), (7.0, 7.1)]) == [True]
    assert lips_meet_amid(opening, 0.05, [(0.2, 0.28), (7.0, 7.1)]) == [True]


def test_middle_of_a_vowel_counts_alone():
    opening = speaking()
    assert lips_meet_amid(opening, 0.05, [(0.24, 0.6)]) == [False]
