"""Sync, measured where a viewer has it: mouth pixels of the decoded film against its decoded sound."""

import copy
import dataclasses

import numpy as np
import pytest

from helpers.clicks import HALF_FRAME_S, measured_lead_s
from pcavs.animate.speech_input import MelInput
from pcavs.spec import FRAME_RATE, MEL_BINS_PER_FRAME

SIDE_PX = 96
TALKERS = ["loud_mouth", "loud_face"]


@pytest.fixture(params=TALKERS)
def talker(request):
    """Both kinds: the one whose generator gives fields, and the one whose generator gives faces."""
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("start", [0.0, 0.31])
def test_the_mouth_opens_on_the_clicks(talker, face, clicks, tmp_path, start):
    film = talker.animate(face, clicks, size=SIDE_PX, start=start).save(tmp_path / "film.mp4")
    assert abs(measured_lead_s(film)) < HALF_FRAME_S


@pytest.mark.parametrize("shift", [-1, 1])
def test_one_frame_of_planted_shift_is_seen(talker, face, clicks, tmp_path, shift):
    film = talker.animate(face, clicks, size=SIDE_PX)
    mel = np.concatenate([film.scene.mel.windows([t])[0, 0, :, 8:12] for t in range(film.num_frames)], axis=1)
    controls = copy.copy(film.controls)
    controls.speech = MelInput(np.roll(np.pad(mel, ((0, 0), (8, 8))), shift * MEL_BINS_PER_FRAME, axis=1))
    shifted = dataclasses.replace(film, controls=controls)
    lead = measured_lead_s(shifted.save(tmp_path / "film.mp4"))
    assert abs(lead) > HALF_FRAME_S
    assert lead == pytest.approx(shift / FRAME_RATE, abs=HALF_FRAME_S)
