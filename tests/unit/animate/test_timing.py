"""Both timings: numbers of frames, order of poses, crop transforms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.drawn import head_meshes
from pcavs.animate.timing import DefaultTiming, PublishedTiming, Timing, choose_timing
from pcavs.errors import InputError
from pcavs.media.timeline import MIN_SPEECH_SAMPLES
from pcavs.spec import CropSpec, MelSpec, TalkerSpec

SAMPLES = st.integers(MIN_SPEECH_SAMPLES, 10**8)
MEL = MelSpec()


def test_compat_chooses_the_timing():
    flow, paper = TalkerSpec(), TalkerSpec(kind="paper")
    assert isinstance(choose_timing(None, flow), DefaultTiming)
    assert isinstance(choose_timing(None, paper), DefaultTiming)
    assert isinstance(choose_timing("published", paper), PublishedTiming)
    with pytest.raises(InputError, match="these weights hold a flow talker; leave compat out, or give weights"):
        choose_timing("published", flow)
    assert all(isinstance(each, Timing) for each in (DefaultTiming(), PublishedTiming()))


@given(SAMPLES)
def test_published_frames_are_those_of_the_formula(samples):
    """Targets 2 to T//4 - 3 of the published loop, T bins."""
    bins = math.ceil(samples / 160) + 7
    frames = PublishedTiming().count_frames(samples, MEL)
    assert frames == len(range(2, bins // 4 - 2)) == bins // 4 - 4 > 0
    assert 4 * (frames - 1) + 20 <= bins < 4 * frames + 20


@given(SAMPLES)
def test_published_films_are_two_or_three_frames_shorter(samples):
    missing = DefaultTiming().count_frames(samples, MEL) - PublishedTiming().count_frames(samples, MEL)
    assert missing in (2, 3)


@given(st.integers(1, 2000), st.integers(1, 400))
def test_poses_beyond_the_counted_ones_are_never_used(frames, in_the_source):
    for timing in (DefaultTiming(), PublishedTiming()):
        num_poses = min(in_the_source, timing.count_poses(frames))
        walk = [timing.pose_index(t, num_poses) for t in range(frames)]
        whole = [timing.pose_index(t, in_the_source) for t in range(frames)]
        assert walk == whole, "the poses that are not read would not be used"
        assert 0 <= min(walk) <= max(walk) < num_poses
        assert np.abs(np.diff(walk)).max(initial=0) <= 1


def test_one_transform_for_a_clip_or_one_for_each_frame():
    shift = np.array([[0.0, 0], [0.2, 0]])
    meshes = head_meshes(np.zeros((2, 3)), np.zeros(2), shift, side_px=200)
    still = DefaultTiming().crop_transforms(meshes, CropSpec(), 224)
    assert np.array_equal(next(still), next(still))
    first, second = PublishedTiming().crop_transforms(meshes, CropSpec(), 224)
    scale = np.hypot(*first[:, 0])
    np.testing.assert_allclose(first[:, :2], second[:, :2])
    # The mouth moved by 40 px to the right, of which the published code undoes four fifths in the same frame.
    np.testing.assert_allclose(second[:, 2] - first[:, 2], [-0.8 * 40 * scale, 0], atol=1e-3)
