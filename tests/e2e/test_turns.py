"""Films of heads that turn as solids: degrees asked are degrees made, eyes blink, lips rest in pauses."""

import copy
import dataclasses
import itertools

import numpy as np
import pytest

from pcavs.face.pose import pose_code
from pcavs.face.track import TrackPolicy, track_picture
from pcavs.pose.codes import code_angles

LIMITS_DEG = (4.0, 4.5, 4.0)
"""Yaw, pitch and roll."""


def angles(landmarker, frame):
    track = track_picture(frame, landmarker, "a frame", TrackPolicy())
    return code_angles(pose_code(track.meshes, frame.shape[0])[0])


def with_pauses(film, share):
    """The same film with a mouth that rests everywhere by a share."""
    controls = copy.copy(film.controls)
    controls.pauses = np.full(film.num_frames, share, np.float32)
    return dataclasses.replace(film, controls=controls)


def contents_of(film, frames):
    return np.stack([control.content for control in film.controls.of(frames)])


@pytest.mark.parametrize(
    "pose", ["yaw=30", "yaw=20", "yaw=-20", "yaw=-30", "pitch=8,yaw=5", "roll=15", "yaw=-12,roll=-10"]
)
def test_degrees_asked_are_degrees_made(loud_mouth, landmarker, face, make_wav, pose):
    """By the tracker, on another person than those whom the factors of turns were measured on."""
    film = loud_mouth.animate(face, make_wav(0.2), pose=pose, size=256)
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
    assert np.array_equal(films["zero"].controls.eyelids, films["again"].controls.eyelids)
    assert not np.array_equal(films["zero"].controls.eyelids, films["one"].controls.eyelids)
    assert films["open"].controls.eyelids is None
    shut = int(films["zero"].controls.eyelids.argmax())
    moments = [next(films[name].rendered([shut])).astype(int) for name in ("zero", "open")]
    changed = np.abs(moments[0] - moments[1]).max(axis=(1, 2))
    assert changed[16:32].max() > 10, "the eyes"
    assert changed[36:].max() <= 2, "nothing below them"


def test_lips_rest_in_pauses_of_the_speech(loud_mouth, face, make_wav):
    film = loud_mouth.animate(face, make_wav(1.0), size=32, no_blinks=True)
    assert film.controls.pauses is not None
    assert len(film.controls.pauses) == film.num_frames
    resting = with_pauses(film, 1.0)
    silent = list(itertools.islice(resting.frames, 12))
    assert all(np.array_equal(silent[0], frame) for frame in silent), "nothing is heard"
    assert not np.array_equal(next(film.rendered([11])), silent[11])


def test_articulation_goes_from_silence_to_more_than_was_heard(loud_mouth, face, make_wav):
    def contents(articulation):
        film = loud_mouth.animate(face, make_wav(1.0), size=32, articulation=articulation)
        return contents_of(film, range(10, 14))

    less, plain, more = (contents(each) for each in (0.5, 1.0, 1.5))
    assert np.abs(plain - less).max() > 0.01
    assert more - plain == pytest.approx(plain - less, abs=1e-5)
    film = loud_mouth.animate(face, make_wav(1.0), size=32, articulation=1.5)
    resting = with_pauses(film, 1.0)
    assert np.array_equal(contents_of(resting, range(4)), np.repeat(contents_of(resting, [0]), 4, axis=0))
