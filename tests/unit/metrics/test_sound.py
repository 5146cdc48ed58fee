"""Where a sound is silent."""

import numpy as np
import pytest

from pcavs.metrics.sound import loudness_db, silent_frames


def test_loudness_of_a_full_square_wave_is_zero_and_of_silence_lowest():
    assert loudness_db(np.ones(1280, np.float32)) == pytest.approx([0, 0])
    assert loudness_db(np.zeros(640, np.float32)) == pytest.approx([-120])


def test_silence_is_found_between_words_with_a_margin():
    sound = np.random.default_rng(0).normal(0, 0.1, 640 * 60).astype(np.float32)
    sound[640 * 20 : 640 * 40] *= 0.001
    silent = silent_frames(sound)
    assert np.flatnonzero(silent).tolist() == list(range(22, 38))


def test_pure_silence_is_silent_everywhere():
    assert silent_frames(np.zeros(6400, np.float32)).all()
