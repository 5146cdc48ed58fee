"""What users give by mistake: one line that says what was found, exit code 1, and nothing left behind."""

import functools
import os
import shutil
import struct
import zlib

import cv2
import numpy as np
import pytest

from helpers.sounds import write_noise, write_wav
from pcavs.animate import load
from pcavs.animate import run as animate_run
from pcavs.cli import main
from pcavs.media.image import read_picture

_load_once = functools.cache(load.load_talker)
"""Networks take seconds to compile; what fails to load is not kept."""


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "out"
    place.mkdir()
    return place


@pytest.fixture
def animate(tiny_networks, face, folder, monkeypatch, tmp_path, capsys):
    """Runs the command in this process: exit code, what went to stdout, lines on stderr."""
    monkeypatch.setattr(animate_run, "load_talker", _load_once)
    speech = write_noise(tmp_path / "good.wav", 0.4)

    def run(**given):
        settings = {"identity": face, "audio": speech, "out": folder / "film.mp4", "weights": tiny_networks} | given
        words = [word for name, value in settings.items() for word in (f"--{name}", str(value)) if value is not None]
        with pytest.raises(SystemExit) as end:
            main(["animate", *words])
        said = capsys.readouterr()
        return end.value.code, said.out, said.err.splitlines()

    return run


@pytest.fixture
def refused(animate, folder):
    """Runs the command, which must fail as promised; gives the line."""

    def run(**given):
        code, out, lines = animate(**given)
        assert code == 1
        assert out == ""
        errors = [line for line in lines if line.startswith("pcavs: error: ")]
        assert len(errors) == 1, lines
        assert lines[-1] == errors[0]
        assert list(folder.iterdir()) == [], "something was left behind"
        return errors[0]

    return run


def write_picture(path, picture):
    cv2.imwrite(str(path), picture[:, :, ::-1])
    return path


def test_good_input_is_taken(animate, folder):
    code, out, lines = animate()
    assert code == 0, lines
    assert "10 frames, 0.40 s at 25 fps" in out
    assert "offset 0" in out
    assert [file.name for file in folder.iterdir()] == ["film.mp4"]


def test_a_picture_without_a_face(refused, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3)).astype(np.uint8)
    line = refused(identity=write_picture(tmp_path / "wall.png", noise))
    assert "no face in wall.png" in line


def test_a_pose_source_without_a_face(refused, face, tmp_path):
    line = refused(pose=write_picture(tmp_path / "wall.png", np.full((64, 64, 3), 90, np.uint8)))
    assert "no face in wall.png" in line


def test_two_faces_take_the_largest_central_one_and_say_so(animate, face, folder, tmp_path):
    picture = read_picture(face)
    small = cv2.resize(picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    both = np.full((picture.shape[0], picture.shape[1] + small.shape[1], 3), 128, np.uint8)
    both[:, : picture.shape[1]] = picture
    both[-small.shape[0] :, picture.shape[1] :] = small
    code, _, lines = animate(identity=write_picture(tmp_path / "both.png", both))
    assert code == 0
    assert [line for line in lines if "2 faces; the largest central one is taken" in line] == lines
    assert (folder / "film.mp4").exists()


@pytest.mark.parametrize("setting", ["identity", "audio", "pose"])
def test_an_empty_file(refused, tmp_path, setting):
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert "empty.mp4 is empty (0 bytes)" in refused(**{setting: empty})


@pytest.mark.parametrize("setting", ["identity", "audio", "pose"])
def test_a_text_file_named_mp4(refused, tmp_path, setting):
    text = tmp_path / "notes.mp4"
    text.write_text("Dear diary, today I learnt what a container is.\n" * 40)
    assert "notes.mp4" in refused(**{setting: text})


@pytest.mark.parametrize("setting", ["identity", "audio", "pose", "weights"])
def test_a_missing_file(refused, tmp_path, setting):
    assert "nothing.here" in refused(**{setting: tmp_path / "nothing.here"})


def test_speech_of_a_twentieth_of_a_second(refused, tmp_path):
    line = refused(audio=write_noise(tmp_path / "click.wav", 0.05))
    assert "0.05 s of sound" in line
    assert "0.2 s is needed" in line


def test_silence_makes_a_film_and_is_mentioned(animate, folder, tmp_path):
    code, _, lines = animate(audio=write_wav(tmp_path / "silence.wav", np.zeros(8000)))
    assert code == 0
    assert len(lines) == 1
    assert "silent; the mouth will follow silence" in lines[0]
    assert (folder / "film.mp4").exists()


def test_sound_without_sound(refused, face):
    assert "composite.jpg" in refused(audio=face)


def test_a_picture_of_20000_by_20000(refused, tmp_path):
    """A bomb: 1.2 GB decoded from a file of a megabyte; refused by its header alone."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(60_001)) for _ in range(20_000)) + packer.flush()
    bomb = tmp_path / "huge.png"
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    line = refused(identity=bomb)
    assert "20000 x 20000" in line
    assert "save it smaller" in line


def test_a_damaged_picture(refused, face, tmp_path):
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(300))
    assert "torn.png" in refused(identity=torn)


@pytest.mark.parametrize("place", ["nowhere/film.mp4", ".", "good.wav/film.mp4"])
def test_an_output_that_cannot_be(refused, tmp_path, place):
    refused(out=tmp_path / place)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder in which nobody can write")  # noqa: PTH112
def test_an_unwritable_output(refused):
    assert "cannot be written" in refused(out="/proc/film.mp4")


def test_a_film_that_is_there_is_kept(animate, folder):
    film = folder / "film.mp4"
    film.write_bytes(b"precious")
    code, _, lines = animate()
    assert code == 1
    assert "exists already" in lines[0]
    assert film.read_bytes() == b"precious"


def test_speech_with_a_start_beyond_its_end(refused):
    assert "0.00 s of sound from 9 s on" in refused(start=9)


def test_a_range_that_runs_backwards(refused):
    assert "not after the start" in refused(start=0.3, end=0.1)


@pytest.mark.parametrize("size", [0, 33, 30_000])
def test_a_size_that_no_film_has(refused, size):
    assert f"a size of {size} cannot be used" in refused(size=size)


def test_damaged_weights(refused, tiny_networks, tmp_path):
    copy = shutil.copytree(tiny_networks, tmp_path / "torn")
    data = bytearray((copy / "generator.bin").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / "generator.bin").write_bytes(data)
    assert "generator.bin is damaged" in refused(weights=copy)
    (copy / "generator.bin").unlink()
    assert "has no generator.bin" in refused(weights=copy)


def test_weights_that_are_no_weights(refused, face):
    assert "not a whole safetensors file" in refused(weights=face)
