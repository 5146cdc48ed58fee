"""Speech comes with the exact time of each phoneme, and every operation on it keeps sound and times together."""

import numpy as np
import pytest

from pcavs.errors import InputError
from pcavs.synth.acoustics import simulate_recording
from pcavs.synth.speech import Utterance, Voice, excerpt, resample, speak
from pcavs.synth.texts import SENTENCES, VAL_LANGUAGES, VAL_VARIANTS, VARIANTS, compose
from pcavs.synth.visemes import sound_class
from pcavs.voices import espeak
from pcavs.voices.phonemes import Phoneme


def level(utterance: Utterance, phoneme: Phoneme) -> float:
    """Returns the root mean square of one phoneme."""
    samples = utterance.waveform[int(phoneme.start_s * 16_000) : int(phoneme.end_s * 16_000)]
    return float(np.sqrt(np.mean(samples**2)))


@pytest.mark.usefixtures("espeak")
def test_phonemes_have_the_times_of_their_sound() -> None:
    spoken = speak("Mama. Papa.", Voice(language="en-us"))
    vowels = [p for p in spoken.phonemes if sound_class(p.ipa) == "open"]
    pauses = [p for p in spoken.phonemes if not p.ipa and p.end_s - p.start_s > 0.05]
    assert len(vowels) >= 2
    assert pauses
    assert min(level(spoken, vowel) for vowel in vowels) > 5 * max(level(spoken, pause) for pause in pauses)
    ends = [p.end_s for p in spoken.phonemes]
    assert [p.start_s for p in spoken.phonemes] == [0.0, *ends[:-1]]
    assert ends[-1] == pytest.approx(len(spoken.waveform) / 16_000, abs=1e-3)


@pytest.mark.usefixtures("espeak")
def test_equal_requests_give_equal_sound() -> None:
    first, second = (speak("The same words.", Voice(language="en-us", variant="f2")) for _ in range(2))
    np.testing.assert_array_equal(first.waveform, second.waveform)


@pytest.mark.usefixtures("espeak")
@pytest.mark.parametrize("language", SENTENCES)
def test_every_language_is_spoken_and_its_phonemes_are_known(language: str) -> None:
    spoken = speak(" ".join(SENTENCES[language]), Voice(language=language))
    unknown = {p.ipa for p in spoken.phonemes if p.ipa and sound_class(p.ipa) == "closed"}
    assert not unknown
    assert len(spoken.waveform) > 3 * 16_000


@pytest.mark.usefixtures("espeak")
def test_an_unknown_voice_is_reported() -> None:
    with pytest.raises(InputError, match=r"no voice tlh-qaak.*--voices"):
        speak("Hello", Voice(language="tlh-qaak"))


def test_a_missing_espeak_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        stdout = b'{"error": "missing"}\n'

    monkeypatch.setattr(espeak.subprocess, "run", lambda *_args, **_kwargs: Missing())
    with pytest.raises(InputError, match="apt install espeak-ng"):
        speak("Hello", Voice(language="en-us"))


def test_excerpt_keeps_sound_and_phonemes_together() -> None:
    waveform = np.arange(32_000, dtype=np.float32) / 32_000
    sounds = tuple(Phoneme(ipa="a", start_s=t / 10, end_s=(t + 1) / 10) for t in range(20))
    cut = excerpt(Utterance(waveform=waveform, phonemes=sounds), -0.25, 1.0)
    assert len(cut.waveform) == 16_000
    assert cut.waveform[:4000].max() == 0
    assert cut.waveform[4001] == waveform[1]
    assert cut.phonemes[0] == Phoneme(ipa="", start_s=0.0, end_s=0.25)
    assert cut.phonemes[1].start_s == pytest.approx(0.25)
    assert cut.phonemes[-1].end_s == pytest.approx(1.0)


def test_an_excerpt_is_silent_after_the_end() -> None:
    sounds = (Phoneme(ipa="a", start_s=0.0, end_s=1.0),)
    cut = excerpt(Utterance(waveform=np.ones(16_000, np.float32), phonemes=sounds), 0.5, 1.0)
    assert [p.ipa for p in cut.phonemes] == ["a", ""]
    assert cut.waveform[8000:].max() == 0


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100])
def test_resampling_does_not_move_a_click(rate_hz: int) -> None:
    samples = np.zeros(rate_hz, np.float32)
    samples[rate_hz // 2] = 1.0
    out = resample(samples, rate_hz)
    assert len(out) == 16_000
    assert np.argmax(np.abs(out)) == 8_000


def test_recording_conditions_do_not_move_a_click() -> None:
    click = np.zeros(16_000, np.float32)
    click[8_000:8_040] = np.hanning(40)
    for seed in range(8):
        heard = simulate_recording(click, np.random.default_rng(seed))
        assert abs(int(np.argmax(np.abs(heard))) - 8_020) <= 16
        assert np.abs(heard).max() <= 0.99


def test_held_out_voices_are_not_in_training() -> None:
    assert not set(VAL_VARIANTS) & set(VARIANTS)
    assert set(VAL_LANGUAGES) < set(SENTENCES)


def test_equal_seeds_give_equal_texts() -> None:
    first, second, other = (compose("de", np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == second != other
