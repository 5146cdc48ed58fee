"""The driving audio of a command: a file, or a text that eSpeak NG speaks."""

import ctypes.util
import io
import os
import threading
import types
from pathlib import Path

import numpy as np
import pytest

from pcavs.animate.options import AnimateOptions
from pcavs.animate.say import with_driving_audio
from pcavs.errors import InputError
from pcavs.media.audio import read_waveform
from pcavs.media.files import wav_bytes
from pcavs.voices import espeak

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


@pytest.mark.parametrize(
    "voice", ["", "../../tmp/x", "/etc/passwd", "en+../x", "en/us", "a\0b", "-w", "x" * 99, "en\nus"]
)
def test_a_voice_is_a_name_and_no_path(voice):
    with pytest.raises(InputError, match=r"is no voice; give a name or language of"):
        espeak.synthesise("Hello.", voice)


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


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import time; time.sleep(60)", r"^eSpeak NG did not finish within 1 s; give a shorter text$"),
        ("raise SystemExit('no voice data')", r"^eSpeak NG failed \(no voice data\); try another voice or text$"),
        ("import os; os.abort()", r"^eSpeak NG failed \(.*SIGABRT.*\); try another voice or text$"),
        ("print('nonsense')", r"^eSpeak NG failed \(Expecting value.*\); try another voice or text$"),
    ],
)
def test_a_failing_espeak_is_one_line(tmp_path, monkeypatch, program, message):
    worker = tmp_path / "worker.py"
    worker.write_text(program)
    monkeypatch.setattr(espeak, "_WORKER", worker)
    monkeypatch.setattr(espeak, "_TIMEOUT_S", 1)
    with pytest.raises(InputError, match=message):
        espeak.synthesise("hello", "en-us")


@pytest.mark.parametrize("way", ["fifo", "-"])
def test_a_pipe_is_spooled(tmp_path, monkeypatch, way):
    data = wav_bytes(np.sin(np.arange(8000) / 20))
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(data))
    if way == "fifo":
        writer.start()
    else:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    with with_driving_audio(options(audio=fifo if way == "fifo" else Path("-"))) as resolved:
        place = resolved.audio
        for _ in range(2):
            assert len(read_waveform(place)) == 8000
    assert not place.exists()
    if way == "fifo":
        writer.join()


def test_an_empty_pipe_is_one_line(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    with pytest.raises(InputError, match="^- delivers nothing; "), with_driving_audio(options(audio=Path("-"))):
        pass


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fifo", "fifo is a pipe or device, and is read more than once; save it as a file and give that"),
        ("/dev/zero", "/dev/zero is a pipe or device"),
        ("https://example.org/a.mp3", "https:/example.org/a.mp3 is a URL, and nothing is downloaded; download it"),
    ],
)
def test_what_is_no_file_is_refused_before_it_is_opened(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    with pytest.raises(InputError, match=message):
        read_waveform(Path(name))
