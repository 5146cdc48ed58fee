"""Lips close where they must, stay shut in pauses, and follow the sound without delay."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcavs.synth.visemes import CLASS_OF, SHAPES, VISEMES, loudness, mouth_morphs, sound_class, viseme_curves
from pcavs.voices.phonemes import Phoneme

OPENING = [VISEMES.index(name) for name in VISEMES if name != "MPB"]
LIPS = VISEMES.index("MPB")
FINE_S = np.arange(0, 3, 0.005)
FRAMES_S = np.arange(75) / 25


def word(*sounds: tuple[str, float]) -> list[Phoneme]:
    """Returns phonemes of the given durations, one after the other, between two silences of half a second."""
    phonemes, now = [], 0.0
    for ipa, duration_s in (("", 0.5), *sounds, ("", 0.5)):
        phonemes.append(Phoneme(ipa=ipa, start_s=now, end_s=now + duration_s))
        now += duration_s
    return phonemes


def test_lips_close_for_p_between_open_vowels() -> None:
    curves = viseme_curves(word(("a", 0.2), ("p", 0.04), ("a", 0.2)), FINE_S)
    middle = np.argmin(np.abs(FINE_S - 0.72))
    assert curves[middle, OPENING].max() == pytest.approx(0, abs=1e-6)
    assert curves[middle, LIPS] == pytest.approx(SHAPES["bilabial"]["MPB"])
    vowel = np.argmin(np.abs(FINE_S - 0.6))
    assert curves[vowel, VISEMES.index("AE_AA")] > 0.5


@given(st.floats(0.0, 0.04), st.sampled_from(["m", "b", "p"]), st.floats(0.02, 0.15))
def test_25_frames_a_second_show_every_closure(shift_s: float, consonant: str, length_s: float) -> None:
    phonemes = word(("a", 0.2 + shift_s), (consonant, length_s), ("o", 0.2))
    start_s, end_s = phonemes[2].start_s, phonemes[2].end_s
    curves = viseme_curves(phonemes, FRAMES_S)
    near = (start_s - 0.02 <= FRAMES_S) & (end_s + 0.02 >= FRAMES_S)
    assert curves[near][:, OPENING].sum(axis=1).min() < 0.02


def test_silence_shuts_the_mouth() -> None:
    phonemes = word(("a", 0.3), ("", 0.4), ("a", 0.3))
    curves = viseme_curves(phonemes, FINE_S)
    for quiet_s in (0.0, 0.2, 1.0, 1.9):
        assert curves[np.argmin(np.abs(FINE_S - quiet_s))].max() == pytest.approx(0, abs=1e-6)


def test_a_vowel_at_the_clips_edge_stays_open() -> None:
    curves = viseme_curves([Phoneme(ipa="a", start_s=0.0, end_s=1.0)], FRAMES_S[:25])
    assert curves[:, VISEMES.index("AE_AA")].min() > 0.5


def test_the_mouth_opens_with_the_sound() -> None:
    """Half of the opening is reached within 40 ms of the vowel's start; a delay of one frame would fail."""
    curves = viseme_curves(word(("a", 0.4)), FINE_S)[:, VISEMES.index("AE_AA")]
    half = FINE_S[np.argmax(curves > curves.max() / 2)]
    assert abs(half - 0.5) < 0.04


def test_shifting_the_phonemes_shifts_the_curves() -> None:
    early = word(("s", 0.1), ("i", 0.2), ("b", 0.08), ("ʊ", 0.2))
    late = [Phoneme(ipa=p.ipa, start_s=p.start_s + 0.2, end_s=p.end_s + 0.2) for p in early]
    late[0] = Phoneme(ipa="", start_s=0.0, end_s=late[0].end_s)
    np.testing.assert_allclose(viseme_curves(late, FINE_S[140:300]), viseme_curves(early, FINE_S[100:260]), atol=0.01)


def test_diphthongs_move_from_one_vowel_to_the_other() -> None:
    curves = viseme_curves(word(("aʊ", 0.4)), FINE_S)
    early, late = (np.argmin(np.abs(FINE_S - time_s)) for time_s in (0.56, 0.84))
    wide, pursed = VISEMES.index("AE_AA"), VISEMES.index("UW_U")
    assert curves[early, wide] > curves[late, wide]
    assert curves[late, pursed] > curves[early, pursed]


def test_curves_are_smooth() -> None:
    rng = np.random.default_rng(0)
    sounds = [(str(rng.choice(list(CLASS_OF))), float(rng.uniform(0.05, 0.2))) for _ in range(12)]
    curves = viseme_curves(word(*sounds), FINE_S)
    assert np.abs(np.diff(curves, axis=0)).max() < 0.2
    assert curves.min() >= 0
    assert curves.max() <= 1


@pytest.mark.parametrize("consonant", ["f", "v"])
def test_25_frames_a_second_show_the_lip_on_the_teeth_in_fast_speech(consonant: str) -> None:
    for shift_s in np.arange(0, 0.04, 0.01):
        phonemes = word(("a", 0.06 + shift_s), (consonant, 0.02), ("o", 0.06), ("b", 0.02), ("a", 0.06))
        near = np.abs(FRAMES_S - (phonemes[2].start_s + 0.01)) <= 0.03
        assert viseme_curves(phonemes, FRAMES_S)[near, VISEMES.index("FV")].max() > 0.95


@pytest.mark.parametrize("affricate", ["tʃ", "dʒ"])
def test_lips_are_rounded_for_an_affricate_from_its_start(affricate: str) -> None:
    curves = viseme_curves(word(("a", 0.2), (affricate, 0.12), ("a", 0.2)), FINE_S)
    early = np.argmin(np.abs(FINE_S - 0.72))
    assert VISEMES[int(np.argmax(curves[early]))] == "SH_CH"


@pytest.mark.parametrize(
    ("ipa", "shape"), [("a", "open"), ("oʊ", "back mid"), ("tʃ", "postalveolar"), ("", "closed"), ("ũ", "back close")]
)
def test_marks_are_skipped(ipa: str, shape: str) -> None:
    assert sound_class(ipa) == shape


def test_effort_scales_openings_but_not_closed_lips() -> None:
    weights = np.zeros(len(VISEMES), np.float32)
    weights[LIPS], weights[VISEMES.index("AO_a")] = 0.7, 0.4
    morphs = mouth_morphs(weights, effort=1.5)
    assert morphs["AO_a"] == morphs["t_AO_a"] == pytest.approx(0.6)
    assert morphs["MPB_Up"] == pytest.approx(0.7)


def test_loudness_follows_the_sound_without_delay() -> None:
    waveform = np.zeros(48_000, np.float32)
    waveform[16_000:32_000] = 0.3 * np.sin(np.arange(16_000) / 5)
    curve = loudness(waveform, FRAMES_S)
    assert curve[:22].max() == 0
    assert curve[28:47].min() > 0.9
    assert curve[25] == pytest.approx(curve[50], abs=0.05)
