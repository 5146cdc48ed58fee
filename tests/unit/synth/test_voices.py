"""Voices tables and recordings."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pcavs.errors import InputError
from pcavs.synth import voices
from pcavs.synth.speech import Utterance, change_speed, join
from pcavs.synth.texts import VAL_LANGUAGES
from pcavs.synth.voices import VoiceRow, espeak_speech, read_voices, table_speech, verify_languages
from pcavs.voices.phonemes import Phoneme

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
