"""A tiny talker on disk, loud ones in memory, and inputs that take no time."""

import cv2
import numpy as np
import pytest

from helpers.clicks import write_clicks
from helpers.sounds import write_noise
from helpers.talkers import LoudFace, LoudMouth, write_bundle, write_networks
from pcavs.animate.talker import Talker
from pcavs.face.landmarker import FaceLandmarker
from pcavs.media.film import FilmWriter
from pcavs.media.image import read_picture


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle") / "tiny.safetensors")


@pytest.fixture(scope="session")
def tiny_networks(tiny_bundle, tmp_path_factory):
    return write_networks(tiny_bundle, tmp_path_factory.mktemp("networks") / "tiny")


@pytest.fixture(scope="session")
def landmarker():
    return FaceLandmarker()


@pytest.fixture(scope="session")
def loud_mouth(landmarker):
    return Talker(LoudMouth(), landmarker, "loud-mouth", "0" * 64)


@pytest.fixture
def loud_face(landmarker):
    """A paper talker that remembers what it was shown; a fresh one for each test."""
    return Talker(LoudFace(), landmarker, "loud-face", "0" * 64)


@pytest.fixture(scope="session")
def clicks(tmp_path_factory):
    return write_clicks(tmp_path_factory.mktemp("clicks") / "clicks.wav")


@pytest.fixture(scope="session")
def face(composite):
    return composite


@pytest.fixture
def drift(face, tmp_path):
    """A film of eleven frames in which the face drifts sideways."""
    picture = cv2.resize(read_picture(face), (192, 192), interpolation=cv2.INTER_AREA)
    path = tmp_path / "drift.mp4"
    with FilmWriter(path, (192, 192)) as writer:
        for t in range(11):
            writer.write(np.roll(picture, 2 * t, axis=1))
    return path


@pytest.fixture
def make_wav(tmp_path):
    """Noise that swells and fades, of a given length."""

    def make(seconds, name="speech.wav", **facts):
        return write_noise(tmp_path / name, seconds, **facts)

    return make
