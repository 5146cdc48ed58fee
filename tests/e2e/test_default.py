"""The talker that ships, whatever its quality: it loads, it moves, and its mouth keeps the time of the speech."""

import json

import numpy as np
import pytest

import pcavs
from helpers.sounds import write_wav
from pcavs.errors import WeightsError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import angles_deg, head_pose
from pcavs.face.regions import mouth_opening
from pcavs.face.track import TrackPolicy, track_face, track_picture
from pcavs.media.audio import read_waveform
from pcavs.media.video import read_frames
from pcavs.spec import SAMPLES_PER_FRAME

DELAY_FRAMES = 7
SPEECH_S = 2.4


@pytest.fixture(scope="module")
def talker():
    try:
        return pcavs.load()
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def openings(talker, examples, tmp_path_factory):
    """Mouth opening by landmarks of two decoded films: of some speech, and of the same speech begun later."""
    folder = tmp_path_factory.mktemp("default")
    speech = read_waveform(examples / "speech.wav", 0.0, SPEECH_S)
    delayed = np.concatenate([np.zeros(DELAY_FRAMES * SAMPLES_PER_FRAME, np.float32), speech])

    def opening(samples, name):
        audio = write_wav(folder / f"{name}.wav", samples)
        film = talker.animate(examples / "face.jpg", audio).save(folder / f"{name}.mp4")
        track = track_face(read_frames(film), FaceLandmarker(), name, TrackPolicy(smoothed=False))
        return mouth_opening(track.meshes)

    return opening(speech, "speech"), opening(delayed, "delayed")


@pytest.mark.parametrize("start_s", [0.8, 3.0])
def test_relative_begins_with_the_pictures_pose_as_seen_in_the_film(talker, examples, tmp_path, start_s):
    """The source is turned by 25 degrees where it begins, to one side and to the other."""
    film_part = {"kind": "video", "path": str(examples / "pose.mp4"), "start_s": start_s}
    pose = tmp_path / "turned.json"
    pose.write_text(json.dumps({"format": "pcavs-pose-1", "mode": "relative", "segments": [film_part]}))
    film = talker.animate(examples / "face.jpg", examples / "speech.wav", pose=pose, end=0.2, outside=True)
    begin = seen_deg(next(iter(film.frames)))
    source = seen_deg(next(read_frames(examples / "pose.mp4", start_s)))
    assert np.abs(begin - seen_deg(film.identity.picture)).max() <= 2
    assert np.abs(begin - source)[0] > 15


def seen_deg(picture):
    """Yaw, pitch and roll that the face tracker sees."""
    track = track_picture(picture, FaceLandmarker(), "picture", TrackPolicy(smoothed=False))
    return angles_deg(head_pose(track.meshes).rotation.astype(np.float64))[0]


def test_the_mouth_moves(openings):
    assert openings[0].std() > 0.002


def test_articulation_opens_the_mouth_more_or_less(talker, examples, openings):
    def mean_opening(articulation):
        film = talker.animate(examples / "face.jpg", examples / "speech.wav", end=SPEECH_S, articulation=articulation)
        return mouth_opening(
            track_face(film.frames, FaceLandmarker(), "film", TrackPolicy(smoothed=False)).meshes
        ).mean()

    assert mean_opening(0.5) < 0.75 * openings[0].mean()
    assert mean_opening(1.5) > 1.1 * openings[0].mean()


def test_delayed_speech_delays_the_mouth_by_as_much(openings):
    """Sync without a judge: shifting the sound by whole frames must shift the mouth by these, and by no other."""
    plain, delayed = openings
    assert len(delayed) == len(plain) + DELAY_FRAMES
    inner = plain[5:-5]
    fits = [
        np.corrcoef(inner, delayed[5 + lag : 5 + lag + len(inner)])[0, 1]
        for lag in range(len(delayed) - len(plain) + 5)
    ]
    assert int(np.argmax(fits)) == DELAY_FRAMES
    assert max(fits) > 0.8


def test_its_frames_do_not_depend_on_the_workers(talker, examples):
    """Each worker has its own inference request, and layers of the real networks are as large as those of films."""
    settings = {"pose": examples / "pose.mp4", "full_frame": True, "start": 0.5, "end": 0.74}
    films = [
        np.stack(
            list(talker.animate(examples / "face.jpg", examples / "speech.wav", workers=workers, **settings).frames)
        )
        for workers in (1, 2, 4)
    ]
    assert np.abs(np.diff(films[0].astype(int), axis=0)).max() > 20
    np.testing.assert_array_equal(films[1], films[0])
    np.testing.assert_array_equal(films[2], films[0])
