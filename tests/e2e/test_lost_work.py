"""Nothing that a user has is lost: outputs are no inputs, and two runs with one output each write a whole film."""

import json
import shutil
import subprocess
import sys
import threading

import pytest

from helpers.sounds import write_noise
from pcavs.animate.options import AnimateOptions
from pcavs.animate.run import make_film
from pcavs.animate.talker import no_progress
from pcavs.cli import main
from pcavs.errors import OutputError
from pcavs.media.video import probe_video, read_frames


@pytest.fixture
def settings(face, drift, make_wav, tmp_path):
    """One input of each kind, each a file of its own."""
    photo = shutil.copy(face, tmp_path / "photo.jpg")
    timeline = {"format": "pcavs-pose-1", "segments": [{"kind": "video", "path": "drift.mp4"}]}
    (tmp_path / "pose.json").write_text(json.dumps(timeline))
    chooser = shutil.copy(face, tmp_path / "chooser.jpg")
    reference = shutil.copy(face, tmp_path / "reference.jpg")
    return {
        "identity": photo,
        "audio": make_wav(0.3),
        "pose": tmp_path / "pose.json",
        "references": (reference,),
        "face": str(chooser),
        "size": 32,
        "overwrite": True,
    }


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("photo.jpg", "the picture of the person"),
        ("speech.wav", "the driving audio"),
        ("pose.json", "the pose source"),
        ("drift.mp4", "drift.mp4, which the pose source reads,"),
        ("reference.jpg", "one of the references"),
        ("chooser.jpg", "the picture that chooses a face"),
    ],
)
def test_no_input_is_replaced(loud_mouth, settings, tmp_path, name, what):
    before = (tmp_path / name).read_bytes()
    (tmp_path / "link.mp4").symlink_to(name)
    for out in (tmp_path / name, tmp_path / "link.mp4"):
        for places in ({"out": out}, {"out": tmp_path / "film.mp4", "report": out}):
            with pytest.raises(OutputError, match=f"{what} itself; choose another name"):
                make_film(loud_mouth, AnimateOptions(**settings, **places), no_progress)
    assert (tmp_path / name).read_bytes() == before


def test_a_saved_film_replaces_no_input_either(loud_mouth, settings, tmp_path):
    film = loud_mouth.animate(settings["identity"], settings["audio"], size=32)
    with pytest.raises(OutputError, match="is the picture of the person itself"):
        film.save(tmp_path / "photo.jpg", overwrite=True)


def test_the_preview_and_the_weights_count_too(loud_mouth, settings, tiny_networks, tmp_path):
    shutil.copy(settings["identity"], tmp_path / "film.preview.png")
    options = settings | {"identity": tmp_path / "film.preview.png", "out": tmp_path / "film.mp4", "preview": True}
    with pytest.raises(OutputError, match=r"film.preview.png is the picture of the person itself"):
        make_film(loud_mouth, AnimateOptions(**options), no_progress)
    options = settings | {"weights": tiny_networks, "out": tiny_networks / "generator.bin"}
    with pytest.raises(OutputError, match="generator.bin is a file of the weights itself"):
        make_film(loud_mouth, AnimateOptions(**options), no_progress)


@pytest.mark.parametrize(
    "words",
    [
        ["pose", "extract", "drift.mp4", "drift.mp4"],
        ["pose", "extract", "drift.mp4", "new.npz", "--report", "drift.mp4"],
        ["pose", "plot", "drift.mp4", "drift.mp4"],
        ["pose", "plot", "pose.json", "drift.mp4"],
        ["pose", "preview", "drift.mp4", "drift.mp4"],
        ["pose", "preview", "still", "speech.wav", "--audio", "speech.wav"],
        ["adapt", "--video", "drift.mp4", "--out", "drift.mp4"],
        ["batch", "jobs.csv", "--journal", "jobs.csv"],
    ],
)
def test_other_commands_replace_no_input(settings, tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.csv").write_text("identity,out\na.jpg,b.mp4\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    words += ["--overwrite"] if words[0] != "batch" else []
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 1
    assert "itself; choose another name\n" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_exported_networks_do_not_replace_the_folder_of_their_bundle(tiny_bundle, tiny_networks, tmp_path, capsys):
    folder = shutil.copytree(tiny_networks, tmp_path / "networks")
    shutil.copy(tiny_bundle, folder / "tiny.safetensors")
    with pytest.raises(SystemExit):
        main(["weights", "export", str(folder / "tiny.safetensors"), "--out", str(folder), "--overwrite"])
    assert "holds the bundle tiny.safetensors, and would be replaced" in capsys.readouterr().err
    assert (folder / "tiny.safetensors").is_file()


def test_two_threads_that_write_one_film_leave_a_whole_one(loud_mouth, settings, tmp_path):
    options = AnimateOptions(
        identity=settings["identity"], audio=settings["audio"], out=tmp_path / "film.mp4", size=32, overwrite=True
    )
    frames = []
    threads = [
        threading.Thread(target=lambda: frames.append(make_film(loud_mouth, options, no_progress).frames))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert frames == [8, 8]
    assert len(list(read_frames(options.out))) == 8
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.slow
def test_two_commands_that_write_one_film_leave_a_whole_one(tiny_networks, face, tmp_path):
    audio, out = write_noise(tmp_path / "speech.wav", 2), tmp_path / "film.mp4"
    words = ["--identity", face, "--audio", audio, "--weights", tiny_networks, "--out", out]
    command = [sys.executable, "-m", "pcavs", "animate", *map(str, words)]
    runs = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [run.communicate()[1] for run in runs]
    codes = sorted(run.returncode for run in runs)
    assert codes in ([0, 0], [0, 1]), errors
    if codes == [0, 1]:
        assert any("film.mp4 was written by another run in the meantime" in error for error in errors)
    assert probe_video(out).num_frames == 50
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "speech.wav"]
