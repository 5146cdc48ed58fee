"""What is said on the page: files at the stream's rate, and speech in a microphone's sound."""

import numpy as np
import pytest

from helpers.sounds import write_wav
from pcavs.errors import InputError
from pcavs.live import speech
from pcavs.live.speech import RATE_HZ, VoiceGate, read_bytes, read_file

BLOCK = RATE_HZ // 50


def tone(seconds, level=0.2):
    return (level * np.sin(2 * np.pi * 300 * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def gated(sound):
    """Returns what passes a gate, in blocks of 20 ms, and after which blocks an utterance ended."""
    gate, passed, ends = VoiceGate(), [], []
    for number, first in enumerate(range(0, len(sound), BLOCK)):
        block, is_over = gate.next(sound[first : first + BLOCK])
        passed.append(block)
        if is_over:
            ends.append(number)
    return np.concatenate(passed), ends


def test_files_are_read_at_the_rate_of_the_stream(tmp_path):
    path = write_wav(tmp_path / "tone.wav", tone(0.5)[::3], RATE_HZ // 3)
    sound = read_file(path)
    assert len(sound) == RATE_HZ // 2
    assert np.abs(sound - tone(0.5))[1000:-1000].max() < 0.01
    assert np.array_equal(read_bytes(path.read_bytes()), sound)


def test_what_is_no_sound_is_an_error_that_names_no_folder():
    with pytest.raises(InputError) as caught:
        read_bytes(b"garbage" * 100)
    assert str(caught.value).startswith("the sound ")


def test_long_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(speech, "_MAX_S", 1)
    with pytest.raises(InputError, match="longer than 1 s"):
        read_file(write_wav(tmp_path / "long.wav", tone(1.5), RATE_HZ))


@pytest.mark.parametrize("text", ["", "  ", "a" * 2001, "a\0b"])
def test_texts_that_cannot_be_said_are_refused(text):
    with pytest.raises(InputError, match="cannot be said"):
        speech.speak(text, "en-us")


def test_noise_does_not_pass_the_gate():
    passed, ends = gated(tone(2.0, level=0.005))
    assert not len(passed)
    assert not ends


def test_speech_passes_with_its_beginning_and_ends_once():
    quiet, loud = tone(1.0, level=0.002), tone(0.5)
    sound = np.concatenate([quiet, loud, quiet[: RATE_HZ // 5], loud, quiet, quiet])
    passed, ends = gated(sound)
    begin, length = round(0.8 * RATE_HZ), round((0.2 + 0.5 + 0.2 + 0.5 + 0.6) * RATE_HZ)
    assert len(passed) == pytest.approx(length, abs=2 * BLOCK)
    assert np.array_equal(passed, sound[begin : begin + len(passed)])
    assert len(ends) == 1
