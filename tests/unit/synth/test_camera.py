"""A camera's faults are as asked for, and rooms look like rooms."""

import numpy as np
import pytest

from pcavs.synth.camera import Camera, random_camera
from pcavs.synth.rooms import room_photograph
from pcavs.types import Picture


@pytest.fixture
def board() -> Picture:
    """A board of light and dark squares."""
    y, x = np.mgrid[0:64, 0:64]
    squares = ((x // 8 + y // 8) % 2 * 160 + 40).astype(np.uint8)
    return np.repeat(squares[..., None], 3, axis=2)


def roughness(picture: Picture) -> float:
    """Mean difference of neighbours."""
    return float(np.abs(np.diff(picture.astype(int), axis=1)).mean())


def test_a_camera_without_faults_changes_nothing(board: Picture) -> None:
    np.testing.assert_array_equal(Camera().photograph(board, np.random.default_rng(0)), board)


def test_softness_and_low_resolution_blur(board: Picture) -> None:
    random = np.random.default_rng(0)
    for camera in (Camera(softness_px=1.5), Camera(resolution=0.5)):
        taken = camera.photograph(board, random)
        assert taken.shape == board.shape
        edges = np.abs(np.diff(taken.astype(int), axis=1)).max()
        assert edges < 0.8 * np.abs(np.diff(board.astype(int), axis=1)).max()


def test_grain_and_compression_roughen_flat_areas(board: Picture) -> None:
    random = np.random.default_rng(0)
    flat = np.full_like(board, 120)
    assert roughness(Camera(grain=5.0).photograph(flat, random)) > 4
    assert (Camera(quality=20).photograph(board, random) != board).mean() > 0.3


def test_half_of_the_cameras_are_good() -> None:
    random = np.random.default_rng(0)
    cameras = [random_camera(random) for _ in range(400)]
    assert 0.4 < np.mean([camera == Camera() for camera in cameras]) < 0.6


def test_rooms_have_light_and_depth_and_repeat_with_their_seed() -> None:
    rooms = [room_photograph(48, np.random.default_rng(seed)) for seed in range(12)]
    np.testing.assert_array_equal(rooms[0], room_photograph(48, np.random.default_rng(0)))
    assert np.median([room.std() for room in rooms]) > 12
    assert 25 < np.median([room.mean() for room in rooms]) < 200
