"""A tiny talker on disk, a loud one in memory, and inputs that take no time."""

import pytest

from helpers.sounds import write_noise
from helpers.talkers import LoudMouth, write_bundle, write_networks
from pcavs.animate.animator import Animator
from pcavs.face.landmarker import FaceLandmarker


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle") / "tiny.safetensors")


@pytest.fixture(scope="session")
def tiny_networks(tiny_bundle, tmp_path_factory):
    return write_networks(tiny_bundle, tmp_path_factory.mktemp("networks") / "tiny")


@pytest.fixture(scope="session")
def loud_mouth():
    return Animator(LoudMouth(), FaceLandmarker(), "loud-mouth", "0" * 64)


@pytest.fixture(scope="session")
def face(examples):
    return examples / "face.jpg"


@pytest.fixture
def make_wav(tmp_path):
    """Noise that swells and fades, of a given length."""

    def make(seconds, name="speech.wav", **facts):
        return write_noise(tmp_path / name, seconds, **facts)

    return make
