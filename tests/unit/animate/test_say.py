"""The driving audio of a command: a file, or a text that eSpeak NG speaks."""

import ctypes.util
import types
from pathlib import Path

import pytest

from pcavs.animate.options import AnimateOptions
from pcavs.animate.say import with_driving_audio
from pcavs.errors import InputError
from pcavs.media import espeak
from pcavs.media.audio import read_waveform

needs_espeak = pytest.mark.skipif(ctypes.util.find_library("espeak-ng") is None, reason="eSpeak NG is not installed")


def options(**given):
    return AnimateOptions(identity=Path("a.jpg"), out=Path("b.mp4"), **given)


def test_options_with_audio_are_unchanged():
    given = options(audio=Path("c.wav"))
    with with_driving_audio(given) as made:
        assert made is given


@pytest.mark.parametrize("given", [{}, {"audio": Path("c.wav"), "say": "hello"}])
def test_audio_or_text_is_required_and_not_both(given):
    with pytest.raises(InputError, match="give --audio FILE or --say TEXT"), with_driving_audio(options(**given)):
        pass


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "a" * 30_000])
def test_an_empty_long_or_odd_text_is_refused(text):
    with pytest.raises(InputError, match="cannot be said; give 1 to 20000"), with_driving_audio(options(say=text)):
        pass


@needs_espeak
def test_a_text_becomes_a_temporary_sound_file():
    with with_driving_audio(options(say="One, two, three.")) as made:
        assert made.audio is not None
        assert 0.8 < len(read_waveform(made.audio)) / 16_000 < 4
        assert made.audio.exists()
    assert not made.audio.exists()


@needs_espeak
@pytest.mark.parametrize("voice", ["en-gb", "en-gb+f3", "en-us+m2", "de"])
def test_voices_with_and_without_a_variant(voice):
    samples, rate_hz = espeak.synthesise("Ja, so.", voice)
    assert 0.3 < len(samples) / rate_hz < 3


@needs_espeak
def test_an_unknown_voice_is_refused():
    with (
        pytest.raises(InputError, match="no voice xx-none"),
        with_driving_audio(options(say="Hello.", voice="xx-none")),
    ):
        pass


def test_without_espeak_the_message_names_the_package(monkeypatch):
    answer = types.SimpleNamespace(stdout=b'{"error": "missing"}\n')
    monkeypatch.setattr(espeak.subprocess, "run", lambda *_, **__: answer)
    with pytest.raises(InputError, match="apt install espeak-ng"), with_driving_audio(options(say="Hello.")):
        pass
