"""Published checkpoints into films: converted, exported and played, both ways of laying a film out."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

import pcavs
from helpers.release import write_release
from helpers.sounds import write_noise
from helpers.talkers import write_networks
from pcavs import cli
from pcavs.media.video import count_pictures, probe_video, read_frames
from pcavs.spec import SAMPLE_RATE_HZ, TINY_PAPER, TalkerSpec
from pcavs.weights.convert import run as convert
from pcavs.weights.options import ConvertOptions

SAMPLES = 15_555
OFFSETS = {None: 0, "published": 2}


def promised(samples, compat):
    """Frames, in the words of the contract and of the published loop."""
    return (math.ceil(samples / 160) + 7) // 4 - 4 if compat else math.floor(25 * samples / 16_000 + 0.5)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A tiny release in the published layout, converted."""
    folder = tmp_path_factory.mktemp("release")
    write_release(folder / "checkpoints", TINY_PAPER)
    options = ConvertOptions(checkpoints=folder / "checkpoints", out=folder / "talker.safetensors")
    return convert(options, TalkerSpec(kind="paper", paper=TINY_PAPER))


@pytest.fixture(scope="module")
def networks(bundle, tmp_path_factory):
    return write_networks(bundle, tmp_path_factory.mktemp("networks") / "talker")


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    return write_noise(tmp_path_factory.mktemp("speech") / "speech.wav", SAMPLES / SAMPLE_RATE_HZ)


@pytest.mark.parametrize("compat", OFFSETS)
@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_a_converted_talker_makes_films(request, face, speech, drift, runtime, compat):
    weights = request.getfixturevalue("bundle" if runtime == "torch" else "networks")
    talker = pcavs.load(weights)
    assert talker.runtime.description.startswith(runtime)
    film = talker.animate(face, speech, pose=drift, compat=compat)
    assert (film.num_frames, film.offset, film.side_px) == (promised(SAMPLES, compat), OFFSETS[compat], 64)
    path = film.save(drift.with_name("film.mp4"))
    frames = np.stack(list(read_frames(path)))
    assert frames.shape == (film.num_frames, 64, 64, 3)
    assert frames.std(axis=0).max() > 1, "nothing moves"
    assert np.array_equal(next(iter(film.frames)), next(iter(film.frames))), "noise is drawn anew"


def test_runtimes_agree(bundle, networks, face, speech):
    by_torch, by_openvino = (
        np.stack(list(pcavs.load(weights).animate(face, speech, end=0.4).frames)).astype(int)
        for weights in (bundle, networks)
    )
    # OpenVINO may compute in bf16 here; random weights make every pixel a hard edge.
    assert np.abs(by_torch - by_openvino).mean() < 6


def test_the_film_may_be_larger_than_the_face(bundle, face, speech):
    film = pcavs.load(bundle).animate(face, speech, size=96, end=0.2)
    assert next(iter(film.frames)).shape == (96, 96, 3)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_checkpoints_of_the_published_size(shared, face, speech, tmp_path, capsys):
    """The whole way, as a user goes it: four random checkpoints of 600 MB, convert, animate."""
    maker = shared / "oracle" / "make_checkpoint.py"
    if not maker.exists():
        pytest.skip("nothing here writes checkpoints of the published size")
    checkpoints, weights = tmp_path / "checkpoints", tmp_path / "converted.safetensors"
    subprocess.run(
        [sys.executable, maker, "--seed", "5", "--out", checkpoints], check=True, env=os.environ, capture_output=True
    )
    command(["weights", "convert", checkpoints, weights])
    for compat, offset in OFFSETS.items():
        out = tmp_path / f"{compat}.mp4"
        words = ["animate", "--identity", face, "--audio", speech, "--weights", weights, "--out", out, "--json"]
        words += ["--end", "0.2"]
        capsys.readouterr()
        command([*words, *(["--compat", compat] if compat else [])])
        summary = json.loads(capsys.readouterr().out)
        assert (summary["frames"], summary["offset"], summary["size"]) == (promised(3_200, compat), offset, 224)
        assert count_pictures(out) == promised(3_200, compat)
        assert probe_video(out).width_px == 224


def command(words):
    with pytest.raises(SystemExit) as end:
        cli.main([str(word) for word in words])
    assert end.value.code == 0
