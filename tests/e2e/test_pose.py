"""Pose sources: borrowed head motion that never jumps, and the picture's own pose where there is none."""

import numpy as np
import pytest

from pcavs.animate.encode_pose import encode_pose_source
from pcavs.animate.identity import FaceReader
from pcavs.animate.timing import DefaultTiming
from pcavs.face.landmarker import FaceLandmarker


def test_a_short_pose_source_goes_to_and_fro_without_a_jump(loud_mouth, face, drift, make_wav):
    film = loud_mouth.animate(face, make_wav(2.0), pose=drift, size=32, turn="network")
    assert film.num_frames == 50
    assert len(film.controls.poses) == 11
    seen = []
    film.runtime.render, plain = (
        lambda who, content, pose: seen.append(pose) or plain(who, content, pose),
        film.runtime.render,
    )
    try:
        list(film.frames)
    finally:
        del film.runtime.render
    walked = np.array(seen)
    largest_step = np.abs(np.diff(film.controls.poses, axis=0)).max()
    assert np.abs(np.diff(walked, axis=0)).max() <= largest_step
    assert np.array_equal(walked[:11], film.controls.poses)
    assert np.array_equal(walked[11], film.controls.poses[9]), "the end frame is not doubled"
    assert np.array_equal(walked[20:31], film.controls.poses)


def test_only_as_much_of_the_pose_source_is_read_as_is_needed(loud_mouth, drift):
    told = []
    reader = FaceReader(loud_mouth.runtime, FaceLandmarker(), DefaultTiming())
    source = encode_pose_source(drift, 4, reader, lambda *progress: told.append(progress))
    assert len(source.codes) == 4
    assert told[-1][1:] == (8, 8)
    assert [done for _, done, _ in told] == list(range(1, 9))


def test_without_a_pose_source_the_pictures_own_pose_is_held(loud_mouth, face, make_wav):
    film = loud_mouth.animate(face, make_wav(0.4), size=32)
    assert np.array_equal(film.controls.poses, [[*film.identity.own_deg, 0, 0, 0]])
    film = loud_mouth.animate(face, make_wav(0.4), size=32, turn="network")
    assert np.array_equal(film.controls.poses, film.identity.codes.pose[None])


def test_smoothing_keeps_ramps_and_moves_nothing_in_time():
    ramp = np.linspace(0, 1, 20, dtype=np.float32)[:, None] * np.ones(12, np.float32)
    assert np.allclose(DefaultTiming().smooth(ramp)[2:-2], ramp[2:-2], atol=1e-6)
    bump = np.zeros((21, 12), np.float32)
    bump[10] = 1
    smooth = DefaultTiming().smooth(bump)
    assert smooth[:, 0].argmax() == 10
    assert np.allclose(smooth, smooth[::-1])
    assert smooth[:, 0].sum() == pytest.approx(1)


def test_smoothing_takes_noise_and_leaves_nods():
    time = np.arange(200) / 25
    nod = np.sin(2 * np.pi * 2 * time)
    noise = np.random.default_rng(0).normal(0, 1, 200)
    kept = DefaultTiming().smooth(np.repeat(nod[:, None], 12, 1).astype(np.float32))[5:-5, 0]
    left = DefaultTiming().smooth(np.repeat(noise[:, None], 12, 1).astype(np.float32))[5:-5, 0]
    assert np.abs(kept).max() > 0.87
    assert left.std() < 0.6
