"""The noise gate silences noise between words, keeps words and their ends, and moves nothing in time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcavs.spec import SAMPLE_RATE_HZ
from unit.media.making import silence_quiet


@pytest.fixture
def speech():
    """A second of quiet noise, a second of loud noise in place of a word, and again a second of quiet noise."""
    rng = np.random.default_rng(0)
    samples = 0.002 * rng.standard_normal(3 * SAMPLE_RATE_HZ)
    samples[SAMPLE_RATE_HZ : 2 * SAMPLE_RATE_HZ] += 0.2 * rng.standard_normal(SAMPLE_RATE_HZ)
    return samples.astype(np.float32)


def test_noise_is_silenced_and_the_word_kept(speech):
    before = speech.copy()
    silenced = silence_quiet(speech, -25.0)
    word = slice(SAMPLE_RATE_HZ, 2 * SAMPLE_RATE_HZ)
    assert np.array_equal(speech[word], before[word])
    assert not speech[: SAMPLE_RATE_HZ // 2].any()
    assert not speech[-SAMPLE_RATE_HZ // 2 :].any()
    assert silenced == pytest.approx(1.7 * SAMPLE_RATE_HZ, rel=0.1)


def test_sound_close_to_a_word_is_kept(speech):
    before = speech.copy()
    silence_quiet(speech, -25.0)
    near = slice(SAMPLE_RATE_HZ - 1500, SAMPLE_RATE_HZ)
    assert np.array_equal(speech[near], before[near])


def test_a_low_gate_changes_nothing(speech):
    before = speech.copy()
    assert silence_quiet(speech, -60.0) == 0
    assert np.array_equal(speech, before)


@given(st.integers(0, 5000), st.floats(-90, -10))
def test_any_length_is_accepted(length, gate_db):
    samples = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    before = samples.copy()
    silence_quiet(samples, gate_db)
    assert (np.abs(samples) <= np.abs(before)).all()
