"""Texts of any length by natural voices and by eSpeak NG, and which of them speaks."""

import json
import os
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pcavs.errors import InputError
from pcavs.media.audio import read_waveform
from pcavs.voices import catalogue, espeak, piper, speak
from pcavs.voices.catalogue import find_voice, natural_voices, run
from pcavs.voices.options import VoicesOptions

RATE_HZ = 25_600
UNIT = 256
SYMBOL_UNITS = 4


@pytest.fixture
def voices(tmp_path, monkeypatch):
    """A folder with a Piper voice for which every symbol and gap lasts 4 units (40 ms), at a constant level."""
    folder = tmp_path / "voices" / "en"
    folder.mkdir(parents=True)
    ids = ops.parameter([-1, -1], np.int64, "input")
    lengths, scales = ops.parameter([-1], np.int64, "lengths"), ops.parameter([3], np.float32, "scales")
    unused = ops.multiply(ops.add(ops.convert(lengths, "f32"), ops.reduce_sum(scales, np.array([0]))), np.float32(0))
    units = ops.ceiling(ops.add(ops.multiply(ops.convert(ids, "f32"), np.float32(0)), np.float32(SYMBOL_UNITS)))
    count = ops.multiply(ops.reduce_sum(units, np.array([0, 1]), True), np.float32(UNIT))
    shape = ops.convert(ops.reshape(count, np.array([1]), False), "i64")
    sound = ops.add(ops.broadcast(np.float32(0.5), shape), unused)
    model = ov.Model([ops.result(sound), ops.result(units)], [ids, lengths, scales])
    ov.save_model(model, folder / "toy.xml", compress_to_fp16=False)
    (folder / "toy.xml").rename(folder / "toy.onnx")
    known = {symbol: [number] for number, symbol in enumerate("_^$ ma.,?")}
    config = {"audio": {"sample_rate": RATE_HZ}, "espeak": {"voice": "en-us"}, "phoneme_id_map": known}
    (folder / "toy.onnx.json").write_text(json.dumps(config | {"inference": {"length_scale": 1.0}}))
    (folder / "MODEL_CARD").write_text("# A toy\n\n* Language: en_US\n* License: CC0\n")
    monkeypatch.setattr(espeak, "transcribe", lambda words, _: [" ".join("ma" for _ in each.split()) for each in words])
    return tmp_path / "voices"


@pytest.fixture
def rendered(monkeypatch):
    """What the voice is asked to speak at once."""
    found, render = [], piper.render

    def note(path, symbols, **settings):
        found.append("".join(symbols))
        return render(path, symbols, **settings)

    monkeypatch.setattr(piper, "render", note)
    return found


def silences_s(samples, rate_hz):
    """Returns the lengths of the stretches of zeros, without those shorter than 10 ms."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (samples == 0).astype(int), [0]])))
    lengths = (edges[1::2] - edges[::2]) / rate_hz
    return [round(float(length), 2) for length in lengths if length > 0.01]


def test_pauses_are_as_long_as_they_say(voices, rendered):
    text = "[pause 0.3] One two. [pause 0.5] Three!\n\nFour <break time='1s'/> [pause 1] five"
    samples, rate_hz = speak.speak(text, "toy", voices=voices)
    assert rate_hz == RATE_HZ
    assert rendered == ["ma ma.", "ma", "ma", "ma"]
    # The end of a paragraph is a pause as well.
    assert silences_s(samples, rate_hz) == [0.3, 0.5, 0.6, 2.0]


def test_long_texts_are_spoken_whole(voices, rendered):
    sentence = "word " * 400
    text = f"Yes. No. {sentence}. " + "This is a sentence of eight words, indeed. " * 30
    samples, rate_hz = speak.speak(text, "toy", voices=voices)
    assert max(len(line) for line in rendered) <= 400
    assert rendered[0].startswith("ma. ma. ma ma"), "short sentences are spoken together"
    assert "".join(rendered).count("ma") == len(text.split()) - 1
    assert len(samples) / rate_hz > 3 * 0.08 * 640


def test_the_natural_voice_of_a_language_speaks_first(voices, rendered, monkeypatch):
    asked = []
    monkeypatch.setattr(
        speak, "synthesise_all", lambda texts, voice: asked.append(voice) or ([np.ones(9, np.int16)], 9)
    )
    for voice in ("toy", "en-us", "en"):
        speak.speak("Hello.", voice, voices=voices)
    assert (len(rendered), asked) == (3, [])
    for voice in ("en-us+f3", "espeak:en-us", "de", "en-gb", "toys"):
        speak.speak("Hello.", voice, voices=voices)
    assert (len(rendered), asked) == (3, ["en-us+f3", "en-us", "de", "en-gb", "toys"])


def test_voices_are_listed_with_language_and_licence(voices, monkeypatch, caplog):
    (voices / "broken.onnx.json").write_text("{}")
    (voices / "kokoro").mkdir()
    for name in ("kokoro.onnx", "vocab.json", "af_alloy.bin", "af_heart.bin", "zf_xiaoyi.bin"):
        (voices / "kokoro" / name).touch()
    found = [(voice.name, voice.kind, voice.language, voice.licence) for voice in natural_voices(voices)]
    assert found == [
        ("af_heart", "kokoro", "en-us", "Apache-2.0"),
        ("af_alloy", "kokoro", "en-us", "Apache-2.0"),
        ("toy", "piper", "en-us", "CC0"),
    ]
    assert "broken.onnx.json does not describe a Piper voice" in caplog.text
    monkeypatch.setenv("PCAVS_VOICES", str(voices))
    assert find_voice("en-us").name == "af_heart"
    monkeypatch.setattr(catalogue, "languages", lambda: ["de", "en-us"])
    lines = run(VoicesOptions())
    assert lines[2].split() == ["toy", "en-us", "piper", "CC0"]
    assert lines[3] == "eSpeak NG (GPL-3.0-or-later, a program of its own) speaks the others: de, en-us"


def test_a_folder_that_is_named_must_exist(tmp_path, monkeypatch):
    assert natural_voices() == []
    assert run(VoicesOptions())[0].startswith("no natural voices in ")
    with pytest.raises(InputError, match=r"nowhere is no folder of voices; give one with Piper or Kokoro voices"):
        natural_voices(tmp_path / "nowhere")
    monkeypatch.setenv("PCAVS_VOICES", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="is no folder of voices"):
        find_voice("en-us")


@pytest.mark.parametrize("text", ["[pause 1]", "... !", "<break/> — "])
def test_a_text_without_words_is_refused(text):
    with pytest.raises(InputError, match="the text has no words to say"):
        speak.speak(text, "en-us")


@pytest.mark.usefixtures("espeak")
def test_espeak_makes_the_same_pauses(tmp_path):
    speak.speak_to_file("One. [pause 0.7] Two.", "en-us", tmp_path / "a.wav")
    speak.speak_to_file("One. [pause 0.2] Two.", "en-us", tmp_path / "b.wav")
    long, short = (len(read_waveform(tmp_path / name)) / 16_000 for name in ("a.wav", "b.wav"))
    assert long - short == pytest.approx(0.5, abs=0.01)


@pytest.mark.usefixtures("espeak")
@pytest.mark.parametrize("voice", ["af_heart", "en_US-joe-medium"])
def test_real_voices_speak_as_long_as_a_person_would(voice):
    """With VOICES=FOLDER that holds these voices (docs/voices.md)."""
    folder = Path(os.environ.get("VOICES", "nowhere"))
    if not folder.is_dir() or find_voice(voice, folder) is None:
        pytest.skip(f"set VOICES to a folder with {voice}")
    text = "Dr. Smith paid $5.99 for 3.5 kg, e.g. at 10:30 p.m. [pause 1] It was 2,500,000 km away!"
    samples, rate_hz = speak.speak(text, voice, voices=folder)
    assert 7 < len(samples) / rate_hz < 16
    assert 1.0 <= max(silences_s(samples, rate_hz)) < 1.5
    assert np.abs(samples).max() > 3000
