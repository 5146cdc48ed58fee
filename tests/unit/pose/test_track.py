"""Head tracks: laid end to end, slowed, and turned to begin elsewhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pcavs.face.pose import HeadPose, rotation_from_angles
from pcavs.pose.track import LARGEST_STEP, extended, from_heads, joined, limited, relative_to, smoothed, still


def ramp(num_frames, step=1.0):
    track = still(num_frames)
    track[:, 0] = step * np.arange(num_frames)
    return track


tracks = st.integers(1, 40).flatmap(lambda n: arrays(np.float64, (n, 6), elements=st.floats(-90, 90, width=32)))


def test_bounce_goes_to_and_fro_without_a_doubled_frame():
    assert extended(ramp(4), 9, "bounce")[:, 0].tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]


def test_hold_stays():
    assert extended(ramp(3), 6, "hold")[:, 0].tolist() == [0, 1, 2, 2, 2, 2]


def test_a_loop_turns_its_end_into_its_beginning():
    turned = extended(ramp(100, 0.5), 300, "loop")[:, 0]
    assert np.abs(np.diff(turned)).max() < 8, "49 degrees would be the plain jump"
    assert np.array_equal(turned[:80], turned[88:168])


@given(tracks, st.integers(1, 120), st.sampled_from(["hold", "loop", "bounce"]))
def test_any_track_has_any_length(track, num_frames, beyond):
    assert extended(track, num_frames, beyond).shape == (num_frames, 6)


@given(tracks)
def test_nothing_is_faster_than_allowed(track):
    slow = limited(track)
    assert (np.abs(np.diff(slow, axis=0)) <= LARGEST_STEP + 1e-9).all()
    assert (slow <= track.max(axis=0) + 1e-9).all()
    assert (slow >= track.min(axis=0) - 1e-9).all()


@given(tracks)
def test_slowing_knows_no_direction_of_time(track):
    assert np.allclose(limited(track), limited(track[::-1])[::-1])


@given(tracks)
def test_slowing_what_is_slow_changes_nothing(track):
    slow = limited(track)
    assert np.allclose(limited(slow), slow, atol=1e-9)


def test_pieces_fade_into_each_other():
    left, right = still(100), still(100)
    left[:, 0], right[:, 0] = -20, 20
    whole = joined([(left, 0), (right, 50)], 100, 10)
    assert whole[49, 0] == -20
    assert np.abs(np.diff(whole[:, 0])).max() <= 3
    assert whole[-1, 0] == 20
    assert (np.diff(whole[:, 0]) >= 0).all()


def test_a_relative_track_begins_where_the_photograph_is():
    own = np.array([12.0, -7.0, 4.0])
    track = ramp(30)
    track[:, 0] += 35
    track[:, 3] = 0.4
    moved = relative_to(track, own)
    assert np.allclose(moved[0, :3], own, atol=1e-6)
    assert np.allclose(moved[:, 3:], 0)
    assert moved[29, 0] == pytest.approx(12 + 29, abs=2)


def test_smoothing_keeps_a_constant_and_takes_noise():
    rng = np.random.default_rng(0)
    noisy = still(200) + 5
    noisy[:, 0] += rng.normal(0, 1, 200)
    smooth = smoothed(noisy, 0.4, 25)
    assert np.allclose(smooth[:, 1], 5)
    assert smooth[:, 0].std() < 0.5
    assert np.array_equal(smoothed(noisy, 0.0, 25), noisy)


def test_heads_are_told_against_their_mean_place():
    angles = np.array([[10.0, 0, 0], [20, 0, 0]])
    place = np.array([[100.0, 50], [130.66, 50]], np.float32)
    heads = HeadPose(rotation_from_angles(angles).astype(np.float32), place, np.full(2, 2.0, np.float32))
    track = from_heads(heads)
    assert np.allclose(track[:, 0], [10, 20], atol=1e-3)
    assert np.allclose(track[:, 3], [-0.5, 0.5], atol=1e-3), "a face width is 15.33 cm, here 30.66 px"
    assert np.allclose(track[:, 4:], 0, atol=1e-6)
