"""Films of heads that turn as solids: degrees asked are degrees made, eyes blink, lips rest in pauses."""

import dataclasses
import itertools

import numpy as np
import pytest

from helpers.talkers import LoudMouth
from pcavs.animate.talker import Talker
from pcavs.face.pose import pose_code, rotation_from_angles
from pcavs.face.track import TrackPolicy, track_picture
from pcavs.pose.codes import picture_angles

LIMITS_DEG = (4.0, 4.5, 4.0)
"""Yaw, pitch and roll."""


class Seeing(LoudMouth):
    """A talker whose motion encoder knows how the example's head is turned."""

    def encode_identity(self, face):
        rotation = rotation_from_angles(np.array([[3.1, -9.1, 0.5]])).reshape(9)
        return super().encode_identity(face)._replace(pose=np.append(rotation, [0, -0.1, -0.1]).astype(np.float32))


def angles(landmarker, frame):
    track = track_picture(frame, landmarker, "a frame", TrackPolicy())
    return picture_angles(pose_code(track.meshes, frame.shape[0])[0])


@pytest.mark.parametrize(
    "pose", ["yaw=30", "yaw=20", "yaw=-20", "yaw=-30", "pitch=8,yaw=5", "roll=15", "yaw=-12,roll=-10"]
)
def test_degrees_asked_are_degrees_made(landmarker, face, make_wav, pose):
    """By the tracker, on another person than those whom the factors of turns were measured on."""
    seeing = Talker(Seeing(), landmarker, "seeing", "0" * 64)
    film = seeing.animate(face, make_wav(0.2), pose=pose, size=256)
    asked = dict.fromkeys(("yaw", "pitch", "roll"), 0.0)
    asked |= {name: float(value) for name, value in (word.split("=") for word in pose.split(","))}
    made = angles(landmarker, next(iter(film.frames)))
    assert np.all(np.abs(made - list(asked.values())) < LIMITS_DEG), made


def test_eyes_blink_when_the_seed_says(loud_mouth, face, make_wav):
    films = {
        name: loud_mouth.animate(face, make_wav(4.0), size=64, **choices)
        for name, choices in {
            "zero": {},
            "again": {},
            "one": {"seed": 1},
            "open": {"no_blinks": True},
        }.items()
    }
    assert np.array_equal(films["zero"].closed, films["again"].closed)
    assert not np.array_equal(films["zero"].closed, films["one"].closed)
    assert films["open"].closed is None
    shut = int(films["zero"].closed.argmax())
    moments = [next(films[name].rendered([shut])).astype(int) for name in ("zero", "open")]
    changed = np.abs(moments[0] - moments[1]).max(axis=(1, 2))
    assert changed[16:32].max() > 10, "the eyes"
    assert changed[36:].max() <= 2, "nothing below them"


def test_lips_rest_in_pauses_of_the_speech(loud_mouth, face, make_wav):
    film = loud_mouth.animate(face, make_wav(1.0), size=32, no_blinks=True)
    assert film.rest is not None
    assert len(film.rest) == film.num_frames
    resting = dataclasses.replace(film, rest=np.ones(film.num_frames, np.float32))
    silent = list(itertools.islice(resting.frames, 12))
    assert all(np.array_equal(silent[0], frame) for frame in silent), "nothing is heard"
    assert not np.array_equal(next(film.rendered([11])), silent[11])


def test_articulation_goes_from_silence_to_more_than_was_heard(loud_mouth, face, make_wav):
    def contents(articulation):
        film = loud_mouth.animate(face, make_wav(1.0), size=32, articulation=articulation)
        return film._contents(range(10, 14))

    less, plain, more = (contents(each) for each in (0.5, 1.0, 1.5))
    assert np.abs(plain - less).max() > 0.01
    assert more - plain == pytest.approx(plain - less, abs=1e-5)
    film = loud_mouth.animate(face, make_wav(1.0), size=32, articulation=1.5)
    resting = dataclasses.replace(film, rest=np.ones(film.num_frames, np.float32))
    assert np.array_equal(resting._contents(range(4)), np.repeat(resting._contents([0]), 4, axis=0))
