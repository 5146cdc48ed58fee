"""Correlation, lag, angle errors and motion change of curves."""

import numpy as np
import pytest

from pcavs.metrics.curves import angle_error, correlation, lagged_correlation, motion_change, relative_angle_error

WAVE = np.sin(np.arange(120) * 0.37) + 0.5 * np.sin(np.arange(120) * 0.83)


def test_correlation_of_a_frozen_mouth_is_zero():
    curve = np.arange(5, dtype=float)
    assert correlation(np.ones(5), curve) == 0
    assert correlation(2 * curve + 1, curve) == pytest.approx(1)


@pytest.mark.parametrize("late", [-4, 0, 3])
def test_late_curve_has_positive_lag(late):
    found = lagged_correlation(np.roll(WAVE, late)[10:-10], WAVE[10:-10])
    assert found.lag_frames == late
    assert found.peak == pytest.approx(1)


def test_constant_curve_has_no_correlation_and_no_lag():
    assert lagged_correlation(np.full(120, 0.2), WAVE) == (0.0, 0, 0.0)


def test_negated_curve_correlates_by_minus_one():
    assert lagged_correlation(-WAVE, WAVE).correlation == pytest.approx(-1)


def test_short_curves_search_fewer_lags():
    assert lagged_correlation(WAVE[:5], WAVE[:5]).correlation == pytest.approx(1)


def test_angle_differences_wrap_around():
    made, truth = np.array([[179.0, 10.0]]), np.array([[-179.0, 4.0]])
    assert angle_error(made, truth) == pytest.approx([2, 6])


def test_relative_error_ignores_a_constant_offset():
    truth = WAVE[:, None] * 10
    assert angle_error(truth + 7, truth) == pytest.approx([7])
    assert relative_angle_error(truth + 7, truth) == pytest.approx([0], abs=1e-9)


def test_motion_change_of_equal_unrelated_and_opposite_motion():
    curve, other = WAVE[:, None], np.roll(WAVE, 29)[:, None]
    other = other - curve * float((other * curve).sum() / (curve * curve).sum())
    other *= np.sqrt((curve**2).sum() / (other**2).sum())
    assert motion_change(curve, curve).share == 0
    assert motion_change(curve, curve + 3).share == pytest.approx(0, abs=1e-9)
    assert motion_change(curve, other).share == pytest.approx(1, abs=0.02)
    assert motion_change(curve, -curve).share == pytest.approx(2)


def test_motion_change_without_motion_is_zero():
    assert motion_change(np.zeros((9, 1)), np.ones((9, 1))).share == 0
