"""Eyes of live sessions: at rest nothing is asked for, a glance is there in time, the camera is held on to."""

import numpy as np
import pytest

from pcavs.animate.live_gaze import LiveGaze
from pcavs.pose import expression

HEAD = np.zeros(6)


def yaw_of(row):
    return row[expression.GAZE_YAW]


def test_eyes_stay_as_in_the_photograph_until_they_are_turned():
    gaze = LiveGaze(np.zeros(3))
    assert gaze.next(HEAD) is None
    gaze.move((12.0, -6.0), "head", 0.04)
    row = gaze.next(HEAD)
    assert row[expression.GAZE].tolist() == [12, -6]
    assert row[expression.LEFT_LID] == row[expression.RIGHT_LID] > 0
    gaze.move((0.0, 0.0), "head", 0.04)
    assert gaze.next(HEAD) is None


def test_slow_moves_are_smooth():
    gaze = LiveGaze(np.zeros(3))
    gaze.move((20.0, 0.0), "head", 0.4)
    path = [yaw_of(gaze.next(HEAD)) for _ in range(12)]
    assert path[9:] == pytest.approx([20, 20, 20])
    assert (np.diff(path) >= 0).all()
    assert np.diff(path).max() < 4


def test_the_camera_is_held_on_to_while_the_head_turns():
    gaze = LiveGaze(np.array([2.0, 0.0, 0.0]))
    gaze.move((0.0, 0.0), "camera", 0.0)
    assert yaw_of(gaze.next(np.array([22.0, 0, 0, 0, 0, 0]))) == pytest.approx(-20)
    assert yaw_of(gaze.next(np.array([60.0, 0, 0, 0, 0, 0]))) == -35
