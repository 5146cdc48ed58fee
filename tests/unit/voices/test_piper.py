"""Piper voices: times, and what is reported when a file is missing."""

from pathlib import Path

import numpy as np
import pytest

from pcavs.errors import InputError
from pcavs.voices import espeak, piper


def test_piper_times_follow_from_the_durations(toy_piper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "transcribe", lambda clauses, _language: ["mˈaːp" for _ in clauses])
    said = piper.speak(toy_piper, "whatever.")
    # Durations in units of 10 ms: start 1, m 7, stress 6 and a 4 with its length mark 5, p 8, full stop 9, end 2.
    # All times are 25 ms earlier, except for the last.
    assert [p.ipa for p in said.phonemes] == ["m", "a", "p", ""]
    np.testing.assert_allclose([p.end_s for p in said.phonemes], [0.055, 0.205, 0.285, 0.42], atol=1e-6)


def test_a_file_that_is_not_a_piper_voice_is_reported(tmp_path: Path, toy_piper: Path) -> None:
    with pytest.raises(InputError, match="does not describe a Piper voice"):
        piper.language_of(tmp_path / "nobody.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing")
    broken.with_name("broken.onnx.json").write_text(toy_piper.with_name("toy.xml.json").read_text())
    with pytest.raises(InputError, match=r"broken\.onnx is not a Piper voice"):
        piper.speak(broken, "hello")
