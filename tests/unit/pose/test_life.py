"""Natural motion: seeded, as often and as large as people move, and where people do."""

from pathlib import Path

import numpy as np
import pytest

from pcavs.errors import InputError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import TrackPolicy
from pcavs.pose import expression
from pcavs.pose.compile import compile_motion
from pcavs.pose.life import natural
from pcavs.pose.presets import beats
from pcavs.pose.source import SegmentReader, read_pose
from pcavs.spec import FRAME_RATE

MINUTE = 60 * FRAME_RATE


def speech(num_frames=MINUTE, seed=0):
    """Syllables of 0.2 to 0.35 s in phrases of two to four seconds, with pauses of 0.6 s between them."""
    rng = np.random.default_rng(seed)
    level = np.zeros(num_frames)
    at = 0
    while at < num_frames:
        end = at + int(rng.integers(50, 100))
        while at < min(end, num_frames):
            length = int(rng.integers(5, 9))
            part = level[at : at + length]
            part += (np.hanning(length + 2)[1:-1] * rng.uniform(0.3, 1.0))[: len(part)]
            at += length
        at += 15
    return level


@pytest.fixture(scope="module")
def life():
    return natural(speech(), 1)


def starts(lids):
    return np.flatnonzero((lids[1:] > 0.6) & (lids[:-1] <= 0.6))


def test_equal_seeds_give_equal_motion(life):
    again, other = natural(speech(), 1), natural(speech(), 2)
    assert np.array_equal(life.head, again.head)
    assert np.array_equal(life.expression, again.expression)
    assert not np.array_equal(life.head, other.head)


def test_heads_sway_as_far_as_people_do():
    sd = np.mean([natural(speech(seed=seed), seed).head[:, :3].std(axis=0) for seed in range(4)], axis=0)
    assert (sd > [0.9, 0.9, 0.6]).all()
    assert (sd < [3.0, 3.7, 3.7]).all()


def test_eyes_stay_near_the_camera_while_the_head_sways(life):
    from_camera = life.head[:, :2] + life.expression[:, expression.GAZE]
    assert np.median(np.abs(from_camera), axis=0).max() < 2.5
    assert np.abs(from_camera[:, 0]).max() > 6


def test_lids_blink_about_24_times_a_minute_and_rather_in_pauses():
    counts, in_pause, rhythm = [], [], speech()
    for seed in range(6):
        lids = natural(rhythm, seed).expression[:, expression.LEFT_LID]
        counts.append(len(starts(lids)))
        in_pause.append(np.mean(rhythm[starts(lids)] < 0.2))
    assert 17 < np.mean(counts) < 31
    assert np.mean(in_pause) > 1.3 * np.mean(rhythm < 0.2)


def test_heads_nod_and_brows_rise_near_beats(life):
    rhythm = speech()
    brows = life.expression[:, expression.LEFT_BROW]
    assert 0.1 < brows.max() < 0.9
    peaks = np.flatnonzero((brows[1:-1] > brows[:-2]) & (brows[1:-1] >= brows[2:]) & (brows[1:-1] > 0.1)) + 1
    nearest = np.abs(peaks[:, None] - np.array(beats(rhythm))).min(axis=1)
    assert np.median(nearest) <= 4


def test_strength_scales_the_motion_and_0_is_a_statue():
    tracks = []
    for text in ("natural=0", "natural", "natural=2"):
        timeline = read_pose(Path(text), relative=False)
        tracks.append(
            compile_motion(timeline, 200, speech(200), SegmentReader(FaceLandmarker(), TrackPolicy(), lambda *_: None))
        )
    none, one, two = (track.head[:, :3] for track in tracks)
    assert not none.any()
    assert two.std() > 1.5 * one.std() > 0
    assert tracks[1].moves_lids


def lids_of(text):
    """Closure of the left lid in a minute of natural motion, without what follows the gaze."""
    sources = SegmentReader(FaceLandmarker(), TrackPolicy(), lambda *_: None)
    made = compile_motion(read_pose(Path(text), relative=False), MINUTE, speech(), sources)
    return np.zeros(MINUTE) if made.expression is None else made.expression[:, expression.LEFT_LID]


def test_a_blink_shuts_the_eyes_at_every_strength():
    """At strength 0.5 lids closed by half, as if the person were tired; at 2 they were shut for twice as long."""
    shut = [np.flatnonzero(lids_of(text) > 0.99) for text in ("natural=0.1", "natural=0.5", "natural", "natural=2")]
    assert len(shut[0]) > 12
    assert all(np.array_equal(shut[0], each) for each in shut)
    assert not lids_of("natural=0").any()


@pytest.mark.parametrize("text", ["natural=3", "natural=-1", "natural=much", "natural=nan"])
def test_other_strengths_are_refused(text):
    with pytest.raises(InputError, match="give 0 to 2"):
        read_pose(Path(text), relative=False)
