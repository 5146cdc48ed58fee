"""A toy head in the converter's format, and fixtures that skip tests where a machine lacks EGL or eSpeak NG."""

import ctypes.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from pcavs.errors import InputError
from pcavs.synth.avatars import Avatar, load_avatar
from pcavs.synth.render import HeadRenderer

SIDE = 12
"""The toy face is a sheet of SIDE x SIDE vertices, bent towards the viewer in its middle."""


def _sheet() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    v, u = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    x, y = (u - 0.5) * 0.2, (0.5 - v) * 0.26
    z = 0.1 - 4.0 * (x**2 + y**2)
    positions = np.stack([x, y + 1.6, z], axis=-1).reshape(-1, 3)
    normals = np.stack([8 * x, 8 * y, np.ones_like(x)], axis=-1).reshape(-1, 3)
    uvs = np.stack([u, v], axis=-1).reshape(-1, 2)
    return positions, normals / np.linalg.norm(normals, axis=1, keepdims=True), uvs


def _triangles() -> np.ndarray:
    corner = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    a, b, c, d = corner[:-1, :-1].ravel(), corner[:-1, 1:].ravel(), corner[1:, :-1].ravel(), corner[1:, 1:].ravel()
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


def _skin() -> np.ndarray:
    picture = np.full((64, 64, 3), (150, 170, 210), np.uint8)
    cv2.circle(picture, (20, 24), 5, (30, 30, 30), -1)
    cv2.circle(picture, (44, 24), 5, (30, 30, 30), -1)
    cv2.rectangle(picture, (22, 44), (42, 48), (40, 40, 160), -1)
    return cv2.imencode(".png", picture)[1]


@pytest.fixture(scope="session")
def toy_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as scripts/convert_avatars.py writes it: a bent sheet with a mouth that the morph AE_AA lowers."""
    positions, normals, uvs = _sheet()
    bones = np.zeros((len(positions), 5), np.float32)
    bones[:, 2] = 1.0
    lips = np.flatnonzero((np.abs(positions[:, 0]) < 0.05) & (positions[:, 1] < 1.55))
    path = tmp_path_factory.mktemp("heads") / "Toy.npz"
    np.savez(
        path,
        positions=positions.astype(np.float32),
        normals=normals.astype(np.float32),
        uvs=uvs.astype(np.float32),
        bones=bones,
        parts=np.zeros(len(positions), np.uint8),
        triangles=_triangles().astype(np.uint32),
        triangle_textures=np.zeros(len(_triangles()), np.uint8),
        morph_names=np.array(["AE_AA", "t_AE_AA"]),
        morph_starts=np.array([0, len(lips), len(lips)]),
        morph_vertices=lips.astype(np.uint32),
        morph_deltas=np.tile(np.array([0, -0.03, 0], np.float32), (len(lips), 1)),
        morph_normals=np.zeros((len(lips), 3), np.float16),
        texture_0=_skin(),
        pivot_neck=np.array([0, 1.45, 0.0], np.float32),
        pivot_head=np.array([0, 1.55, 0.0], np.float32),
        pivot_left_eye=np.array([0.03, 1.63, 0.08], np.float32),
        pivot_right_eye=np.array([-0.03, 1.63, 0.08], np.float32),
    )
    return path


@pytest.fixture(scope="session")
def toy(toy_path: Path) -> Avatar:
    """The toy head."""
    return load_avatar(toy_path)


@pytest.fixture(scope="session")
def device(toy: Avatar) -> None:
    """Skips where there is no offscreen OpenGL."""
    pytest.importorskip("moderngl")
    try:
        HeadRenderer(toy, 32).close()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def espeak() -> None:
    """Skips where eSpeak NG is not installed."""
    if ctypes.util.find_library("espeak-ng") is None:
        pytest.skip("eSpeak NG is not installed: apt install espeak-ng")
