"""Head motion without a future: presets move, do not jump, and depend on nothing but seed and speech."""

import itertools

import numpy as np
import pytest

from pcavs.head.blink import blink_track, endless_blinks
from pcavs.pose import expression
from pcavs.pose.life import natural
from pcavs.pose.live import LIVE_PRESETS, HeldMotion, RecordedMotion, RunningRhythm
from pcavs.pose.live_life import LiveLife
from pcavs.pose.presets import PRESETS, rhythm_of
from pcavs.pose.track import LARGEST_STEP, extrapolate, still

FRAMES = 500


def rows(motion, rhythm):
    return np.stack([motion.step(float(value)) for value in rhythm])


def speech():
    """Returns a rhythm with a beat each 0.6 s, and a pause from 8 to 12 s."""
    rhythm = 0.5 + 0.5 * np.sin(2 * np.pi * np.arange(FRAMES) / 15)
    rhythm[200:300] = 0
    return rhythm


def test_live_presets_are_those_of_films_and_idle():
    assert set(LIVE_PRESETS) == {*PRESETS, "idle"}


@pytest.mark.parametrize("name", LIVE_PRESETS)
def test_presets_begin_at_rest_and_never_jump(name):
    track = rows(LIVE_PRESETS[name](3), speech())
    assert not track[0].any()
    assert (np.abs(np.diff(track, axis=0)) <= LARGEST_STEP).all()
    assert np.array_equal(track, rows(LIVE_PRESETS[name](3), speech()))
    assert (name == "still") == (not track.any())


@pytest.mark.parametrize("name", ["idle", "lively", "presenter", "listening-nod"])
def test_seeds_differ(name):
    first, second = (rows(LIVE_PRESETS[name](seed), speech()) for seed in (1, 2))
    assert np.abs(first - second).max() > 0.5


@pytest.mark.parametrize("name", ["lively", "presenter"])
def test_beats_cause_nods(name):
    spoken = rows(LIVE_PRESETS[name](1), speech())[:, 1]
    silent = rows(LIVE_PRESETS[name](1), np.zeros(FRAMES))[:, 1]
    nods = silent - spoken
    assert nods[50:200].max() > 3
    assert np.abs(nods[225:300]).max() < 0.1, "none in the pause"


def test_natural_motion_is_that_of_films_without_their_future():
    """Rates and sizes are those of `life`; one frame after another gives the same motion however it is asked for."""
    rhythm = np.tile(speech(), 4)
    motion = LiveLife(2)
    assert not motion.step(0.0).any()
    head, faces, lids = [], [], []
    for value in rhythm:
        head.append(motion.step(float(value)))
        faces.append(motion.face)
        lids.append(motion.eyelids)
    head, faces, lids = np.array(head), np.array(faces), np.array(lids)
    film = natural(rhythm, 2)
    assert (np.abs(np.diff(head, axis=0)) <= LARGEST_STEP).all()
    assert head[:, :3].std(axis=0) == pytest.approx(film.head[:, :3].std(axis=0), rel=0.5)
    assert 15 < np.count_nonzero(np.diff((lids > 0.9).astype(int)) > 0) * 60 / 80 < 40, "blinks a minute"
    brows = np.count_nonzero(np.diff((faces[:, expression.LEFT_BROW] > 0.1).astype(int)) > 0)
    filmed = np.count_nonzero(np.diff((film.expression[:, expression.LEFT_BROW] > 0.1).astype(int)) > 0)
    assert 0.4 * filmed < brows < 2.5 * filmed
    camera = faces[:, expression.GAZE] + head[:, :2]
    assert np.median(np.hypot(*camera.T)) < 4
    again = LiveLife(2)
    again.step(0.0)
    assert np.array_equal(head, np.array([again.step(float(value)) for value in rhythm]))


def test_a_live_blink_shuts_the_eyes_at_every_strength():
    lids = []
    for strength in (0.2, 0.5, 1.0, 2.0, 0.0):
        motion = LiveLife(2, strength)
        lids.append([(motion.step(float(level)), motion.eyelids)[1] for level in np.tile(speech(), 2)])
    assert lids[0].count(1.0) > 5
    assert lids[0] == lids[1] == lids[2] == lids[3]
    assert not any(lids[4])


def test_strength_scales_natural_motion_and_0_is_a_statue():
    rhythm = speech()
    one, two, none = (LiveLife(2, strength) for strength in (1.0, 2.0, 0.0))
    for value in rhythm:
        rows = [motion.step(float(value)) for motion in (one, two, none)]
        np.testing.assert_allclose(rows[1], 2 * rows[0])
        assert not rows[2].any()
        assert not none.face.any()
        assert two.face[expression.LEFT_BROW] == pytest.approx(min(1, 2 * one.face[expression.LEFT_BROW]))
        assert (two.eyelids, none.eyelids) == (one.eyelids, 0)


def test_a_listener_nods_in_pauses():
    pitch = rows(LIVE_PRESETS["listening-nod"](1), speech())[:, 1]
    assert pitch[200:300].min() < -5


def test_recorded_motion_is_extrapolated_as_in_films():
    track = still(10)
    track[:, 0] = np.arange(10)
    for extrapolation in ("hold", "bounce", "loop"):
        motion = RecordedMotion(track, extrapolation, is_relative=False)
        np.testing.assert_allclose(rows(motion, np.zeros(35)), extrapolate(track, 35, extrapolation))


def test_a_held_pose_breathes():
    track = rows(HeldMotion(np.array([10.0, -5.0, 0, 0, 0, 0])), np.zeros(200))
    assert (track[:, 0] == 10).all()
    assert 0.3 < np.ptp(track[:, 1]) < 1.5


def test_the_running_rhythm_becomes_that_of_the_whole_speech():
    levels = 0.15 + 0.35 * np.abs(np.sin(np.arange(1500) / 9))
    running = RunningRhythm()
    made = np.array([running.add(level) for level in levels])
    mel = np.repeat(np.repeat(levels, 4)[None], 80, axis=0).astype(np.float32)
    whole = rhythm_of(np.pad(mel, ((0, 0), (8, 8))), 1500)
    assert np.abs(made - whole)[1000:].max() < 0.1


def test_endless_blinks_are_those_of_films():
    track = blink_track(2000, 7)
    last = int(np.flatnonzero(track)[-1])
    assert np.allclose(list(itertools.islice(endless_blinks(7), last + 1)), track[: last + 1])
