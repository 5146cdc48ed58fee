"""Levels and silent frames."""

import numpy as np
import pytest

from pcavs.metrics.sound import level_dbfs, silent_frames


def test_level_of_full_scale_is_zero_and_of_silence_minus_120():
    assert level_dbfs(np.ones(1280, np.float32)) == pytest.approx([0, 0])
    assert level_dbfs(np.zeros(640, np.float32)) == pytest.approx([-120])


def test_silence_between_words_is_found_with_a_margin():
    sound = np.random.default_rng(0).normal(0, 0.1, 640 * 60).astype(np.float32)
    sound[640 * 20 : 640 * 40] *= 0.001
    silent = silent_frames(sound)
    assert np.flatnonzero(silent).tolist() == list(range(22, 38))


def test_digital_silence_is_silent_everywhere():
    assert silent_frames(np.zeros(6400, np.float32)).all()
