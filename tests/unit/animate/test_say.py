"""A text instead of a voice."""

import ctypes.util
import types
from pathlib import Path

import pytest

from pcavs.animate.options import AnimateOptions
from pcavs.animate.say import with_voice
from pcavs.errors import InputError
from pcavs.media import espeak
from pcavs.media.audio import read_waveform

needs_espeak = pytest.mark.skipif(ctypes.util.find_library("espeak-ng") is None, reason="eSpeak NG is not installed")


def options(**given):
    return AnimateOptions(identity=Path("a.jpg"), out=Path("b.mp4"), **given)


def test_audio_is_left_alone():
    given = options(audio=Path("c.wav"))
    with with_voice(given) as made:
        assert made is given


@pytest.mark.parametrize("given", [{}, {"audio": Path("c.wav"), "say": "hello"}])
def test_there_must_be_one_voice(given):
    with pytest.raises(InputError, match="give --audio FILE or --say TEXT"), with_voice(options(**given)):
        pass


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "a" * 30_000])
def test_a_text_that_cannot_be_said(text):
    with pytest.raises(InputError, match="cannot be said; give 1 to 20000"), with_voice(options(say=text)):
        pass


@needs_espeak
def test_a_text_becomes_sound_that_goes_away_again():
    with with_voice(options(say="One, two, three.")) as made:
        assert made.audio is not None
        assert 0.8 < len(read_waveform(made.audio)) / 16_000 < 4
        assert made.audio.exists()
    assert not made.audio.exists()


@needs_espeak
@pytest.mark.parametrize("voice", ["en-gb", "en-gb+f3", "en-us+m2", "de"])
def test_voices_as_espeak_lists_them(voice):
    samples, rate_hz = espeak.synthesise("Ja, so.", voice)
    assert 0.3 < len(samples) / rate_hz < 3


@needs_espeak
def test_a_voice_that_is_not_there():
    with pytest.raises(InputError, match="no voice xx-none"), with_voice(options(say="Hello.", voice="xx-none")):
        pass


def test_without_espeak_it_says_what_to_install(monkeypatch):
    answer = types.SimpleNamespace(stdout=b'{"error": "missing"}\n')
    monkeypatch.setattr(espeak.subprocess, "run", lambda *_, **__: answer)
    with pytest.raises(InputError, match="apt install espeak-ng"), with_voice(options(say="Hello.")):
        pass
