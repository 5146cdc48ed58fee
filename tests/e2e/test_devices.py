"""Which runtime is chosen, and what is said where it cannot be had."""

import shutil
import sys

import numpy as np
import pytest

import pcavs
from pcavs.errors import InputError, WeightsError
from pcavs.media.video import read_frames


@pytest.fixture
def no_torch(monkeypatch):
    """As in the base install: nothing that imports torch has been imported either."""
    rooms = ("pcavs.models.", "pcavs.runtime.torch")
    for name in [name for name in sys.modules if name.startswith(rooms)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)


@pytest.fixture
def alone(tiny_bundle, tmp_path):
    """A bundle without its networks beside it."""
    return shutil.copy(tiny_bundle, tmp_path / "tiny.safetensors")


def test_networks_run_in_openvino(tiny_networks):
    assert pcavs.load(tiny_networks, "cpu").runtime.description.startswith("openvino CPU ")
    assert pcavs.load(str(tiny_networks)).name == "tiny"


def test_a_bundle_alone_runs_in_torch(alone):
    assert pcavs.load(alone, "cpu").runtime.description == "torch cpu f32"


@pytest.mark.usefixtures("no_torch")
def test_a_bundle_alone_without_torch(alone):
    message = r'tiny\.safetensors without exported networks beside it needs torch; run pip install "pcavs\[train\]"'
    with pytest.raises(InputError, match=message):
        pcavs.load(alone)


@pytest.mark.usefixtures("no_torch")
def test_cuda_without_torch(alone):
    with pytest.raises(InputError, match=r'--device cuda needs torch; run pip install "pcavs\[train\]"'):
        pcavs.load(alone, "cuda")


def test_cuda_without_a_device(alone):
    import torch

    if torch.cuda.is_available():
        assert pcavs.load(alone, "cuda").runtime.description == "torch cuda f32"
        return
    with pytest.raises(InputError, match="torch finds no CUDA device"):
        pcavs.load(alone, "cuda")


def test_networks_alone_do_not_run_on_cuda(tiny_networks):
    with pytest.raises(InputError, match="holds networks for the cpu only; give the bundle to use cuda"):
        pcavs.load(tiny_networks, "cuda")


def test_no_weights(tmp_path):
    with pytest.raises(WeightsError, match="no weights at"):
        pcavs.load(tmp_path / "none.safetensors")


def test_identity_and_pose_may_be_a_film_or_a_picture(loud_mouth, face, examples, make_wav):
    """One path for one kind of input: a picture is a film of one frame."""
    audio = make_wav(0.2)
    film = loud_mouth.animate(examples / "pose.mp4", audio, pose=face, size=64)
    assert not np.ptp(film.controls.poses, axis=0).any(), "a picture's pose is held"
    assert film.num_frames == len(list(film.frames)) == 5
    first = next(read_frames(examples / "pose.mp4"))
    assert film.identity.picture.mean() == pytest.approx(first.mean(), abs=60)
    assert not np.array_equal(film.identity.picture, loud_mouth.animate(face, audio, size=64).identity.picture)


def test_a_film_larger_than_the_photo_says_that_it_is_enlarged(loud_mouth, face, make_wav):
    audio = make_wav(0.2)
    small, large = (loud_mouth.animate(face, audio, size=size) for size in (64, 2048))
    assert small.notes == ()
    assert "of what the film shows in 2048: enlarged" in large.notes[0]
