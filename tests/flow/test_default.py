"""The talker that ships, whatever its quality: it loads, it moves, and its mouth keeps the time of the speech."""

import numpy as np
import pytest

import pcavs
from helpers.sounds import write_wav
from pcavs.errors import WeightsError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.regions import mouth_opening
from pcavs.face.track import TrackPolicy, track_face
from pcavs.media.audio import read_waveform
from pcavs.media.video import read_frames
from pcavs.spec import SAMPLES_PER_FRAME

DELAY_FRAMES = 7
SPEECH_S = 4.0


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


def test_the_mouth_moves(openings):
    assert openings[0].std() > 0.002


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
