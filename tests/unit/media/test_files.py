"""Files appear complete or not at all."""

import io
import os
import wave
from pathlib import Path

import numpy as np
import pytest

from pcavs.errors import OutputError
from pcavs.media.files import (
    atomic_file,
    atomic_folder,
    refuse_replacing,
    wav_bytes,
    write_json,
    write_tensors,
    write_text,
    write_wav,
)


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_half():
        with atomic_file(path) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert (path.read_text(), leftovers(tmp_path)) == ("old", ["a.txt"])


def test_a_file_that_exists_is_kept_unless_overwriting_is_allowed(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(OutputError, match="exists already; choose another name or add --overwrite"):
        write_json(path, {"a": 2}, overwrite=False)
    write_json(path, {"a": 2})
    assert path.read_text() == '{\n "a": 2\n}\n'


@pytest.mark.parametrize("write", [lambda p: write_text(p, "x"), lambda p: write_tensors(p, {}, {})])
def test_a_place_that_cannot_be_written_is_named(tmp_path, write):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written.*; .*choose another"):
        write(tmp_path / "file" / "a")


def test_tensors_are_readable_as_the_umask_says(tmp_path):
    """The library makes files for their owner alone, which a group that shares packs could not read."""
    before = os.umask(0o027)
    try:
        write_tensors(tmp_path / "a.safetensors", {"a": np.zeros(2)}, {})
    finally:
        os.umask(before)
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("samples", [np.array([0.0, 1.0, -1.0, 2.0]), np.array([0, 32767, -32767, 32767], np.int16)])
def test_levels_of_a_wav_file(tmp_path, samples):
    write_wav(tmp_path / "a.wav", samples, 8000)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        assert np.frombuffer(file.readframes(9), "<i2").tolist() == [0, 32767, -32767, 32767]


def test_a_wav_file_in_memory_is_the_same():
    with wave.open(io.BytesIO(wav_bytes(np.array([0.5])))) as file:
        assert np.frombuffer(file.readframes(9), "<i2").tolist() == [16384]


def test_two_writers_of_one_file_use_their_own_temporary_files(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_file(path) as one, atomic_file(path) as two:
        assert one != two
        one.write_text("one, complete")
        two.write_text("two")
    assert (path.read_text(), leftovers(tmp_path)) == ("one, complete", ["a.txt"])  # the outer one ends last


def test_the_second_of_two_writers_is_refused_if_it_must_not_replace(tmp_path):
    path = tmp_path / "a.txt"

    def write_slowly():
        with atomic_file(path, overwrite=False) as part:
            part.write_text("slow")
            write_text(path, "quick", overwrite=False)

    with pytest.raises(OutputError, match="a.txt was written by another run in the meantime"):
        write_slowly()
    assert (path.read_text(), leftovers(tmp_path)) == ("quick", ["a.txt"])


def test_two_writers_of_one_folder_each_leave_a_complete_one(tmp_path):
    path = tmp_path / "networks"
    path.mkdir()
    (path / "old").touch()
    with atomic_folder(path) as one, atomic_folder(path) as two:
        (one / "one").touch()
        (two / "two").touch()
    assert (leftovers(path), leftovers(tmp_path)) == (["one"], ["networks"])

    def fail():
        with atomic_folder(path):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (leftovers(path), leftovers(tmp_path)) == (["one"], ["networks"])


def test_a_long_name_leaves_room_for_the_temporary_ending(tmp_path):
    path = tmp_path / ("é" * 120 + ".json")
    write_json(path, 1)
    assert leftovers(tmp_path) == [path.name]


def test_a_symbolic_link_is_written_through(tmp_path):
    target, link = tmp_path / "elsewhere.txt", tmp_path / "a.txt"
    link.symlink_to("elsewhere.txt")
    for text in ("made", "replaced"):
        write_text(link, text)
        assert (link.is_symlink(), target.read_text()) == (True, text)
    assert leftovers(tmp_path) == ["a.txt", "elsewhere.txt"]


def test_what_is_no_file_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    Path("loop").symlink_to("loop")
    for name, message in {
        "/dev/null": "/dev/null is a device or pipe, not a file; give a file name",
        "fifo": "fifo is a device or pipe, not a file; give a file name",
        "-": "- is no file, and results are not written to standard output; give a file name",
        "": ". is a folder; give a file name, such as talk.mp4",
        ".": ". is a folder; give a file name, such as talk.mp4",
        "/": "/ is a folder; give a file name, such as /talk.mp4",
        "none/a": "none/a cannot be written: none is not a folder; make it or choose another",
        "fifo/a": "fifo/a cannot be written: fifo is not a folder; make it or choose another",
        "a\0b": "'a\\x00b' is not a valid file name; choose another",
        "n" * 300: f"{'n' * 300} cannot be written (File name too long); choose another place",
        "loop": "loop cannot be written (Too many levels of symbolic links); choose another place",
    }.items():
        with pytest.raises(OutputError) as caught:
            write_text(Path(name), "x")
        assert str(caught.value) == message
    assert leftovers(tmp_path) == ["fifo", "loop"]


def test_outputs_may_not_be_inputs_however_they_are_spelled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = Path("photo.jpg")
    photo.touch()
    Path("symbolic").symlink_to(photo)
    os.link(photo, "hard")
    Path("folder").mkdir()
    inputs = [("the photograph", photo), ("the audio", None), ("a preset", Path("still"))]
    for name in ("photo.jpg", "./photo.jpg", "folder/../photo.jpg", str(tmp_path / "photo.jpg"), "symbolic", "hard"):
        with pytest.raises(OutputError, match=r"is the photograph itself; choose another name"):
            refuse_replacing([None, Path("new"), Path(name)], inputs)
    with pytest.raises(OutputError, match="new is another output itself"):
        refuse_replacing([Path("new"), Path("folder/../new")], [])
    refuse_replacing([Path("new"), Path("folder/photo.jpg")], inputs)
