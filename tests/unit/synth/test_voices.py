"""Voices tables, recordings and Piper voices."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pcavs.errors import InputError
from pcavs.synth import piper, voices
from pcavs.synth.speech import Phoneme, Utterance, change_speed, join
from pcavs.synth.texts import VAL_LANGUAGES
from pcavs.synth.voices import VoiceRow, espeak_speech, read_voices, table_speech, verify_languages

HEADER = "path,speaker,split,language,text\n"


def hum(seconds: float) -> Utterance:
    """Returns one vowel."""
    count = round(seconds * 16_000)
    wave = np.sin(np.arange(count) * 2 * np.pi * 200 / 16_000).astype(np.float32)
    return Utterance(waveform=wave, phonemes=(Phoneme(ipa="a", start_s=0.0, end_s=seconds),))


def test_paths_are_relative_to_the_table(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "voices.csv").write_text(f"{HEADER}a.wav,anna,train,hu,\n", encoding="utf-8")
    (voice,) = read_voices(tmp_path / "voices.csv")
    assert voice == VoiceRow(path=tmp_path / "a.wav", speaker="anna", split="train", language="hu", text="")


@pytest.mark.parametrize(
    ("content", "message"),
    [("path,text\na,b\n", "must name path, speaker, split"), (f"{HEADER}gone.wav,a,train,en,\n", "gone.wav")],
)
def test_a_table_that_cannot_be_used_is_reported(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "voices.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_voices(tmp_path / "voices.csv")


def test_joining_keeps_the_times() -> None:
    both = join([hum(0.5), hum(0.3)], [0.0, 0.2])
    assert len(both.waveform) == 16_000
    assert [(p.ipa, round(p.start_s, 6), round(p.end_s, 6)) for p in both.phonemes] == [
        ("a", 0.0, 0.5), ("", 0.5, 0.7), ("a", 0.7, 1.0)
    ]  # fmt: skip


def test_faster_speech_is_shorter_and_higher_and_keeps_its_times() -> None:
    quick = change_speed(hum(1.0), 1.25)
    assert len(quick.waveform) == 12_800
    assert quick.phonemes[-1].end_s == pytest.approx(0.8)
    spectrum = np.abs(np.fft.rfft(quick.waveform))
    assert np.argmax(spectrum) / 0.8 == pytest.approx(250, abs=2)


def test_a_recording_that_cannot_be_aligned_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fake(waveform: np.ndarray, text: str) -> Utterance:
        if text == "bad":
            raise InputError("does not fit")
        return Utterance(waveform=waveform, phonemes=hum(1.0).phonemes)

    monkeypatch.setattr(voices, "align", fake)
    monkeypatch.setattr(voices, "read_waveform", lambda _path: hum(1.0).waveform)
    files = [
        VoiceRow(path=tmp_path / f"{text}.wav", speaker="anna", split="train", language="en", text=text)
        for text in ("good", "bad")
    ]
    said = table_speech(files, 2.5, np.random.default_rng(0))
    assert set(said.text.split()) == {"good"}
    assert len(said.utterance.waveform) >= 2.5 * 16_000
    assert "bad.wav is skipped: does not fit" in caplog.text
    other = dataclasses.replace(files[0], speaker="berta")
    drawn = {table_speech([files[1], other], 1.0, np.random.default_rng(seed)).voice for seed in range(6)}
    assert drawn == {"berta"}
    with pytest.raises(InputError, match="no recording of the voices table could be aligned"):
        table_speech(files[1:], 2.5, np.random.default_rng(0))


@pytest.fixture
def toy_voice(tmp_path: Path) -> Path:
    """A stand-in for a Piper voice: each symbol's duration is its number, and the sound is the numbers themselves."""
    ids = ops.parameter([-1, -1], np.int64, "input")
    lengths, scales = ops.parameter([-1], np.int64, "lengths"), ops.parameter([3], np.float32, "scales")
    numbers = ops.convert(ids, "f32")
    steps = ops.ceiling(ops.multiply(numbers, ops.gather(scales, np.array(1), np.array(0))))
    used = ops.multiply(ops.convert(lengths, "f32"), np.float32(0))
    path = tmp_path / "toy.xml"
    ov.save_model(ov.Model([ops.result(ops.add(numbers, used)), ops.result(steps)], [ids, lengths, scales]), path)
    symbols = {symbol: [number] for number, symbol in enumerate("_^$ aːˈmp.", start=0)}
    config = {"audio": {"sample_rate": 25_600}, "espeak": {"voice": "en-us"}, "phoneme_id_map": symbols}
    path.with_name("toy.xml.json").write_text(json.dumps(config | {"inference": {"length_scale": 1.0}}))
    return path


def test_piper_times_follow_from_the_durations(toy_voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piper, "transcribe", lambda clauses, _language: ["mˈaːp" for _ in clauses])
    said = piper.speak(toy_voice, "whatever.")
    # Durations in units of 10 ms: start 1, m 7, stress 6 and a 4 with its length mark 5, p 8, full stop 9, end 2.
    # All times are 25 ms earlier, except for the last.
    assert [p.ipa for p in said.phonemes] == ["m", "a", "p", ""]
    np.testing.assert_allclose([p.end_s for p in said.phonemes], [0.055, 0.205, 0.285, 0.42], atol=1e-6)


def test_a_file_that_is_not_a_piper_voice_is_reported(tmp_path: Path, toy_voice: Path) -> None:
    with pytest.raises(InputError, match="does not describe a Piper voice"):
        piper.language_of(tmp_path / "nobody.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing")
    broken.with_name("broken.onnx.json").write_text(toy_voice.with_name("toy.xml.json").read_text())
    with pytest.raises(InputError, match=r"broken\.onnx is not a Piper voice"):
        piper.speak(broken, "hello")


@pytest.mark.usefixtures("espeak")
def test_speech_uses_the_given_languages() -> None:
    random = np.random.default_rng(0)
    spoken = {espeak_speech(True, random, ("hi", "pl")).language for _ in range(8)}
    assert spoken == {"hi", "pl"}
    assert {espeak_speech(True, random).language for _ in range(8)} <= set(VAL_LANGUAGES)


def test_a_language_without_sentences_is_reported() -> None:
    verify_languages(("de", "sv"))
    with pytest.raises(InputError, match="no sentences in xx; the languages are en-us, "):
        verify_languages(("de", "xx"))
