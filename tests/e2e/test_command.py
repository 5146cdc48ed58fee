"""`pcavs animate` as programs and people see it when all goes well."""

import json
import sys

import pytest

from pcavs import cli
from pcavs.animate import portrait
from pcavs.face.landmarker import FaceLandmarker


@pytest.fixture
def words(tiny_networks, face, make_wav, tmp_path):
    given = {"identity": face, "audio": make_wav(0.4), "out": tmp_path / "film.mp4", "weights": tiny_networks}
    return ["animate", *(str(word) for name, value in given.items() for word in (f"--{name}", value))]


def run(words, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    said = capsys.readouterr()
    assert end.value.code == 0, said.err
    return said.out, said.err


def test_the_summary_for_programs(words, capsys, tmp_path):
    out, err = run([*words, "--json", "--seed", "3", "--size", "96"], capsys)
    summary = json.loads(out)
    assert err == ""
    assert summary["out"] == str(tmp_path / "film.mp4")
    assert (summary["frames"], summary["seconds"], summary["fps"], summary["offset"]) == (10, 0.4, 25, 0)
    assert (summary["size"], summary["seed"], summary["weights"], summary["notes"]) == (96, 3, "tiny", [])
    assert len(summary["digest"]) == 64
    assert summary["runtime"].startswith("openvino CPU")
    assert summary["took_s"] > 0 < summary["rendered_per_s"]


def test_times_may_be_minutes_and_seconds(words, capsys, make_wav):
    words[words.index("--audio") + 1] = str(make_wav(63.0))
    out, _ = run([*words, "--json", "--size", "32", "--start", "1:02", "--end=1:02.4"], capsys)
    assert json.loads(out)["frames"] == 10


def test_quiet_says_nothing_and_overwrite_replaces(words, capsys, tmp_path):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"old")
    assert run([*words, "--quiet", "--overwrite"], capsys) == ("", "")
    assert film.stat().st_size > 1000


def test_a_terminal_gets_a_bar(words, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    _, err = run([*words, "--overwrite"], capsys)
    assert "rendering" in err
    assert "10/10" in err


@pytest.mark.parametrize("full_frame", [[], ["--full-frame"]])
def test_the_photograph_is_read_and_its_face_found_once(words, capsys, monkeypatch, full_frame):
    """Whole pictures used to be decoded four times and searched for a face twice."""
    reads, searches = [], []
    read, search = portrait.read_picture, FaceLandmarker.search
    monkeypatch.setattr(portrait, "read_picture", lambda *given: reads.append(given) or read(*given))
    monkeypatch.setattr(FaceLandmarker, "search", lambda *given: searches.append(given) or search(*given))
    run([*words, *full_frame], capsys)
    assert (len(reads), len(searches)) == (1, 1)
