import numpy as np
import pytest

from pcavs.face.regions import interocular_distance, mouth_opening
from pcavs.face.smooth import smooth_meshes

_RATE = 25


def _speaking(pose_head, cm, hz=4.0, seconds=4):
    time = np.arange(seconds * _RATE) / _RATE
    meshes = np.repeat(pose_head([(0, 0, 0)]), len(time), axis=0)
    meshes[:, 14, 1] += 10 * cm * (1 - np.cos(2 * np.pi * hz * time)) / 2
    return time, meshes


@pytest.mark.parametrize("cm", [0.4, 1.0])
def test_a_mouth_that_opens_four_times_a_second_keeps_its_swing_and_its_time(pose_head, cm):
    time, meshes = _speaking(pose_head, cm)
    before, after = mouth_opening(meshes), mouth_opening(smooth_meshes(meshes, _RATE))
    wave = np.exp(-2j * np.pi * 4 * time)[10:-15]  # whole periods, away from the ends
    swing_before, swing_after = before[10:-15] @ wave, after[10:-15] @ wave
    assert abs(swing_after) >= 0.95 * abs(swing_before)
    lag_ms = -np.angle(swing_after / swing_before) / (2 * np.pi * 4) * 1000
    assert abs(lag_ms) < 1


def test_jitter_of_a_resting_face_goes(pose_head):
    random = np.random.default_rng(0)
    still = np.repeat(pose_head([(0, 0, 0)]), 100, axis=0)
    noise = random.normal(0, 0.002 * interocular_distance(still)[0], still.shape).astype(np.float32)
    rest = (smooth_meshes(still + noise, _RATE) - still)[10:-10]
    assert rest.std() < 0.75 * noise.std()


def test_the_filter_has_no_direction_of_time(pose_head):
    _, meshes = _speaking(pose_head, 0.5)
    meshes[40:, :, 0] += 30
    np.testing.assert_allclose(smooth_meshes(meshes[::-1].copy(), _RATE)[::-1], smooth_meshes(meshes, _RATE), atol=1e-3)


def test_one_frame_stays_itself(pose_head):
    mesh = pose_head([(1, 2, 3)])
    np.testing.assert_array_equal(smooth_meshes(mesh, _RATE), mesh)
