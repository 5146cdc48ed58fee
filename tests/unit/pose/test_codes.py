"""From a head track to pose codes: limits, the pose map, and the view of the film."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcavs.errors import WeightsError
from pcavs.face.pose import rotation_from_angles
from pcavs.pose.calibration import PoseMap, find_map, fit_map, plain_map, save_map
from pcavs.pose.codes import (
    Surroundings,
    apply_view,
    code_angles,
    codes_of,
    fit_track,
    limit_view,
    track_of,
    view_of,
    view_reach,
)
from pcavs.pose.track import still
from pcavs.weights.locate import Weights

STEPS = np.array([-40.0, -20, 0, 20, 40])


def code(yaw=0.0, pitch=0.0, roll=0.0):
    rotation = rotation_from_angles(np.array([[yaw, pitch, roll]], np.float64)).reshape(9)
    return np.concatenate([rotation, [0.02, 0.05, -0.1]]).astype(np.float32)


def halving():
    """The map of a talker that turns half as far as its code says."""
    return PoseMap(code_deg=STEPS, face_deg=STEPS[:, None, None] / 2 * np.eye(3), error_deg=np.zeros((5, 3)))


def encoded(track, own_deg, own, calibration):
    """Codes of a track, for a photograph with one pose by its landmarks and one by its code."""
    return codes_of(fit_track(track, np.array(own_deg, np.float64), calibration.reach()), own, calibration)


def made_by(poses, turns):
    """Rotations of the face that a map gives for rotations of the code."""
    return sum(
        np.stack([np.interp(turns[:, axis], poses.code_deg, poses.face_deg[:, axis, n]) for n in range(3)], axis=1)
        for axis in range(3)
    )


def test_a_lean_that_comes_with_a_turn_is_compensated():
    made = STEPS[:, None, None] / 2 * np.eye(3)
    made[:, 0, 2] = STEPS / 5
    made[:, 2, 0] = -STEPS / 6
    leaning = PoseMap(code_deg=STEPS, face_deg=made, error_deg=np.zeros((5, 3)))
    wanted = np.array([[10.0, 0, 0], [0, 0, -8], [-9, 3, 5]])
    assert np.allclose(made_by(leaning, leaning.code_turns(wanted)), wanted, atol=0.01)


def test_the_photographs_own_pose_gives_its_own_code():
    own = code(11, -6, 3)
    own[:9] += np.random.default_rng(0).normal(0, 0.01, 9).astype(np.float32)
    track = still(3)
    track[:, :3] = (9, -5, 2)
    fitted = fit_track(track, np.array([9.0, -5, 2]), halving().reach())
    codes = codes_of(fitted, own, halving())
    assert np.allclose(codes, own, atol=1e-5), "a network's code is not exactly a rotation, and must not be made one"
    assert view_of(fitted, own) is None
    assert fitted.notes == ()


def test_a_talker_that_turns_half_as_far_gets_twice_the_rotation():
    track = still(1)
    track[:, 0] = 15
    assert code_angles(encoded(track, (0, 0, 0), code(), halving())[0])[0] == pytest.approx(30, abs=0.01)
    assert code_angles(encoded(track, (5, 0, 0), code(5), halving())[0])[0] == pytest.approx(25, abs=0.01)


def test_rotations_out_of_reach_are_clamped_with_a_note():
    track = still(2)
    track[1, 0] = 60
    fitted = fit_track(track, np.zeros(3), halving().reach())
    assert code_angles(codes_of(fitted, code(), halving())[1])[0] == pytest.approx(40, abs=0.01)
    assert track_of(fitted, np.zeros(3))[1, 0] == pytest.approx(20)
    assert fitted.notes == ("a yaw of 60 degrees is too far for this picture and these weights; 20 is used",)


def test_the_average_place_moves_the_view_and_the_rest_the_codes():
    track = still(2)
    track[:, 3] = [0.1, 0.3]
    fitted = fit_track(track, np.zeros(3), plain_map().reach())
    view = view_of(fitted, code())
    width = 2 * 15.33 / 20 * np.exp(-0.1)
    assert np.allclose(codes_of(fitted, code(), plain_map())[:, 9] - 0.02, [-0.1 * width, 0.1 * width], atol=1e-5)
    assert view is not None
    assert view[0, 2] == pytest.approx(0.2 * width / 2)
    picture = np.zeros((100, 100, 3), np.uint8)
    picture[40:60, 40:60] = 255
    columns = np.flatnonzero(apply_view(picture, view)[50, :, 0] > 128)
    assert columns.mean() == pytest.approx(49.5 + 100 * view[0, 2], abs=0.6)


def test_an_identity_view_changes_nothing():
    picture = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    assert apply_view(picture, None) is picture
    assert np.array_equal(apply_view(picture, np.array([[1.0, 0, 0], [0, 1, 0]])), picture)


def test_a_fitted_map_is_monotonic_and_inverted():
    rng = np.random.default_rng(0)
    curve = 25 * np.tanh(STEPS / 30)
    turns = curve[None, :, None, None] * np.eye(3) + rng.normal(0, 0.5, (20, 5, 3, 3)) + 1.5
    fitted = fit_map(STEPS, turns, "noise")
    assert np.array_equal(fitted.face_deg[2], np.zeros((3, 3)))
    assert (np.diff(fitted.face_deg[:, range(3), range(3)], axis=0) >= 0).all()
    wanted = rng.uniform(-12, 12, (9, 3))
    assert np.allclose(made_by(fitted, fitted.code_turns(wanted)), wanted, atol=0.01)


def test_the_reach_ends_where_the_rotation_shrinks_again():
    turns = np.array([-5.0, -12, 0, 10, 4])[None, :, None, None] * np.eye(3)
    fitted = fit_map(STEPS, turns, "")
    assert fitted.reach()[:, 0].tolist() == [-12, 10]
    assert fitted.code_turns(np.array([[99.0, 99, 99]]))[0, 0] == pytest.approx(20)
    assert fitted.code_turns(np.array([[-99.0, 0, 0]]))[0, 0] == pytest.approx(-20)


@given(st.floats(-40, 40))
def test_the_plain_map_changes_nothing(turn):
    assert np.allclose(plain_map().code_turns(np.array([[turn, 0.0, -turn]])), [[turn, 0, -turn]])


def test_a_map_is_found_beside_its_weights(tmp_path):
    (tmp_path / "talker").mkdir()
    weights = Weights(None, tmp_path / "talker", "abc")
    assert find_map(weights) is None
    save_map(halving(), "abc", tmp_path / "talker" / "pose.json")
    found = find_map(weights)
    assert found is not None
    assert np.array_equal(found.face_deg, halving().face_deg)
    assert find_map(weights._replace(digest="other")) is None, "it was measured with other weights"


@pytest.mark.parametrize(
    "change",
    [
        {"format": "x"},
        {"asked_deg": [1]},
        {"asked_deg": 3},
        {"asked_deg": [3, 2, 1, 0, -1]},
        {"asked_deg": [-1, 0, 10**400]},
        {"asked_deg": [-1, 0, float("nan")]},
        {"yaw": 3},
    ],
)
def test_a_damaged_map_is_refused(tmp_path, change):
    (tmp_path / "talker").mkdir()
    file = tmp_path / "talker" / "pose.json"
    save_map(halving(), "abc", file)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(WeightsError, match="measure the map again"):
        find_map(Weights(None, tmp_path / "talker", "abc"))


def shifted_view(x=0.0, y=0.0, size=0.0, around=(0.25, 0.25, 0.25, 0.25)):
    """The fitted track of a head that is elsewhere on average, before and after the view is limited."""
    track = still(2)
    track[:, 3:] = (x, y, size)
    fitted = fit_track(track, np.zeros(3), plain_map().reach())
    return fitted, limit_view(fitted, code(), Surroundings(*around))


@pytest.mark.parametrize(("x", "y", "size"), [(0.2, 0.1, 0.0), (-0.1, -0.2, 0.0), (0.0, 0.0, 0.4), (0.1, 0.0, -0.2)])
def test_a_view_within_the_photograph_is_not_limited(x, y, size):
    fitted, limited = shifted_view(x, y, size)
    assert limited is fitted


@pytest.mark.parametrize(("x", "y", "size"), [(1.5, 0.0, 0.0), (0.0, -2.0, 0.0), (0.0, 0.0, -1.5), (0.9, 0.9, -0.5)])
@pytest.mark.parametrize("around", [(0.25, 0.25, 0.25, 0.25), (0.0, 0.1, 0.25, 0.0), (0.0, 0.0, 0.0, 0.0)])
def test_a_view_shows_nothing_beyond_the_photograph(x, y, size, around):
    """A head that left the frame of its pose film left streaks of skin: the photograph's repeated edge."""
    _, limited = shifted_view(x, y, size, around)
    view = view_of(limited, code())
    if view is None:
        view = np.eye(2, 3)
    corners = (np.array([[0.0, 0], [1, 1]]) - view[:, 2]) / view[0, 0]
    left, top, right, bottom = around
    assert (corners[0] >= np.array([-left, -top]) - 1e-9).all()
    assert (corners[1] <= 1 + np.array([right, bottom]) + 1e-9).all()
    assert view_reach(view) <= max(around) + 1e-9
    assert "no surroundings to show" in limited.notes[-1]


def test_a_head_that_comes_nearer_may_move_within_the_crop():
    """An enlarged crop is larger than the film, so it may move although the photograph ends at its edges."""
    fitted, limited = shifted_view(0.05, 0.0, 0.5, (0.0, 0.0, 0.0, 0.0))
    assert limited is fitted
    assert view_reach(view_of(limited, code())) == 0


def test_a_view_of_a_wide_frame_shows_what_lies_around_the_crop():
    wide = np.random.default_rng(0).integers(0, 255, (96, 96, 3)).astype(np.uint8)
    shift = np.array([[1.0, 0, 0.25], [0, 1, -0.125]])
    assert np.array_equal(apply_view(wide, shift, 16), wide[24:88, 0:64])
