"""`pcavs prepare` from files to shards and ledger: what is kept, what is rejected and why."""

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pcavs.data.shard import AlignedClip, Span, read_clip, read_ledger, read_shard
from pcavs.errors import InputError, OutputError
from pcavs.face.align import alignment_points, clip_transform, crop_picture
from pcavs.face.pose import pose_code
from pcavs.media.audio import read_waveform
from pcavs.media.bitstream import decode_pictures
from pcavs.media.video import read_frames
from pcavs.prepare import run as prepare
from pcavs.prepare import sources, worker
from pcavs.prepare.offset import ClipSync
from pcavs.prepare.options import PrepareOptions
from pcavs.spec import CropSpec


@pytest.fixture(scope="module")
def folder(photo, write_film, tmp_path_factory) -> Path:
    """A video of ann, a photograph of bob, two videos with more than one clip, and files that give none."""
    place = tmp_path_factory.mktemp("sources")
    write_film(place / "ann" / "talk.mp4")
    (place / "bob").mkdir()
    shutil.copyfile(photo, place / "bob" / "look.jpg")
    write_film(place / "both" / "shots.mp4", frames=30, cut=12)
    write_film(place / "both" / "pair.mp4", two=True)
    write_film(place / "cut" / "short.mp4", frames=6)
    write_film(place / "cut" / "hidden.mp4", frames=30, hidden=8)
    write_film(place / "cut" / "tiny.mp4", side=48)
    write_film(place / "cut" / "mute.mp4", sound=False)
    write_film(place / "cut" / "quiet.mp4", level=1e-5)
    (place / "cut" / "text.mp4").write_text("not a video")
    (place / "cut" / "empty.mp4").touch()
    whole = (place / "ann" / "talk.mp4").read_bytes()
    (place / "cut" / "half.mp4").write_bytes(whole[: len(whole) // 2])
    cv2.imwrite(str(place / "cut" / "grey.png"), np.full((200, 200, 3), 128, np.uint8))
    (place / "cut" / "notes.txt").write_text("not a source")
    return place


@pytest.fixture(scope="module")
def prepared(folder: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("shards")
    prepare.run(PrepareOptions(source=folder, out=out, turned=3, workers=1))
    return out


def rows_of(out: Path, name: str) -> list[dict[str, Any]]:
    return [row for row in read_ledger(out) if Path(row["file"]).name == name]


def clip_of(out: Path, name: str, number: int = 0) -> AlignedClip:
    row = rows_of(out, name)[number]
    with (out / row["shard"]).open("rb") as file:
        return read_clip(file, Span(row["offset"], row["bytes"]))


@pytest.mark.parametrize(
    ("name", "gate", "reason"),
    [
        ("short.mp4", "length", "length: 6 frames; at least 10 are needed"),
        ("mute.mp4", "sound", "sound: no sound"),
        ("quiet.mp4", "sound", "sound: -10"),
        ("text.mp4", "decodable", "cannot be read as audio or video"),
        ("empty.mp4", "decodable", "is empty (0 bytes)"),
        ("half.mp4", "decodable", "cannot be read as audio or video"),
        ("grey.png", "face", "no face in grey.png"),
    ],
)
def test_a_rejected_file_has_a_ledger_row_with_the_reason(prepared: Path, name: str, gate: str, reason: str):
    (row,) = rows_of(prepared, name)
    assert (row["kept"], row["gate"]) == (False, gate)
    assert reason in row["reason"]
    assert "\n" not in row["reason"]


def test_a_small_face_is_rejected_or_not_found(prepared: Path):
    (row,) = rows_of(prepared, "tiny.mp4")
    assert row["gate"] in ("face-size", "face")


def test_a_rejection_by_a_gate_stores_value_and_limit(prepared: Path):
    (row,) = rows_of(prepared, "short.mp4")
    assert (row["value"], row["limit"], row["measures"]["length"]) == (6, 10, 6)


def test_rows_of_kept_clips_give_their_place_in_the_shard(prepared: Path):
    rows = [row for row in read_ledger(prepared) if row["kept"]]
    clips = [clip for shard in sorted(prepared.glob("*.tar")) for clip in read_shard(shard)]
    assert [row["key"] for row in rows] == [clip.key for clip in clips]
    assert len({row["key"] for row in rows}) == len(rows) == 7
    for row in rows:
        with (prepared / row["shard"]).open("rb") as file:
            clip = read_clip(file, Span(row["offset"], row["bytes"]))
        assert (clip.key, len(clip.mesh), clip.facts["speaker"]) == (row["key"], row["frames"], row["speaker"])
        assert row["heard"] is (clip.waveform is not None)


def test_clips_are_aligned_and_labelled(prepared: Path):
    film, picture = clip_of(prepared, "talk.mp4"), clip_of(prepared, "look.jpg")
    assert (film.key, film.facts["speaker"], film.side_px) == ("ann-talk", "ann", 256)
    assert (picture.key, picture.facts["speaker"], picture.facts["turned"]) == ("bob-look", "bob", True)
    assert decode_pictures(film.film).shape == (12, 256, 256, 3)
    template = np.array([CropSpec().left_eye, CropSpec().right_eye, CropSpec().mouth]) * 256 - 0.5
    np.testing.assert_allclose(alignment_points(film.mesh).mean(axis=0), template, atol=8)
    # One transform per clip keeps the motion of the head inside the crop.
    assert np.ptp(film.mesh[:, 1, 0]) > 5
    np.testing.assert_allclose(film.pose, pose_code(film.mesh, 256), atol=1e-3)


def test_crops_from_windows_equal_crops_from_whole_frames(prepared: Path, folder: Path):
    """Only moving windows around the face are kept; the crops must not show it."""
    clip = clip_of(prepared, "talk.mp4")
    made = decode_pictures(clip.film)
    for frame, picture in enumerate(read_frames(folder / "ann" / "talk.mp4")):
        wanted = crop_picture(picture, clip.transform, 256).astype(int)
        assert np.abs(made[frame] - wanted)[32:-32, 32:-32].mean() < 3
    np.testing.assert_allclose(clip.transform, clip_transform(_in_video(clip), CropSpec(), 256), atol=0.3)


def _in_video(clip: AlignedClip) -> np.ndarray:
    back = np.linalg.inv(clip.transform[:, :2])
    places = (clip.mesh[..., :2] - clip.transform[:, 2]) @ back.T
    return np.concatenate([places, clip.mesh[..., 2:]], axis=-1).astype(np.float32)


def test_the_clips_sound_is_that_of_the_file(prepared: Path, folder: Path):
    film, picture = clip_of(prepared, "talk.mp4"), clip_of(prepared, "look.jpg")
    assert picture.waveform is None
    assert film.waveform is not None
    wanted = read_waveform(folder / "ann" / "talk.mp4")[: 12 * 640].clip(-1, 1)
    assert len(film.waveform) == 12 * 640
    np.testing.assert_allclose(film.waveform[: len(wanted)], wanted, atol=1e-4)


def test_a_hard_cut_starts_a_new_clip(prepared: Path):
    rows = rows_of(prepared, "shots.mp4")
    assert [(row["key"], row["start_frame"], row["frames"]) for row in rows] == [
        ("both-shots", 0, 12),
        ("both-shots@1", 12, 18),
    ]
    first, second = (decode_pictures(clip_of(prepared, "shots.mp4", n).film).mean(axis=(0, 1, 2)) for n in (0, 1))
    assert first[0] > 2 * second[0]


def test_a_later_clip_has_the_sound_of_its_own_time(prepared: Path, folder: Path):
    whole = read_waveform(folder / "both" / "shots.mp4").clip(-1, 1)
    second = clip_of(prepared, "shots.mp4", 1).waveform
    assert second is not None
    wanted = whole[12 * 640 : 30 * 640]
    np.testing.assert_allclose(second[: len(wanted)], wanted, atol=1e-4)


def test_two_people_are_a_clip_each(prepared: Path):
    rows = rows_of(prepared, "pair.mp4")
    assert [(row["start_frame"], row["frames"], row["kept"]) for row in rows] == [(0, 12, True)] * 2
    left, right = (clip_of(prepared, "pair.mp4", n) for n in (0, 1))
    assert abs(left.transform[0, 2] - right.transform[0, 2]) > 100


def test_frames_before_the_face_appears_are_left_out(prepared: Path):
    (row,) = rows_of(prepared, "hidden.mp4")
    assert row["kept"]
    assert row["start_frame"] in (8, 9, 10)
    assert row["start_frame"] + row["frames"] == 30


def test_a_long_track_is_cut_into_clips(write_film, tmp_path: Path):
    write_film(tmp_path / "in" / "long.mp4", frames=60)
    options = PrepareOptions(source=tmp_path / "in", out=tmp_path / "out", longest_s=1.0, workers=1)
    assert prepare.run(options) == prepare.Counts(3, 0) or prepare.run(options) == prepare.Counts(2, 1)
    assert [(row["start_frame"], row["frames"]) for row in read_ledger(tmp_path / "out")] == [
        (0, 25),
        (25, 25),
        (50, 10),
    ]


def test_parts_of_a_long_video_have_its_pictures_and_sound(write_film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "_MIN_LONG_BYTES", 10)
    monkeypatch.setattr(sources, "PART_S", 1)
    film = write_film(tmp_path / "in" / "long.mp4", frames=60)
    prepare.run(PrepareOptions(source=tmp_path / "in", out=tmp_path / "out", workers=1))
    rows = [(row["key"], row["start_frame"], row["frames"]) for row in read_ledger(tmp_path / "out")]
    assert rows == [("long@p0", 0, 25), ("long@p1", 25, 35)]
    second = clip_of(tmp_path / "out", "long.mp4", 1)
    assert second.waveform is not None
    wanted = read_waveform(film).clip(-1, 1)[25 * 640 : 60 * 640]
    np.testing.assert_allclose(second.waveform[: len(wanted)], wanted, atol=1e-4)
    picture = crop_picture(list(read_frames(film))[59], second.transform, 256).astype(int)
    assert np.abs(decode_pictures(second.film, [34])[0] - picture)[32:-32, 32:-32].mean() < 3


@pytest.mark.parametrize(("policy", "frames", "moved"), [("correct", 57, 3), ("keep", 60, None), ("reject", 60, None)])
def test_sound_that_is_apart_is_moved(
    policy, frames, moved, write_film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found = iter([ClipSync(0.3, 3), ClipSync(0.3, 0)])
    monkeypatch.setattr("pcavs.prepare.clip.measure_sync", lambda *_: next(found))
    film = write_film(tmp_path / "in" / "late.mp4", frames=60)
    prepare.run(PrepareOptions(source=tmp_path / "in", out=tmp_path / "out", offset=policy, workers=1))
    (row,) = read_ledger(tmp_path / "out")
    assert row["frames"] == frames
    assert row["measures"].get("moved") == moved
    if policy == "reject":
        assert row["reason"] == "offset: picture and sound are 3 frames apart; at most 2 are allowed"
        return
    assert row["kept"]
    clip = clip_of(tmp_path / "out", "late.mp4")
    assert clip.facts.get("offset_corrected") == moved
    assert len(clip.mesh) == len(clip.pose) == frames
    # The pictures begin three frames later; the sound is that of the begin.
    assert row["start_frame"] == (moved or 0)
    assert clip.waveform is not None
    np.testing.assert_allclose(clip.waveform[:6400], read_waveform(film).clip(-1, 1)[:6400], atol=1e-4)
    picture = crop_picture(list(read_frames(film))[moved or 0], clip.transform, 256).astype(int)
    assert np.abs(decode_pictures(clip.film, [0])[0] - picture)[32:-32, 32:-32].mean() < 3


def test_limits_can_be_given(folder: Path, tmp_path: Path):
    options = PrepareOptions(
        source=folder / "cut", out=tmp_path, workers=1, limits=(("sound", -200.0), ("length", 5.0))
    )
    prepare.run(options)
    assert {Path(row["file"]).name for row in read_ledger(tmp_path) if row["kept"]} >= {
        "mute.mp4",
        "quiet.mp4",
        "short.mp4",
        "hidden.mp4",
    }
    assert clip_of(tmp_path, "mute.mp4").waveform is None


def test_an_unknown_gate_is_reported(folder: Path, tmp_path: Path):
    with pytest.raises(InputError, match="no gate is named sharpnes; did you mean sharpness"):
        prepare.run(PrepareOptions(source=folder, out=tmp_path, limits=(("sharpnes", 1.0),)))
    with pytest.raises(
        InputError, match="no gate is named yaw; the gates are length, face-size, found, sharpness, sound, offset"
    ):
        prepare.run(PrepareOptions(source=folder, out=tmp_path, limits=(("yaw", 1.0),)))


def test_a_blurred_face_is_rejected(photo: Path, tmp_path: Path):
    (tmp_path / "in").mkdir()
    picture = cv2.imread(str(photo))
    cv2.imwrite(str(tmp_path / "in" / "blurred.png"), cv2.GaussianBlur(picture, (0, 0), picture.shape[0] / 30))
    assert prepare.run(PrepareOptions(source=tmp_path / "in", out=tmp_path / "out", workers=1)) == (0, 1)
    (row,) = read_ledger(tmp_path / "out")
    assert row["gate"] == "sharpness"


def test_an_unexpected_error_in_one_file_does_not_end_the_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(source, *_: object):
        raise ZeroDivisionError("float division\nby zero")

    monkeypatch.setattr(worker, "prepare_source", broken)
    assert prepare.run(PrepareOptions(source=folder / "bob", out=tmp_path, workers=1)) == prepare.Counts(0, 1)
    (row,) = read_ledger(tmp_path)
    assert (row["gate"], row["reason"]) == ("fault", "fault: ZeroDivisionError: float division by zero")


def test_an_unwritable_folder_is_reported(folder: Path, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write .*; choose a folder with space") as caught:
        prepare.run(PrepareOptions(source=folder / "bob", out=tmp_path / "file" / "out", workers=1))
    assert "\n" not in str(caught.value)


def test_a_run_with_other_settings_is_not_continued(folder: Path, prepared: Path, tmp_path: Path):
    options = PrepareOptions(source=folder, out=prepared, turned=3, crop_px=128, workers=1)
    with pytest.raises(InputError, match="was begun with crop_px 256, now 128; choose another --out, or delete it"):
        prepare.run(options)
    with pytest.raises(InputError, match="was begun with other files; choose another --out"):
        prepare.run(PrepareOptions(source=folder / "ann", out=prepared, turned=3, workers=1))


def test_the_report_is_self_contained(prepared: Path):
    text = (prepared / "report.html").read_text()
    assert text.count("data:image/jpeg;base64,") == 7
    assert "http" not in text
    assert text.count("<svg") == 5  # all clips are too short for `offset`
    for name in ("decodable", "face-size", "sound: no sound", "ann-talk", "cut/text.mp4", "Head pose", "Minutes of a"):
        assert name in text


def test_no_intermediate_files_are_left(prepared: Path):
    assert sorted(path.name for path in prepared.iterdir()) == [
        ".lock",
        "prepare.json",
        "report.html",
        "shard-00000-0.tar",
        "shard-00000.jsonl",
    ]
