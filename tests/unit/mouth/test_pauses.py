"""The mouth rests in long pauses only, and may move again before the voice sets in."""

import numpy as np

from pcavs.mouth.pauses import RunningLevel, RunningPauses, pause_weights

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


def running(levels, ahead, reach=2, voice=None):
    """Returns the weights of an utterance whose levels are known `ahead` frames before they are needed."""
    pauses = RunningPauses(voice or RunningLevel(), ahead, reach)
    weights = []
    for frame in range(len(levels)):
        for level in levels[:ahead] if frame == 0 else levels[frame + ahead - 1 : frame + ahead]:
            pauses.add(level)
        weights.append(float(pauses.next()))
    return np.array(weights)


def test_with_enough_ahead_running_weights_are_those_of_a_film():
    levels = [SILENCE] * 8 + [SPEECH] * 20 + [SILENCE] * 15 + [SPEECH] * 20 + [SILENCE] * 9
    np.testing.assert_allclose(running(levels, 6), pause_weights(mel_of(levels), len(levels)), atol=1e-6)


def test_with_less_ahead_the_mouth_leaves_rest_later_and_before_the_word():
    levels = [SILENCE] * 15 + [SPEECH] * 10
    weights = {ahead: running(levels, ahead) for ahead in (3, 4, 6)}
    first = {ahead: int(np.flatnonzero(each < 1)[0]) for ahead, each in weights.items()}
    assert first[3] > first[4] > first[6]
    assert all(each[15:].max() == 0 for each in weights.values())


def test_a_quiet_voice_is_heard_within_half_a_second():
    voice = RunningLevel()
    running([0.2] * 12, 4, voice=voice)
    assert running([0.2] * 20, 4, voice=voice).max() == 0
    assert voice.loud < 0.3


def test_a_loud_noise_does_not_hide_the_voice_for_long():
    voice = RunningLevel()
    running([0.4] * 100 + [0.8] * 3, 4, voice=voice)
    assert running([0.4] * 20, 4, voice=voice).max() == 0
