"""Lip tracks of recorded clips at other speeds: lips and sound keep their places relative to each other."""

import numpy as np
import pytest

from pcavs.media.timeline import count_frames
from pcavs.spec import SAMPLES_PER_FRAME
from pcavs.synth.tracks import Track, varied

NUM_FRAMES, CLICK_FRAME = 60, 40


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_the_lips_stay_with_the_sound(factor: float):
    waveform = np.zeros(NUM_FRAMES * SAMPLES_PER_FRAME, np.float32)
    waveform[CLICK_FRAME * SAMPLES_PER_FRAME] = 1
    lips = np.zeros((NUM_FRAMES, 80), np.float32)
    lips[CLICK_FRAME] = 1
    facts = {"kind": "recording", "voice": "a", "language": "", "split": "train"}
    track = varied(Track(waveform=waveform, lips=lips, facts=facts), factor, np.random.default_rng(0))
    assert len(track.lips) == count_frames(len(track.waveform)) == round(NUM_FRAMES / factor)
    heard = np.abs(track.waveform).argmax() / SAMPLES_PER_FRAME
    seen = track.lips[:, 0].argmax()
    assert abs(heard - CLICK_FRAME / factor) < 0.1
    assert abs(seen - heard) <= 0.5
    assert track.facts == facts | {"speed": factor}
