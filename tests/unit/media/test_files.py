"""Files appear complete or not at all."""

import io
import wave

import numpy as np
import pytest

from pcavs.errors import OutputError
from pcavs.media.files import atomic_file, wav_bytes, write_json, write_tensors, write_text, write_wav


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
    with pytest.raises(OutputError, match="cannot be written .*; choose another place"):
        write(tmp_path / "file" / "a")


@pytest.mark.parametrize("samples", [np.array([0.0, 1.0, -1.0, 2.0]), np.array([0, 32767, -32767, 32767], np.int16)])
def test_levels_of_a_wav_file(tmp_path, samples):
    write_wav(tmp_path / "a.wav", samples, 8000)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        assert np.frombuffer(file.readframes(9), "<i2").tolist() == [0, 32767, -32767, 32767]


def test_a_wav_file_in_memory_is_the_same():
    with wave.open(io.BytesIO(wav_bytes(np.array([0.5])))) as file:
        assert np.frombuffer(file.readframes(9), "<i2").tolist() == [16384]
