import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcavs.face.pose import (
    angles_deg,
    canonical_face,
    head_frame,
    head_pose,
    pose_code,
    pose_from_code,
    rotation_from_angles,
)
from pcavs.spec import POSE_DIM

_ANGLE = st.floats(-80, 80)


@given(yaw=_ANGLE, pitch=_ANGLE, roll=_ANGLE)
def test_angles_and_rotation_are_inverses(yaw, pitch, roll):
    angles = np.array([[yaw, pitch, roll]])
    rotation = rotation_from_angles(angles)
    np.testing.assert_allclose(rotation[0] @ rotation[0].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation[0]) == pytest.approx(1)
    np.testing.assert_allclose(angles_deg(rotation), angles, atol=1e-6)


@pytest.mark.parametrize(
    ("angles", "point", "moves"),
    [
        ((20, 0, 0), 4, (1, 0)),  # yaw > 0: the nose goes to the picture's right
        ((0, 20, 0), 4, (0, -1)),  # pitch > 0: the nose goes up
        ((0, 0, 20), 10, (1, 0)),  # roll > 0: clockwise, so the forehead goes to the right
    ],
)
def test_signs_are_those_of_the_docstring(pose_head, angles, point, moves):
    still, turned = pose_head([(0, 0, 0), angles])[:, point, :2]
    shift = turned - still
    assert shift @ np.array(moves) > 10
    assert abs(shift @ np.array(moves)[::-1]) < abs(shift @ np.array(moves))


def test_a_nose_points_towards_the_viewer():
    vertices = canonical_face().vertices_cm
    assert vertices[4, 2] == vertices[:, 2].min()
    assert vertices[10, 1] < 0 < vertices[152, 1]  # y goes down from forehead to chin
    assert vertices[33, 0] < 0 < vertices[263, 0]


def test_head_pose_finds_rotation_place_and_size(pose_head):
    angles = np.array([(0, 0, 0), (35, -12, 8), (-60, 20, -15)], float)
    pose = head_pose(pose_head(angles, scale=7.5, place=(50, 60)))
    np.testing.assert_allclose(angles_deg(pose.rotation.astype(float)), angles, atol=1e-2)
    np.testing.assert_allclose(pose.translation_px, [[50, 60]] * 3, atol=1e-3)
    np.testing.assert_allclose(pose.scale_px_per_cm, 7.5, rtol=1e-5)
    np.testing.assert_allclose(pose.rotation[0], np.eye(3), atol=1e-5)


def test_speech_does_not_move_the_head(pose_head):
    shut, open_wide = (head_pose(pose_head([(10, 5, 0)], opening_cm=cm)) for cm in (0, 4))
    np.testing.assert_array_equal(shut.rotation, open_wide.rotation)
    np.testing.assert_array_equal(shut.translation_px, open_wide.translation_px)


def test_a_mirrored_face_is_not_fitted_by_a_reflection(pose_head):
    mirrored = pose_head([(0, 0, 0)]) * np.array([1, 1, -1], np.float32)
    assert np.linalg.det(head_pose(mirrored).rotation[0]) == pytest.approx(1, abs=1e-4)


def test_head_frame_undoes_the_pose(pose_head):
    meshes = pose_head([(0, 0, 0), (30, 10, -20)], scale=4)
    flat = head_frame(meshes)
    np.testing.assert_allclose(flat[1, :468], canonical_face().vertices_cm, atol=1e-3)
    np.testing.assert_allclose(flat[0], flat[1], atol=1e-3)


def test_pose_code_does_not_depend_on_the_crops_size(pose_head):
    angles = [(15, -5, 3)]
    small = pose_head(angles, scale=5, place=(63.5, 70.0))
    # Pixel centres: (x + 0.5) doubles when the side does.
    large = pose_head(angles, scale=10, place=(127.5, 140.5))
    code = pose_code(small, 128)
    assert code.shape == (1, POSE_DIM)
    np.testing.assert_allclose(code, pose_code(large, 256), atol=1e-5)
    assert code[0, 9] == pytest.approx(0, abs=1e-5)
    assert np.exp(code[0, 11]) == pytest.approx(20 * 5 / 128, rel=1e-4)


def test_pose_code_round_trip_survives_a_network_that_is_a_little_off(pose_head):
    meshes = pose_head([(25, 10, -5), (-40, 0, 10)])
    pose, code = head_pose(meshes), pose_code(meshes, 256)
    for mine, theirs in zip(pose_from_code(code, 256), pose, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-3)
    noisy = code + np.random.default_rng(0).normal(0, 0.05, code.shape).astype(np.float32)
    rotation = pose_from_code(noisy, 256).rotation
    np.testing.assert_allclose(rotation @ rotation.transpose(0, 2, 1), np.tile(np.eye(3), (2, 1, 1)), atol=1e-5)
