"""Curves that follow, lag, turn round and change."""

import numpy as np
import pytest

from pcavs.metrics.curves import angle_error, exchange, follows, relative_angle_error

WAVE = np.sin(np.arange(120) * 0.37) + 0.5 * np.sin(np.arange(120) * 0.83)


@pytest.mark.parametrize("late", [-4, 0, 3])
def test_a_late_curve_has_a_positive_lag(late):
    found = follows(np.roll(WAVE, late)[10:-10], WAVE[10:-10])
    assert found.lag_frames == late
    assert found.best == pytest.approx(1)


def test_a_constant_curve_follows_nothing_and_has_no_lag():
    assert follows(np.full(120, 0.2), WAVE) == (0.0, 0, 0.0)


def test_the_opposite_correlates_by_minus_one():
    assert follows(-WAVE, WAVE).correlation == pytest.approx(-1)


def test_short_curves_are_compared_as_far_as_they_go():
    assert follows(WAVE[:5], WAVE[:5]).correlation == pytest.approx(1)


def test_angles_turn_the_short_way_round():
    made, truth = np.array([[179.0, 10.0]]), np.array([[-179.0, 4.0]])
    assert angle_error(made, truth) == pytest.approx([2, 6])


def test_relative_error_forgives_a_constant_turn():
    truth = WAVE[:, None] * 10
    assert angle_error(truth + 7, truth) == pytest.approx([7])
    assert relative_angle_error(truth + 7, truth) == pytest.approx([0], abs=1e-9)


def test_shares_of_an_exchange():
    curve, other = WAVE[:, None], np.roll(WAVE, 29)[:, None]
    other = other - curve * float((other * curve).sum() / (curve * curve).sum())
    other *= np.sqrt((curve**2).sum() / (other**2).sum())
    assert exchange(curve, curve).share == 0
    assert exchange(curve, curve + 3).share == pytest.approx(0, abs=1e-9)
    assert exchange(curve, other).share == pytest.approx(1, abs=0.02)
    assert exchange(curve, -curve).share == pytest.approx(2)


def test_motion_that_is_not_there_has_no_share():
    assert exchange(np.zeros((9, 1)), np.ones((9, 1))).share == 0
