"""Camera faults degrade pictures as they say."""

import numpy as np
import pytest

from pcavs.synth.camera_faults import CameraFaults, random_camera_faults
from pcavs.types import Picture


@pytest.fixture
def board() -> Picture:
    """A chessboard."""
    y, x = np.mgrid[0:64, 0:64]
    squares = ((x // 8 + y // 8) % 2 * 160 + 40).astype(np.uint8)
    return np.repeat(squares[..., None], 3, axis=2)


def roughness(picture: Picture) -> float:
    """Returns the mean difference of neighbouring pixels."""
    return float(np.abs(np.diff(picture.astype(int), axis=1)).mean())


def test_the_defaults_change_nothing(board: Picture) -> None:
    np.testing.assert_array_equal(CameraFaults().apply(board, np.random.default_rng(0)), board)


def test_softness_and_low_resolution_blur(board: Picture) -> None:
    random = np.random.default_rng(0)
    for camera in (CameraFaults(softness_px=1.5), CameraFaults(resolution=0.5)):
        taken = camera.apply(board, random)
        assert taken.shape == board.shape
        edges = np.abs(np.diff(taken.astype(int), axis=1)).max()
        assert edges < 0.8 * np.abs(np.diff(board.astype(int), axis=1)).max()


def test_grain_and_compression_roughen_flat_areas(board: Picture) -> None:
    random = np.random.default_rng(0)
    flat = np.full_like(board, 120)
    assert roughness(CameraFaults(grain=5.0).apply(flat, random)) > 4
    assert (CameraFaults(quality=20).apply(board, random) != board).mean() > 0.3


def test_half_of_the_cameras_have_no_faults() -> None:
    random = np.random.default_rng(0)
    cameras = [random_camera_faults(random) for _ in range(400)]
    assert 0.4 < np.mean([camera == CameraFaults() for camera in cameras]) < 0.6
