"""Kokoro voices: symbols, times, and what is reported when a file is missing."""

import os
from pathlib import Path

import numpy as np
import pytest

from pcavs.errors import InputError
from pcavs.synth import voices
from pcavs.synth.voices import VoiceRow, table_speech
from pcavs.voices import kokoro

SYMBOLS = "#;:,.!? abmp\u02b0\u02c8\u02d0AI\u02a7t"
"""Symbols of the toy network, by number; as in conftest.py."""


@pytest.mark.parametrize(
    ("language", "ipa", "symbols"),
    [
        ("en-us", "tʃˈeɪndʒ ɡˈoʊt bˈɜːd hˈɑːɹbɚ", "ʧˈAnʤ ɡˈOt bˈɜɹd hˈɑɹbəɹ"),
        ("en-us", "mˈaɪ hˈaʊs bˈɔɪ", "mˈI hˈWs bˈY"),
        ("en-gb-x-rp", "ɡˈəʊt bˈɜːd", "ɡˈQt bˈɜːd"),
        ("de", "tsaɪt", "ʦaɪt"),
        ("es", "mutʃo", "muʧo"),
        ("fr", "bɔ̃ ɡaʁsɔ̃", "bɔ̃ ɡaʁsɔ̃"),
    ],
)
def test_symbols_are_those_kokoro_was_trained_with(language: str, ipa: str, symbols: str) -> None:
    assert kokoro.kokoro_symbols(ipa, language) == symbols


@pytest.mark.usefixtures("toy_network")
def test_times_follow_from_the_durations(toy_kokoro: Path) -> None:
    said = kokoro.speak(toy_kokoro, "whatever.", "en-us")
    numbers = [1, *(SYMBOLS.index(symbol) for symbol in "mˈIpʰ ʧ."), 1]
    ends_s = np.cumsum(numbers) * 0.025 - 0.05
    # The stress mark belongs to the vowel after it, the aspiration and the gap to the p before them.
    assert [p.ipa for p in said.phonemes] == ["m", "aɪ", "p", "tʃ", ""]
    np.testing.assert_allclose([p.end_s for p in said.phonemes[:-1]], ends_s[[1, 3, 6, 7]], atol=1e-6)
    assert said.phonemes[-1].end_s == pytest.approx(sum(numbers) * 0.025)
    assert all(a.end_s == b.start_s for a, b in zip(said.phonemes[:-1], said.phonemes[1:], strict=True))


@pytest.mark.usefixtures("toy_network")
def test_a_slow_voice_lasts_longer(toy_kokoro: Path) -> None:
    plain, slow = (kokoro.speak(toy_kokoro, "whatever.", "en-us", slowness) for slowness in (1.0, 1.5))
    assert slow.phonemes[-2].end_s > 1.4 * plain.phonemes[-2].end_s


@pytest.mark.usefixtures("toy_network")
def test_a_text_that_is_too_long_is_reported(toy_kokoro: Path) -> None:
    with pytest.raises(InputError, match=r"too long for Kokoro \(39\)"):
        kokoro.speak(toy_kokoro, "a, b, c, d, e, f.", "en-us")


def test_what_is_not_kokoro_is_reported(tmp_path: Path) -> None:
    (tmp_path / "af_toy.bin").write_bytes(bytes(1000))
    with pytest.raises(InputError, match=r"af_toy\.bin is not a voice of Kokoro"):
        kokoro.speak(tmp_path / "af_toy.bin", "hello", "en-us")
    (tmp_path / "af_toy.bin").write_bytes(bytes(4 * 256 * 9))
    with pytest.raises(InputError, match=r"lacks Kokoro's kokoro\.onnx and vocab\.json"):
        kokoro.speak(tmp_path / "af_toy.bin", "hello", "en-us")


def test_the_language_is_that_of_the_row_or_of_the_name() -> None:
    assert kokoro.language_of(Path("pf_dora.bin")) == "pt-br"
    with pytest.raises(InputError, match=r"zf_xiaoyi\.bin has no language"):
        kokoro.language_of(Path("zf_xiaoyi.bin"))


@pytest.mark.usefixtures("toy_network")
def test_a_voices_table_may_name_a_kokoro_voice(toy_kokoro: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoken: list[str] = []
    row = VoiceRow(path=toy_kokoro, speaker="toy", split="train", language="de", text="")
    monkeypatch.setattr(voices, "compose", lambda language, _random: spoken.append(language) or "text.")
    said = table_speech([row], 3.0, np.random.default_rng(0))
    assert (said.kind, said.voice, said.language, spoken) == ("kokoro", "toy", "de", ["de"])


@pytest.mark.usefixtures("espeak")
def test_the_real_network_speaks_when_its_phonemes_say() -> None:
    """With KOKORO=FOLDER: vowels are louder than pauses, and the loudness fits the times better than 60 ms off."""
    folder = Path(os.environ.get("KOKORO", ""))
    if not (folder / kokoro.NETWORK).exists():
        pytest.skip("set KOKORO to the folder of scripts/fetch_kokoro.py")
    said = kokoro.speak(folder / "af_heart.bin", "A big bat, a good dog, and a deep boat.", "en-us")
    level = np.convolve(np.abs(said.samples), np.ones(480) / 480, "same")

    def contrast(shift_s: float) -> float:
        loud = np.zeros(len(level), bool)
        for phoneme in said.phonemes:
            if phoneme.ipa and phoneme.ipa[0] in "aeiouæɑɔʊəɪɐ":
                loud[round((phoneme.start_s + shift_s) * 24_000) : round((phoneme.end_s + shift_s) * 24_000)] = True
        return float(np.corrcoef(loud, level)[0, 1])

    assert contrast(0.0) > 0.4
    assert contrast(0.0) > max(contrast(-0.06), contrast(0.06))
