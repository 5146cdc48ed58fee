"""The scripts of examples/ run on the shipped inputs and write what they announce."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import pcavs
from pcavs.animate.talker import Talker
from pcavs.media.video import count_pictures

SECONDS = 0.4
FRAMES = 10


@pytest.fixture(scope="module")
def talker() -> Talker:
    return pcavs.load()


@pytest.fixture
def run(root: Path, talker: Talker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a script as `python examples/NAME.py FOLDER SECONDS` would, with a talker that is loaded once."""
    monkeypatch.setattr(pcavs, "load", lambda: talker)

    def run(name: str) -> Path:
        monkeypatch.setattr(sys, "argv", [name, str(tmp_path / "new"), str(SECONDS)])
        runpy.run_path(str(root / "examples" / name), run_name="__main__")
        return tmp_path / "new"

    return run


def count_frames(film: Path) -> int:
    return count_pictures(film, 0.0, None)


def test_film(run):
    assert count_frames(run("film.py") / "film.mp4") == FRAMES


def test_frames(run):
    frames = np.load(run("frames.py") / "frames.npy")
    assert frames.shape == (FRAMES, 128, 128, 3)
    assert frames.dtype == np.uint8
    assert frames.std() > 10


def test_many_films(run):
    folder = run("many_films.py")
    assert {path.name: count_frames(path) for path in folder.iterdir()} == dict.fromkeys(
        ("preset.mp4", "held.mp4", "video.mp4"), FRAMES
    )


def test_timeline(run, capsys):
    folder = run("timeline.py")
    assert json.loads((folder / "timeline.json").read_text())["format"] == "pcavs-pose-1"
    assert count_frames(folder / "timeline.mp4") == FRAMES
    assert "yaw: [" in capsys.readouterr().out


def test_dub(run):
    folder = run("dub.py")
    assert count_frames(folder / "person.mp4") == count_frames(folder / "dubbed.mp4") == FRAMES


def test_every_script_is_short_and_documented(root: Path):
    scripts = sorted(path.name for path in (root / "examples").glob("*.py") if path.name != "gradio_app.py")
    assert scripts == ["dub.py", "film.py", "frames.py", "many_films.py", "timeline.py"]
    page = (root / "docs" / "python-api.md").read_text()
    for name in scripts:
        assert len((root / "examples" / name).read_text().splitlines()) < 40
        assert f"examples/{name}" in page
    assert len((root / "examples" / "gradio_app.py").read_text().splitlines()) <= 60
    assert "examples/gradio_app.py" in page
