"""Tables of real voices, and the Piper voices among them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pcavs.errors import InputError
from pcavs.synth import piper, voices
from pcavs.synth.speech import Phoneme, Utterance, joined, quickened
from pcavs.synth.texts import VAL_LANGUAGES
from pcavs.synth.voices import VoiceFile, read_voices, real_speech, synthetic_speech, verify_languages

HEADER = "path,speaker,split,language,text\n"


def hum(seconds: float) -> Utterance:
    """One vowel."""
    count = round(seconds * 16_000)
    wave = np.sin(np.arange(count) * 2 * np.pi * 200 / 16_000).astype(np.float32)
    return Utterance(waveform=wave, phonemes=(Phoneme(ipa="a", start_s=0.0, end_s=seconds),))


def test_a_table_is_read_beside_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "voices.csv").write_text(f"{HEADER}a.wav,anna,train,hu,\n", encoding="utf-8")
    (voice,) = read_voices(tmp_path / "voices.csv")
    assert voice == VoiceFile(path=tmp_path / "a.wav", speaker="anna", split="train", language="hu", text="")


@pytest.mark.parametrize(
    ("content", "message"),
    [("path,text\na,b\n", "must name path, speaker, split"), (f"{HEADER}gone.wav,a,train,en,\n", "gone.wav")],
)
def test_a_wrong_table_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "voices.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        read_voices(tmp_path / "voices.csv")


def test_joined_speech_keeps_every_time() -> None:
    both = joined([hum(0.5), hum(0.3)], [0.0, 0.2])
    assert len(both.waveform) == 16_000
    assert [(p.ipa, round(p.start_s, 6), round(p.end_s, 6)) for p in both.phonemes] == [
        ("a", 0.0, 0.5), ("", 0.5, 0.7), ("a", 0.7, 1.0)
    ]  # fmt: skip


def test_quickened_speech_is_shorter_higher_and_still_in_time() -> None:
    quick = quickened(hum(1.0), 1.25)
    assert len(quick.waveform) == 12_800
    assert quick.phonemes[-1].end_s == pytest.approx(0.8)
    spectrum = np.abs(np.fft.rfft(quick.waveform))
    assert np.argmax(spectrum) / 0.8 == pytest.approx(250, abs=2)


def test_a_recording_that_does_not_fit_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fake(waveform: np.ndarray, text: str) -> Utterance:
        if text == "bad":
            raise InputError("does not fit")
        return Utterance(waveform=waveform, phonemes=hum(1.0).phonemes)

    monkeypatch.setattr(voices, "aligned", fake)
    monkeypatch.setattr(voices, "read_waveform", lambda _path: hum(1.0).waveform)
    files = [
        VoiceFile(path=tmp_path / f"{text}.wav", speaker="anna", split="train", language="en", text=text)
        for text in ("good", "bad")
    ]
    said = real_speech(files, 2.5, np.random.default_rng(0))
    assert set(said.text.split()) == {"good"}
    assert len(said.utterance.waveform) >= 2.5 * 16_000
    assert "bad.wav is passed over: does not fit" in caplog.text
    other = dataclasses.replace(files[0], speaker="berta")
    drawn = {real_speech([files[1], other], 1.0, np.random.default_rng(seed)).voice for seed in range(6)}
    assert drawn == {"berta"}
    with pytest.raises(InputError, match="no recording of the voices table could be aligned"):
        real_speech(files[1:], 2.5, np.random.default_rng(0))


@pytest.fixture
def toy_voice(tmp_path: Path) -> Path:
    """Stands in for a Piper voice: every symbol lasts its number of steps, and the sound is its symbols."""
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


def test_piper_times_come_from_the_voices_own_durations(toy_voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piper, "transcribed", lambda clauses, _language: ["mˈaːp" for _ in clauses])
    said = piper.say(toy_voice, "whatever.")
    # Steps of 10 ms: the start 1, m 7, stress 6 and a 4 with its length 5, p 8, the full stop 9, the end 2; all of
    # it 25 ms early but the last.
    assert [p.ipa for p in said.phonemes] == ["m", "a", "p", ""]
    np.testing.assert_allclose([p.end_s for p in said.phonemes], [0.055, 0.205, 0.285, 0.42], atol=1e-6)


def test_a_file_that_is_no_voice_is_named(tmp_path: Path, toy_voice: Path) -> None:
    with pytest.raises(InputError, match="does not describe a Piper voice"):
        piper.language_of(tmp_path / "nobody.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing")
    broken.with_name("broken.onnx.json").write_text(toy_voice.with_name("toy.xml.json").read_text())
    with pytest.raises(InputError, match=r"broken\.onnx is not a Piper voice"):
        piper.say(broken, "hello")


@pytest.mark.usefixtures("espeak")
def test_speech_keeps_to_the_languages_asked_for() -> None:
    random = np.random.default_rng(0)
    spoken = {synthetic_speech(True, random, ("hi", "pl")).language for _ in range(8)}
    assert spoken == {"hi", "pl"}
    assert {synthetic_speech(True, random).language for _ in range(8)} <= set(VAL_LANGUAGES)


def test_a_language_without_texts_is_named() -> None:
    verify_languages(("de", "sv"))
    with pytest.raises(InputError, match="no texts in xx; there are en-us, "):
        verify_languages(("de", "xx"))
