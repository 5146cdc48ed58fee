"""Pose films that are not perfect: the policies act as documented, and the report says what was seen."""

import json
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from pcavs.animate.encode_pose import encode_pose_source
from pcavs.animate.face_choice import read_choice
from pcavs.animate.identity import FaceReader
from pcavs.animate.run import write_report
from pcavs.animate.timing import DefaultTiming
from pcavs.errors import FaceError, InputError
from pcavs.face.choice import ByPosition
from pcavs.face.track import TrackPolicy
from pcavs.media.film import FilmWriter
from pcavs.media.image import read_picture
from pcavs.pose.measure import measure_video

SIDE = 192
BLANK = {3, 4, 9}


@pytest.fixture(scope="module")
def small(face):
    return cv2.resize(read_picture(face), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


@pytest.fixture
def write(tmp_path):
    def write(frames, name="source.mp4"):
        with FilmWriter(tmp_path / name, frames[0].shape[1::-1]) as writer:
            for frame in frames:
                writer.write(np.ascontiguousarray(frame))
        return tmp_path / name

    return write


@pytest.fixture
def gappy(small, write):
    """Fifteen frames of a drifting face, a fifth of them blank."""
    grey = np.full_like(small, 90)
    return write([grey if t in BLANK else np.roll(small, t, axis=1) for t in range(15)])


def reader_of(loud_mouth, landmarker, **policy):
    return FaceReader(loud_mouth.runtime, landmarker, DefaultTiming(), TrackPolicy(**policy))


def measured(path, landmarker, **policy):
    return measure_video(path, (0.0, None), landmarker, TrackPolicy(**policy), lambda *_: None)


def read(path, loud_mouth, landmarker, **policy):
    return encode_pose_source(path, 100, reader_of(loud_mouth, landmarker, **policy), lambda *_: None)


@pytest.mark.parametrize(("missing", "length"), [("interpolate", 15), ("hold", 15), ("skip", 12)])
def test_blank_frames_give_no_pose_of_their_own(loud_mouth, landmarker, gappy, missing, length):
    """The loud talker's pose is the picture's brightness: a blank frame, 90 of 255, would show as a dip."""
    source = read(gappy, loud_mouth, landmarker, missing=missing)
    assert len(source.codes) == length
    assert np.ptp(source.codes) < 0.02
    assert source.codes.min() > 90 / 255 + 0.02
    assert [t for t, seen in enumerate(source.report.found) if not seen] == sorted(BLANK)
    assert any("was not found in 3 of 15 frames" in note for note in source.notes)


def test_held_frames_are_those_before(landmarker, gappy):
    held = measure_video(gappy, (0.0, None), landmarker, TrackPolicy(missing="hold"), lambda *_: None)
    between = measure_video(gappy, (0.0, None), landmarker, TrackPolicy(), lambda *_: None)
    assert len(held.track) == len(between.track) == 15
    assert held.track[4, 3] < between.track[4, 3], "the face drifts to the right meanwhile"


def test_to_fail_names_the_moment(landmarker, gappy):
    with pytest.raises(FaceError, match=r"no face in source\.mp4 at 0\.12 s; .*interpolate, hold or skip"):
        measure_video(gappy, (0.0, None), landmarker, TrackPolicy(missing="fail"), lambda *_: None)


def test_the_report_has_a_row_a_frame(loud_mouth, gappy, face, make_wav, tmp_path):
    film = loud_mouth.animate(face, make_wav(0.6), pose=gappy, missing="hold", size=32)
    write_report(film, tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["format"] == "pcavs-faces-1"
    (source,) = report["videos"]
    assert (source["source"], source["missing"], source["frames"], source["found"]) == ("source.mp4", "hold", 15, 12)
    assert source["rows"][3] == {"frame": 3, "time_s": 0.12, "face": "held", "cut": False}
    assert source["rows"][5]["face"] == "found"


@pytest.fixture
def pair(small, write):
    """Two people, the right one smaller and drifting."""
    beside = cv2.resize(small, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    frames = []
    for t in range(4):
        frame = np.full((SIDE, 2 * SIDE, 3), 128, np.uint8)
        frame[:, :SIDE] = small
        frame[: len(beside), SIDE + 3 * t :][:, : beside.shape[1]] = beside
        frames.append(frame)
    return write(frames)


def test_two_people_are_told_apart_by_place(landmarker, pair):
    moves = {index: np.ptp(measured(pair, landmarker, choice=ByPosition(index)).track[:, 3]) for index in (0, 1)}
    assert moves[1] > 2 * moves[0], "the right one drifts"
    with pytest.raises(FaceError, match=r"shows 2 faces, and number 2 from the left is not among them; choose another"):
        measured(pair, landmarker, choice=ByPosition(2))


def test_the_report_says_how_many_there_were_and_who_was_followed(loud_mouth, pair, face, make_wav, tmp_path):
    film = loud_mouth.animate(face, make_wav(0.2), pose=pair, size=32)
    write_report(film, tmp_path / "report.json")
    (source,) = json.loads((tmp_path / "report.json").read_text())["videos"]
    assert (source["faces"], source["chosen"], source["found"]) == (2, "the largest central one", 4)
    assert any("shows 2 faces; the largest central one is taken" in note for note in film.notes)


def test_a_cut_does_not_make_the_head_jump(loud_mouth, landmarker, small, write):
    moved = cv2.warpAffine(
        small, np.array([[0.8, 0, 30.0], [0, 0.8, 10]]), (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE
    )
    wide = [np.hstack([picture, np.full_like(small, 128)]) for picture in [small] * 6]
    cut = [np.hstack([np.full_like(small, 128), picture]) for picture in [moved] * 34]
    seen = measured(write(wide + cut), landmarker)
    assert np.abs(np.diff(seen.track[:, :3], axis=0)).max() <= 3
    assert np.abs(np.diff(seen.track[:, 3], axis=0)).max() <= 0.041
    rows = seen.report.to_json()["rows"]
    assert all(row["face"] == "found" and not row["cut"] for row in rows[:6])
    assert any(row["cut"] or row["face"] != "found" for row in rows[6:])
    assert seen.notes


def test_a_cut_to_another_shot_of_the_same_place_is_one(landmarker, small, write):
    """Talking heads are framed alike: only the colours tell one shot from the next."""
    turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), -20, 1)
    leaning = cv2.warpAffine(small, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    other = (leaning * np.array([0.9, 0.6, 0.5])).astype(np.uint8)
    seen = measured(write([small] * 15 + [other] * 15), landmarker)
    assert seen.report.cuts == (15,)
    assert np.ptp(seen.track[:, 2]) > 15
    assert np.abs(np.diff(seen.track[:, 2])).max() <= 3
    assert any("has a cut at 0.60 s" in note for note in seen.notes)


@pytest.mark.parametrize("words", ["largest", "left", "right", "0", "12"])
def test_faces_are_chosen_in_words(loud_mouth, landmarker, words):
    assert read_choice(words, reader_of(loud_mouth, landmarker)).name


def test_a_choice_that_is_none(loud_mouth, landmarker):
    with pytest.raises(InputError, match="give largest, left, right, a number, or a picture"):
        read_choice("middle", reader_of(loud_mouth, landmarker))


def test_a_face_is_chosen_by_a_picture_of_the_person(loud_mouth, landmarker, face):
    assert read_choice(str(face), reader_of(loud_mouth, landmarker)).name == "the one most like the reference"


def write_odd(path, small, times_ms):
    """A film whose frames are shown at any times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=60)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate(times_ms):
            shifted = np.ascontiguousarray(np.roll(small, number // 2, axis=1))
            frame = av.VideoFrame.from_ndarray(shifted, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    "times_ms",
    [
        [round(1000 * t / 12) for t in range(6)],
        [round(1001 * t / 60) for t in range(30)],
        [0, 15, 90, 100, 180, 260, 270, 300, 410, 455],
    ],
    ids=["12 fps", "59.94 fps", "variable rate"],
)
def test_any_frame_rate_gives_25_poses_a_second(loud_mouth, landmarker, small, tmp_path, times_ms):
    path = write_odd(tmp_path / "odd.mp4", small, times_ms)
    source = read(path, loud_mouth, landmarker)
    assert len(source.codes) == pytest.approx(25 * (times_ms[-1] + 40) / 1000, abs=1.6)
    rows = source.report.to_json()["rows"]
    assert [row["time_s"] for row in rows] == [frame / 25 for frame in range(len(source.codes))]
    assert all(row["face"] == "found" for row in rows)


@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_a_telephone_held_upright_gives_the_poses_of_an_upright_film(landmarker, small, tmp_path, degrees):
    """A portrait film is stored sideways, with a matrix that says how to turn it; read as stored, roll would be 90."""
    tall = np.vstack([small, np.full((64, SIDE, 3), 128, np.uint8)])
    upright = [np.roll(tall, 2 * t, axis=1) for t in range(8)]
    wanted = measured(store(tmp_path / "upright.mp4", upright), landmarker)
    stored = [np.rot90(frame, -degrees // 90) for frame in upright]
    seen = measured(store(tmp_path / "telephone.mp4", stored, degrees), landmarker)
    assert seen.report.to_json()["found"] == 8
    np.testing.assert_allclose(seen.track[:, :3], wanted.track[:, :3], atol=1.5)
    np.testing.assert_allclose(seen.track[:, 3:], wanted.track[:, 3:], atol=0.02)
    assert seen.track[-1, 3] - seen.track[0, 3] > 0.05, "the face drifts to the right as shown"


def store(path, frames, degrees=0):
    """A film with a display matrix, `degrees` counterclockwise as FFmpeg counts them."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.set_display_rotation(degrees)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode(None))
    return path
