"""From files to shards to packs: what is kept, what is rejected and why, and how an interrupted run goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from pcavs.data.library import Library
from pcavs.data.pack import read_pack
from pcavs.data.shard import decode_picture, read_shard
from pcavs.errors import DataError, InputError, OutputError
from pcavs.face.align import three_points
from pcavs.face.pose import pose_code
from pcavs.media.audio import read_waveform
from pcavs.media.mel import padded_mel
from pcavs.prepare import run as prepare
from pcavs.prepare import worker
from pcavs.prepare.clip import find_sources
from pcavs.prepare.options import PackOptions, PrepareOptions
from pcavs.spec import CropSpec, MelSpec


@pytest.fixture(scope="module")
def folder(photo, write_film, tmp_path_factory) -> Path:
    """Ann speaks, Bob is a picture, and five files cannot be used."""
    place = tmp_path_factory.mktemp("sources")
    write_film(place / "ann" / "talk.mp4")
    (place / "bob").mkdir()
    shutil.copyfile(photo, place / "bob" / "look.jpg")
    write_film(place / "cut" / "short.mp4", frames=6)
    write_film(place / "cut" / "hidden.mp4", frames=20, hidden=8)
    write_film(place / "cut" / "tiny.mp4", side=48)
    (place / "cut" / "text.mp4").write_text("not a film")
    cv2.imwrite(str(place / "cut" / "grey.png"), np.full((200, 200, 3), 128, np.uint8))
    (place / "cut" / "notes.txt").write_text("is no source")
    return place


@pytest.fixture(scope="module")
def prepared(folder: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("shards")
    counts = prepare.run(PrepareOptions(source=folder, out=out, turned=3, workers=1))
    assert counts == prepare.Counts(2, 5)
    return out


def ledger(out: Path) -> dict[str, dict[str, object]]:
    rows = [json.loads(line) for path in sorted(out.glob("*.jsonl")) for line in path.read_text().splitlines()]
    return {str(row["file"]): row for row in rows}


def test_every_file_has_a_row_and_a_rejected_one_says_why(prepared: Path):
    rows = ledger(prepared)
    assert {name for name, row in rows.items() if row["kept"]} == {"talk.mp4", "look.jpg"}
    assert (rows["talk.mp4"]["frames"], rows["look.jpg"]["frames"]) == (12, 3)
    reasons = {name: str(row["reason"]) for name, row in rows.items() if not row["kept"]}
    assert reasons["short.mp4"] == "length: 6 frames, 10 are needed"
    assert reasons["hidden.mp4"] == "face found: in 60% of the frames, 90% are needed"
    assert "px from brow to chin, 40 are needed" in reasons["tiny.mp4"] or "face" in reasons["tiny.mp4"]
    assert "text.mp4" in reasons["text.mp4"]
    assert "no face" in reasons["grey.png"]
    assert not any("\n" in reason or reason.startswith("fault") for reason in reasons.values())


def test_clips_are_aligned_and_labelled(prepared: Path):
    film, picture = read_shard(prepared / "shard-0000.tar")
    assert (film.key, film.facts["speaker"], film.side_px) == ("ann-talk", "ann", 256)
    assert (picture.key, picture.facts["speaker"], picture.facts["turned"]) == ("bob-look", "bob", True)
    assert decode_picture(film.jpegs[0]).shape == (256, 256, 3)
    template = np.array([CropSpec().left_eye, CropSpec().right_eye, CropSpec().mouth]) * 256 - 0.5
    np.testing.assert_allclose(three_points(film.mesh).mean(axis=0), template, atol=8)
    # The head sways inside the crop: one transform a clip leaves its motion in.
    assert np.ptp(film.mesh[:, 1, 0]) > 5


def test_sound_is_the_files_own(prepared: Path, folder: Path):
    film, picture = read_shard(prepared / "shard-0000.tar")
    assert picture.waveform is None
    wanted = read_waveform(folder / "ann" / "talk.mp4")
    np.testing.assert_allclose(film.waveform, wanted.clip(-1, 1), atol=1e-4)


def test_packs_hold_what_training_reads(prepared: Path, tmp_path: Path):
    (path,) = prepare.pack(PackOptions(shards=(prepared,), out=tmp_path, frame_px=64))
    library = Library.load([path], next(read_shard(prepared / "shard-0000.tar")).facts["split"])
    aligned = {clip.key: clip for clip in read_shard(prepared / "shard-0000.tar")}
    for clip in library.clips:
        source = aligned[clip.key]
        np.testing.assert_allclose(clip.mesh[:, :, :2], (source.mesh[:, :, :2] + 0.5) / 256, atol=1e-3)
        np.testing.assert_allclose(clip.pose, pose_code(source.mesh, 256), atol=1e-5)
        small = cv2.resize(decode_picture(source.jpegs[1]), (64, 64), interpolation=cv2.INTER_AREA)
        assert np.abs(decode_picture(clip.jpegs[1]).astype(int) - small).mean() < 4
        assert (clip.mel is None) == (source.waveform is None)
        if clip.mel is not None:
            mel = padded_mel(source.waveform, len(source.jpegs), MelSpec())
            np.testing.assert_allclose(clip.mel, mel, atol=1e-3)


def test_one_clip_in_so_many_is_packed(prepared: Path, tmp_path: Path):
    (path,) = prepare.pack(PackOptions(shards=(prepared / "shard-0000.tar",), out=tmp_path, frame_px=64, every=2))
    assert [clip.key for clip in read_pack(path)] == ["ann-talk"]


def test_no_shards_are_one_line(tmp_path: Path):
    with pytest.raises(DataError, match="no shards in .*; `pcavs prepare` makes them"):
        prepare.pack(PackOptions(shards=(tmp_path,), out=tmp_path / "packs"))


def test_a_whole_shard_is_not_made_again(prepared: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    before = (prepared / "shard-0000.tar").stat().st_mtime_ns
    monkeypatch.setattr(prepare, "try_clip", lambda *_: pytest.fail("prepared again"))
    options = PrepareOptions(source=folder, out=prepared, turned=3, workers=1)
    assert prepare.run(options) == prepare.Counts(0, 0)
    assert (prepared / "shard-0000.tar").stat().st_mtime_ns == before


def test_only_missing_shards_are_made(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prepare, "SHARD_CLIPS", 3)
    monkeypatch.setattr(prepare, "try_clip", lambda source, _: f"seen {source.key}")
    options = PrepareOptions(source=folder, out=tmp_path, workers=1)
    assert prepare.run(options) == prepare.Counts(0, 7)
    (tmp_path / "shard-0001.tar").unlink()
    assert prepare.run(options) == prepare.Counts(0, 3)
    assert [path.name for path in sorted(tmp_path.glob("*.tar"))] == [f"shard-000{n}.tar" for n in range(3)]


def test_killed_within_a_shard_it_starts_that_shard_anew(folder: Path, tmp_path: Path):
    code = (
        "import sys; from pathlib import Path\nfrom pcavs.prepare import run as prepare\n"
        "from pcavs.prepare.options import PrepareOptions\nimport time\n"
        "tried = prepare.try_clip\n"
        "def slow(source, options):\n"
        "    if source.path.name != 'talk.mp4':\n        time.sleep(60)\n"
        "    return tried(source, options)\n"
        "prepare.try_clip = slow\n"
        "prepare.run(PrepareOptions(source=Path(sys.argv[1]), out=Path(sys.argv[2]), turned=1, workers=1))\n"
    )
    part = tmp_path / "shard-0000.tar.part"
    process = subprocess.Popen([sys.executable, "-c", code, str(folder), str(tmp_path)])
    try:
        until = time.monotonic() + 120
        while not (part.exists() and part.stat().st_size > 0) and time.monotonic() < until:
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert part.exists()
    assert not (tmp_path / "shard-0000.tar").exists()
    options = PrepareOptions(source=folder / "bob", out=tmp_path, turned=1, workers=1)
    assert prepare.run(options) == prepare.Counts(1, 0)
    assert not part.exists()
    assert len(list(read_shard(tmp_path / "shard-0000.tar"))) == 1


def test_a_fault_in_one_file_ends_no_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(source, *_: object):
        raise ZeroDivisionError("float division\nby zero")

    monkeypatch.setattr(worker, "prepare_clip", broken)
    assert prepare.run(PrepareOptions(source=folder / "bob", out=tmp_path, workers=1)) == prepare.Counts(0, 1)
    assert ledger(tmp_path)["look.jpg"]["reason"] == "fault: ZeroDivisionError: float division by zero"


def test_a_folder_that_cannot_be_written_is_one_line(folder: Path, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write .*; choose a folder with space") as caught:
        prepare.run(PrepareOptions(source=folder / "bob", out=tmp_path / "file" / "out", workers=1))
    assert "\n" not in str(caught.value)


def test_an_index_says_who_and_which_split(folder: Path, tmp_path: Path):
    index = folder / "index.csv"
    index.write_text(
        "path,identity,source,split,licence\nann/talk.mp4,Ann,demo,val,CC0\nbob/look.jpg,,,,\n"
        "cut/notes.txt,x,x,x,x\n../elsewhere.mp4,y,y,train,y\n"
    )
    ann, bob = find_sources(PrepareOptions(source=folder, out=tmp_path, index=index))
    assert ann.facts == {"speaker": "Ann", "source": "demo", "split": "val", "licence": "CC0"}
    assert (bob.facts["speaker"], bob.facts["split"]) == ("look", "train")
    assert ann.path == (folder / "ann" / "talk.mp4").resolve()


def test_indexes_that_cannot_be_used_are_one_line(folder: Path, tmp_path: Path):
    with pytest.raises(InputError, match="no index at .*; leave it out to search"):
        find_sources(PrepareOptions(source=folder, out=tmp_path, index=tmp_path / "none.csv"))
    (tmp_path / "index.csv").write_text("file,identity\na.mp4,Ann\n")
    with pytest.raises(InputError, match="has a row without a path; give it a column named path"):
        find_sources(PrepareOptions(source=folder, out=tmp_path, index=tmp_path / "index.csv"))


def test_nothing_to_prepare_is_one_line(tmp_path: Path):
    with pytest.raises(InputError, match="no film or picture in .*; endings known are .avi"):
        find_sources(PrepareOptions(source=tmp_path, out=tmp_path))


def test_files_of_one_name_are_told_apart(tmp_path: Path):
    """Neighbours of one key are one clip in a tar."""
    for name in ("a-b/c.mp4", "a/b-c.mp4", "a/b-c.png", "a/ü.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    keys = [source.key for source in find_sources(PrepareOptions(source=tmp_path, out=tmp_path))]
    assert len(set(keys)) == len(keys) == 4
    assert not any("." in key or "/" in key for key in keys)


def test_one_speaker_in_twenty_is_held_out_with_all_his_clips(tmp_path: Path):
    for n in range(200):
        (tmp_path / f"speaker{n}").mkdir()
        for name in ("a.mp4", "b.mp4"):
            (tmp_path / f"speaker{n}" / name).touch()
    sources = find_sources(PrepareOptions(source=tmp_path, out=tmp_path))
    splits = {(source.facts["speaker"], source.facts["split"]) for source in sources}
    assert len(splits) == 200
    assert 3 <= sum(split == "val" for _, split in splits) <= 20
