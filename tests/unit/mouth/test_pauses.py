"""Pauses: long ones are rest, short ones are speech, and lips are free again before the voice is."""

import numpy as np

from pcavs.mouth.pauses import rest_share

SPEECH, SILENCE = 0.5, 0.05


def mel_of(levels):
    """A mel spectrogram with one level a frame, in which frame k's window begins at bin 4 k."""
    bins = np.repeat(np.array(levels, np.float32), 4)
    return np.tile(np.concatenate([np.full(8, levels[0]), bins, np.full(8, levels[-1])]).astype(np.float32), (80, 1))


def test_a_long_pause_is_rest_with_soft_ends():
    levels = [SPEECH] * 20 + [SILENCE] * 15 + [SPEECH] * 20
    share = rest_share(mel_of(levels), len(levels))
    assert share[:22].max() == 0
    assert share[33:].max() == 0
    assert share[27] == 1
    assert np.abs(np.diff(share)).max() < 0.6
    assert (share[22:25] > 0).all()
    assert (np.diff(share[20:27]) >= 0).all()
    assert (np.diff(share[28:36]) <= 0).all()


def test_a_stop_consonant_is_no_pause():
    levels = [SPEECH] * 20 + [SILENCE] * 4 + [SPEECH] * 20
    assert rest_share(mel_of(levels), len(levels)).max() == 0


def test_the_films_ends_are_rest():
    levels = [SILENCE] * 6 + [SPEECH] * 20 + [SILENCE] * 6
    share = rest_share(mel_of(levels), len(levels))
    assert share[0] == share[-1] == 1
    assert share[6:26].max() == 0


def test_steady_sound_has_no_pauses():
    assert rest_share(mel_of([SPEECH] * 30), 30).max() == 0
    assert rest_share(mel_of([0.0] * 30), 30).max() == 0
    assert len(rest_share(mel_of([SPEECH]), 1)) == 1
