"""`pcavs synth`: clips are complete or absent and come with their truth; a second run continues the first."""

import csv
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from pcavs.errors import InputError
from pcavs.media.audio import read_waveform
from pcavs.media.files import write_wav
from pcavs.media.video import read_frames
from pcavs.synth.options import SynthOptions
from pcavs.synth.run import run
from pcavs.types import Picture

CODEC = 6.0
"""Largest mean difference in grey levels: the rendered frames are equal, but x264 may encode small ones differently."""


def largest_difference(one: Iterable[Picture], other: Iterable[Picture]) -> float:
    """Returns the mean difference of the two videos' least similar frames, in grey levels."""
    return max(float(np.abs(a.astype(int) - b).mean()) for a, b in zip(one, other, strict=True))


@pytest.fixture
def heads(toy_path: Path, tmp_path: Path) -> Path:
    """Two copies of the toy head, one of them held out by index.csv."""
    folder = tmp_path / "heads"
    folder.mkdir()
    for name in ("One", "Two"):
        shutil.copy(toy_path, folder / f"{name}.npz")
    (folder / "index.csv").write_text("path,split\navatars/One.glb,train\navatars/Two.glb,val\n")
    return folder


def options(heads: Path, out: Path, **changes: object) -> SynthOptions:
    """Returns options for two short training clips and one validation clip."""
    settings = {"clips": 2, "val_clips": 1, "seconds": 0.8, "size_px": 64, "index": heads / "index.csv"} | changes
    return SynthOptions(avatars=heads, out=out, **settings)


@pytest.mark.usefixtures("device", "espeak")
def test_clips_agree_with_their_truth(heads: Path, tmp_path: Path) -> None:
    key = json.loads(run(options(heads, tmp_path / "out")).read_text())
    assert sorted(key) == ["train/One/0000.mp4", "train/One/0001.mp4", "val/Two/0000.mp4"]
    index = list(csv.DictReader((tmp_path / "out/index.csv").open()))
    assert [(row["path"], row["identity"], row["split"]) for row in index][2] == ("val/Two/0000.mp4", "Two", "val")
    truth = key["train/One/0001.mp4"]
    frames = list(read_frames(tmp_path / "out/train/One/0001.mp4"))
    assert len(frames) == 20 == len(truth["visemes"]) == len(truth["yaw_pitch_roll_deg"])
    assert frames[0].shape == (64, 64, 3)
    assert len(read_waveform(tmp_path / "out/train/One/0001.wav")) == 12_800
    assert truth["phonemes"][-1][2] == pytest.approx(0.8)
    assert not list((tmp_path / "out").rglob("*.part"))


@pytest.mark.usefixtures("device", "espeak")
def test_a_second_run_continues_and_changes_nothing(heads: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(options(heads, out, clips=1, val_clips=0))
    film = out / "train/One/0000.mp4"
    first, written = list(read_frames(film)), film.stat().st_mtime_ns
    run(options(heads, out, clips=2, val_clips=0))
    assert film.stat().st_mtime_ns == written
    film.unlink()
    run(options(heads, out, clips=1, val_clips=0))
    assert largest_difference(first, read_frames(film)) < CODEC


@pytest.mark.usefixtures("device", "espeak")
def test_the_number_of_processes_does_not_change_the_clips(heads: Path, tmp_path: Path) -> None:
    one = json.loads(run(options(heads, tmp_path / "one")).read_text())
    two = json.loads(run(options(heads, tmp_path / "two", workers=2)).read_text())
    assert one == two
    for name in one:
        assert (tmp_path / "one" / name).with_suffix(".wav").read_bytes() == (tmp_path / "two" / name).with_suffix(
            ".wav"
        ).read_bytes()
        assert largest_difference(read_frames(tmp_path / "one" / name), read_frames(tmp_path / "two" / name)) < CODEC


@pytest.mark.usefixtures("device", "espeak")
def test_real_voices_speak_in_their_own_split(heads: Path, tmp_path: Path) -> None:
    write_wav(heads / "hum.wav", np.sin(np.arange(32_000, dtype=np.float32) / 20).astype(np.float32) * 0.3)
    table = heads / "voices.csv"
    table.write_text("path,speaker,split,language,text\nhum.wav,hummer,train,en,\nhum.wav,elder,test,en,\n")
    pytest.importorskip("pocketsphinx")
    key = json.loads(run(options(heads, tmp_path / "out", voices=table, voices_share=1.0)).read_text())
    assert {truth["speech"] for name, truth in key.items() if name.startswith("train")} == {"recording"}
    assert {truth["voice"] for name, truth in key.items() if name.startswith("train")} == {"hummer"}
    assert key["val/Two/0000.mp4"]["speech"] == "espeak"


@pytest.mark.usefixtures("device", "espeak")
def test_heads_of_one_split_are_mixed(heads: Path, tmp_path: Path) -> None:
    shutil.copy(heads / "One.npz", heads / "Three.npz")
    key = json.loads(run(options(heads, tmp_path / "out", clips=6, val_clips=0, blend_with=heads)).read_text())
    people = {truth["avatar"] for truth in key.values()}
    assert people & {"One+Three", "Three+One"}
    assert not any("Two" in person for person in people)


def test_a_length_of_half_frames_is_refused(heads: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"0\.05 s is not a whole number of frames"):
        run(options(heads, tmp_path, seconds=0.05))


def test_a_folder_without_heads_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="convert_avatars"):
        run(SynthOptions(avatars=tmp_path, out=tmp_path))


def test_val_clips_need_held_out_heads(heads: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no val heads"):
        run(options(heads, tmp_path, index=None, clips=0))


def test_an_index_without_its_columns_is_reported(heads: Path, tmp_path: Path) -> None:
    (heads / "index.csv").write_text("file\nx\n")
    with pytest.raises(InputError, match="no column path or split"):
        run(options(heads, tmp_path))
