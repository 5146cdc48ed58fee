"""Who moves what: pose source, performance, eyes, brows, gaze and smile are joined as the settings say."""

from pathlib import Path

import numpy as np
import pytest

from pcavs.animate.options import FilmOptions
from pcavs.animate.performance import FaceMixer, expressions_of, held_gaze
from pcavs.errors import InputError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import TrackPolicy
from pcavs.pose import expression
from pcavs.pose.compile import CompiledMotion, compile_motion
from pcavs.pose.face import LEFT_BROW, LEFT_OPENING, MOUTH_WIDTH, YAW
from pcavs.pose.source import SegmentReader, performance_timeline
from pcavs.pose.track import save_track, still

FRAMES = 50
RHYTHM = np.abs(np.sin(np.arange(FRAMES) / 3))


def options(**settings):
    return FilmOptions(identity=Path("a"), audio=Path("b"), **settings)


@pytest.fixture
def tracks(tmp_path):
    """Two saved performances: one looks to the right and blinks, the other raises the brows and turns the head."""
    first, second = (np.tile([0.3, 0.3, 0, 0, 2.2, 2.2, 2.8, 5, 0, 0], (FRAMES, 1)) for _ in range(2))
    first[:, YAW] = 12
    first[20:23, LEFT_OPENING : LEFT_OPENING + 2] = 0.02
    second[30:45, LEFT_BROW : LEFT_BROW + 2] += 0.6
    second[:, MOUTH_WIDTH] = 5
    head = still(FRAMES)
    head[:, 0] = 10
    for name, face, turned in (("first.npz", first, still(FRAMES)), ("second.npz", second, head)):
        save_track(turned, np.ones(FRAMES, bool), tmp_path / name, overwrite=True, face=face)
    save_track(head, np.ones(FRAMES, bool), tmp_path / "head.npz", overwrite=True)
    return tmp_path


def mixed(settings, pose=None):
    sources = SegmentReader(FaceLandmarker(), TrackPolicy(), lambda *_: None)
    source = pose or settings.performance
    compiled = None if source is None else compile_motion(performance_timeline(source), FRAMES, RHYTHM, sources)
    return FaceMixer(settings, RHYTHM, sources).mix(compiled), compiled


def test_a_performance_lends_head_lids_gaze_and_brows(tracks):
    (face, moves_lids), compiled = mixed(options(performance=tracks / "second.npz"))
    assert moves_lids
    assert np.allclose(compiled.head[:, 0], 10, atol=1e-5)
    assert face[38, expression.LEFT_BROW] > 0.4
    (face, _), _ = mixed(options(performance=tracks / "first.npz"))
    assert np.allclose(face[:, expression.GAZE_YAW], 12, atol=0.1)
    assert face[21, expression.LEFT_LID] > 0.9


def test_eyes_and_brows_of_other_films_replace_those_of_the_performance(tracks):
    settings = options(performance=tracks / "second.npz", eyes=str(tracks / "first.npz"))
    (face, _), _ = mixed(settings)
    assert np.allclose(face[:, expression.GAZE_YAW], 12, atol=0.1)
    assert face[38, expression.LEFT_BROW] > 0.4
    (face, _), _ = mixed(options(performance=tracks / "first.npz", brows=str(tracks / "second.npz"), eyes="photo"))
    assert not face[:, expression.GAZE].any()
    assert not face[:, expression.LIDS].any()
    assert face[38, expression.LEFT_BROW] > 0.4


def test_speech_moves_eyes_and_brows_alone():
    (face, moves_lids), _ = mixed(options(eyes="speech"))
    assert moves_lids
    assert face[:, expression.GAZE].any()
    assert not face[:, expression.BROWS].any()


def test_the_photograph_keeps_its_eyes_and_does_not_blink():
    face, moves_lids = mixed(options(eyes="photo"))[0]
    assert face is None
    assert moves_lids


def test_tracks_of_the_head_alone_are_no_performance(tracks):
    with pytest.raises(InputError, match="holds the head alone"):
        mixed(options(performance=tracks / "head.npz"))


def test_the_camera_is_looked_at_while_the_head_turns():
    poses = np.zeros((3, 6))
    poses[:, 0], poses[:, 1] = (0, 20, -10), (0, 5, 0)
    own = np.array([2.0, 0.0, 0.0])
    assert held_gaze(None, "camera", poses, own).tolist() == [[2, 0], [-18, -5], [12, 0]]
    assert held_gaze("4,-1", "head", poses, own).tolist() == [[4, -1]] * 3


def test_settings_are_added_to_what_is_borrowed_and_limited():
    poses, own = np.zeros((1, 6)), np.zeros(3)
    assert expressions_of(options(), None, poses, own, 4) is None
    borrowed = expression.neutral(4)
    borrowed[:, expression.GAZE_YAW], borrowed[:, expression.LEFT_LID] = 30, 0.5
    track = expressions_of(options(gaze="10,-10", smile=0.4, no_blinks=True), borrowed, poses, own, 4)
    assert track[0, expression.GAZE].tolist() == [35, -10]
    assert track[0, expression.SMILE] == 0.4
    assert track[0, expression.LEFT_LID] <= 0


def test_eyes_that_look_up_or_are_opened_wide_still_blink(tracks):
    """The lids follow a gaze upwards; a blink was shown with open eyes, because that was subtracted from it."""
    borrowed = expression.neutral(4)
    borrowed[1, expression.LIDS] = 1.0
    track = expressions_of(options(gaze="0,20"), borrowed, np.zeros((1, 6)), np.zeros(3), 4)
    assert track[1, expression.LIDS].tolist() == [1, 1]
    assert (track[0, expression.LIDS] < -0.9).all()
    wide = expression.neutral(FRAMES)
    wide[:, expression.LIDS] = -0.5
    sources = SegmentReader(FaceLandmarker(), TrackPolicy(), lambda *_: None)
    settings = options(performance=tracks / "first.npz", pose=tracks / "head.npz")
    face = FaceMixer(settings, RHYTHM, sources).mix(CompiledMotion(still(FRAMES), wide)).expression
    assert face[21, expression.LEFT_LID] > 0.9
    assert face[0, expression.LEFT_LID] == -0.5


@pytest.mark.parametrize("settings", [{"gaze": "5,5"}, {"smile": 0.5}, {"eyes": "speech"}, {"performance": Path("a")}])
def test_a_network_turn_moves_no_face(settings):
    with pytest.raises(InputError, match="moves no eyes or cheeks"):
        options(turn="network", **settings)
