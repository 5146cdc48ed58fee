"""The mouth rests in long pauses only, and may move again before the voice sets in."""

import numpy as np

from pcavs.mouth.pauses import pause_weights

SPEECH, SILENCE = 0.5, 0.05


def mel_of(levels):
    """A mel spectrogram with one level for each frame; frame k's window begins at bin 4 k."""
    bins = np.repeat(np.array(levels, np.float32), 4)
    return np.tile(np.concatenate([np.full(8, levels[0]), bins, np.full(8, levels[-1])]).astype(np.float32), (80, 1))


def test_the_mouth_rests_in_a_long_pause_with_smooth_transitions():
    levels = [SPEECH] * 20 + [SILENCE] * 15 + [SPEECH] * 20
    weights = pause_weights(mel_of(levels), len(levels))
    assert weights[:22].max() == 0
    assert weights[33:].max() == 0
    assert weights[27] == 1
    assert np.abs(np.diff(weights)).max() < 0.6
    assert (weights[22:25] > 0).all()
    assert (np.diff(weights[20:27]) >= 0).all()
    assert (np.diff(weights[28:36]) <= 0).all()


def test_the_closure_of_a_consonant_is_not_a_pause():
    levels = [SPEECH] * 20 + [SILENCE] * 4 + [SPEECH] * 20
    assert pause_weights(mel_of(levels), len(levels)).max() == 0


def test_the_mouth_rests_at_the_ends_of_the_film():
    levels = [SILENCE] * 6 + [SPEECH] * 20 + [SILENCE] * 6
    weights = pause_weights(mel_of(levels), len(levels))
    assert weights[0] == weights[-1] == 1
    assert weights[6:26].max() == 0


def test_steady_sound_has_no_pauses():
    assert pause_weights(mel_of([SPEECH] * 30), 30).max() == 0
    assert pause_weights(mel_of([0.0] * 30), 30).max() == 0
    assert len(pause_weights(mel_of([SPEECH]), 1)) == 1
