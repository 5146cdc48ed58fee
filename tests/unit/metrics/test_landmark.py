"""Landmark distances, jitter, speed and blinks: worked cases."""

import numpy as np
import pytest

from pcavs.metrics.landmark import (
    blinks_per_minute,
    eye_aspect_ratio,
    jitter,
    landmark_distance,
    rms_speed,
    shape_distance,
)


def still(time=50, points=4):
    return np.tile(np.random.default_rng(0).normal(0, 1, (1, points, 2)), (time, 1, 1))


def test_distance_of_points_moved_by_three_and_four_is_five():
    truth = still()
    assert landmark_distance(truth + np.array([3, 4]), truth) == pytest.approx(np.full(50, 5.0))


def test_shape_distance_ignores_a_constant_offset():
    truth = still()
    assert shape_distance(truth + np.array([3, 4]), truth) == pytest.approx(np.zeros(50))


def test_uniform_motion_does_not_jitter():
    walk = still() + np.arange(50)[:, None, None] * [0.5, -0.2]
    assert jitter(walk) == pytest.approx(0, abs=1e-9)


def test_white_noise_jitters_by_the_root_of_six_per_axis():
    noise = np.random.default_rng(1).normal(0, 0.1, (4000, 5, 1))
    assert jitter(noise) == pytest.approx(0.1 * np.sqrt(6), rel=0.03)


def test_two_frames_do_not_jitter():
    assert jitter(still(2)) == 0


def test_speed_is_per_second_and_over_the_selected_frames():
    walk = np.zeros((20, 1, 2))
    walk[10:, 0, 0] = np.arange(10) * 0.2
    moving = np.arange(20) >= 10
    assert rms_speed(walk, moving) == pytest.approx(0.2 * 25)
    assert rms_speed(walk, ~moving) == 0
    assert rms_speed(walk, np.zeros(20, bool)) == 0


def test_eye_aspect_ratio_is_height_over_width():
    eye = np.array([[[0, 0], [1, -0.5], [3, -0.5], [4, 0], [3, 0.5], [1, 0.5]]], float)
    assert eye_aspect_ratio(eye) == pytest.approx([1 / 4])


def opening(*shut_lengths):
    values = np.full(250, 0.3)
    for number, length in enumerate(shut_lengths):
        values[20 + 40 * number :][:length] = 0.05
    return values


@pytest.mark.parametrize(("shut", "count"), [((), 0), ((3,), 1), ((3, 5, 2), 3), ((3, 30), 1)])
def test_blinks_are_counted_per_minute_and_a_long_closure_is_not_a_blink(shut, count):
    assert blinks_per_minute(opening(*shut)) == pytest.approx(count * 6)


def test_eye_that_never_opens_does_not_blink():
    assert blinks_per_minute(np.full(100, 0.05)) == 0
