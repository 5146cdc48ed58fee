"""Scripted motion is smooth, stays within its range, and repeats with its seed."""

import numpy as np
import pytest

from pcavs.synth.motion import MotionStyle, ScriptedMotion, random_motion, random_style

QUIET = np.zeros(100, np.float32)


def motion(seed: int, liveliness: float) -> ScriptedMotion:
    """Returns the motion of a clip of 100 frames."""
    return random_motion(100, MotionStyle(liveliness=liveliness), QUIET, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(5))
def test_heads_stay_in_range_and_do_not_jump(seed: int) -> None:
    angles = motion(seed, 1.0).angles_deg
    assert np.abs(angles).max(axis=0)[0] <= 60
    assert np.abs(angles).max(axis=0)[1] <= 30
    assert np.abs(angles).max(axis=0)[2] <= 25
    # 12 degrees a frame are 300 degrees a second, a quick human turn.
    assert np.abs(np.diff(angles, axis=0)).max() < 12


def test_lively_heads_move_more_than_still_ones() -> None:
    still = np.mean([np.ptp(motion(seed, 0.05).angles_deg[:, 0]) for seed in range(20)])
    lively = np.mean([np.ptp(motion(seed, 1.0).angles_deg[:, 0]) for seed in range(20)])
    assert still < 8
    assert lively > 45


def test_clips_together_cover_the_range() -> None:
    styles = np.random.default_rng(0)
    angles = np.concatenate(
        [random_motion(100, random_style(styles), QUIET, np.random.default_rng(seed)).angles_deg for seed in range(60)]
    )
    assert (np.abs(angles).max(axis=0) > (54, 26, 21)).all()
    assert 0.03 < (np.abs(angles[:, 0]) > 40).mean() < 0.4


def test_blinks_shut_and_open_again() -> None:
    shut = np.concatenate([motion(seed, 0.5).blink for seed in range(10)])
    assert shut.min() == 0
    assert shut.max() > 0.8
    assert 0.01 < (shut > 0.5).mean() < 0.15


def test_eyes_stay_within_their_range() -> None:
    gaze = np.concatenate([motion(seed, 1.0).gaze_deg for seed in range(10)])
    assert np.abs(gaze[:, 0]).max() <= 22
    assert np.abs(gaze[:, 1]).max() <= 12


def test_equal_seeds_give_equal_motion() -> None:
    np.testing.assert_array_equal(motion(3, 0.7).angles_deg, motion(3, 0.7).angles_deg)
    assert random_style(np.random.default_rng(1)) == random_style(np.random.default_rng(1))
