"""Recordings are aligned to their words, or decoded without them."""

import sys

import numpy as np
import pytest

from pcavs.errors import InputError
from pcavs.synth import alignment
from pcavs.synth.alignment import IPA_OF, align
from pcavs.synth.speech import Utterance, Voice, speak, trim_silence
from pcavs.synth.visemes import sound_class
from pcavs.voices.phonemes import Phoneme


def is_without_gaps(utterance: Utterance) -> bool:
    """Returns whether the phonemes fill the sound from 0 to its end."""
    ends = [phoneme.end_s for phoneme in utterance.phonemes]
    starts = [phoneme.start_s for phoneme in utterance.phonemes]
    return starts == [0.0, *ends[:-1]] and ends[-1] == pytest.approx(len(utterance.waveform) / 16_000)


def test_every_phoneme_of_the_aligner_has_a_mouth_shape() -> None:
    assert len(IPA_OF) == 39
    assert all(sound_class(ipa) != "closed" for ipa in IPA_OF.values())


@pytest.mark.usefixtures("espeak")
def test_aligned_phonemes_have_the_times_of_the_synthesiser() -> None:
    pytest.importorskip("pocketsphinx")
    spoken = speak("We measured the problem twice.", Voice(language="en-us", words_a_minute=140))
    found = align(spoken.waveform, "we measured the problem twice")
    assert is_without_gaps(found)

    def instants(utterance: Utterance) -> list[float]:
        return [(p.start_s + p.end_s) / 2 for p in utterance.phonemes if sound_class(p.ipa) == "bilabial"]

    truth, made = instants(spoken), instants(found)
    assert len(truth) == 4
    assert max(min(abs(one - other) for other in made) for one in truth) < 0.06


@pytest.mark.usefixtures("espeak")
def test_without_text_sibilants_and_silence_are_found() -> None:
    pytest.importorskip("pocketsphinx")
    spoken = speak("Yes.", Voice(language="en-us"))
    silence = np.zeros(8000, np.float32)
    found = align(np.concatenate([silence, spoken.waveform, silence]), "")
    assert is_without_gaps(found)
    assert any(sound_class(p.ipa) == "sibilant" and 0.6 < p.start_s < 1.1 for p in found.phonemes)
    assert not any(p.ipa and p.end_s < 0.35 for p in found.phonemes)


@pytest.mark.usefixtures("espeak")
def test_loud_sound_without_words_is_refused() -> None:
    pytest.importorskip("pocketsphinx")
    spoken = speak("Four. Remember the number of the house. Nine.", Voice(language="en-us"))
    with pytest.raises(InputError, match=r"loud sound unexplained|do not fit"):
        align(spoken.waveform, "four nine")


def test_an_unknown_word_is_reported() -> None:
    pytest.importorskip("pocketsphinx")
    with pytest.raises(InputError, match="no pronunciation is known for 'blorgify'"):
        align(np.zeros(16_000, np.float32), "blorgify this")


def test_words_that_do_not_fit_the_sound_are_refused() -> None:
    pytest.importorskip("pocketsphinx")
    with pytest.raises(InputError, match="do not fit the recording's sound"):
        align(np.zeros(1600, np.float32), "a very long sentence for a tenth of a second")


def test_a_missing_pocketsphinx_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    alignment._decoder.cache_clear()
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(InputError, match=r'pip install "pcavs\[synth\]", or in a checkout pip install "\.\[synth\]"'):
        align(np.zeros(16_000, np.float32), "hello")


def test_trimming_keeps_the_speech_and_its_times() -> None:
    whole = Utterance(
        waveform=np.arange(32_000, dtype=np.float32),
        phonemes=(
            Phoneme(ipa="", start_s=0.0, end_s=0.7),
            Phoneme(ipa="a", start_s=0.7, end_s=1.0),
            Phoneme(ipa="", start_s=1.0, end_s=2.0),
        ),
    )
    short = trim_silence(whole, 0.2)
    assert is_without_gaps(short)
    assert short.waveform[0] == 8000
    assert len(short.waveform) == 11_200
    assert [(p.ipa, round(p.start_s, 6), round(p.end_s, 6)) for p in short.phonemes] == [
        ("", 0.0, 0.2), ("a", 0.2, 0.5), ("", 0.5, 0.7)
    ]  # fmt: skip
