"""Computes mouth shapes over time from phonemes.

Each phoneme pulls the mouth towards the shape of its class, with a dominance that fades on both sides; shapes are mixed
by dominance (coarticulation). Closed lips (m, b, p) and the lip on the teeth (f, v) are laid over the mixture, because
a mixture of open vowels around a short p would never close.

Reference: Cohen and Massaro, "Modeling coarticulation in synthetic visual speech", 1993 (dominance functions).
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from jaxtyping import Float, Float32

from pcavs.numeric import smoothstep
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.types import Waveform
from pcavs.voices.phonemes import SILENCE, Phoneme

VISEMES: Final = ("AE_AA", "AO_a", "Ax_E", "TD_I", "UH_OO", "UW_U", "H_EST", "FV", "S", "SH_CH", "MPB", "KG", "TH")
"""Mouth shapes: the names of the heads' morphs (AE_AA is wide open as in "father", H_EST wide as in "yes"), and TH, the
tongue between the teeth."""

CLOSED: Final = "closed"
"""The class of silence and of unknown symbols."""

_BILABIAL, _LABIODENTAL = "bilabial", "labiodental"

SHAPES: Final[Mapping[str, Mapping[str, float]]] = {
    "open": {"AE_AA": 0.62},
    "front open": {"H_EST": 0.45, "AE_AA": 0.25},
    "front mid": {"H_EST": 0.5, "TD_I": 0.2},
    "front close": {"TD_I": 0.75},
    "central": {"Ax_E": 0.6},
    "back open": {"AO_a": 0.45, "UH_OO": 0.3},
    "back mid": {"UH_OO": 0.75, "AO_a": 0.12},
    "back close": {"UW_U": 0.9},
    "front rounded": {"UW_U": 0.6, "TD_I": 0.15, "UH_OO": 0.15},
    _BILABIAL: {"MPB": 0.7},
    _LABIODENTAL: {"FV": 1.0},
    "dental": {"TH": 0.8, "TD_I": 0.3},
    "alveolar": {"TD_I": 0.35, "Ax_E": 0.12},
    "sibilant": {"S": 0.85},
    "postalveolar": {"SH_CH": 0.85},
    "velar or glottal": {"KG": 0.55},
    "approximant": {"UH_OO": 0.35, "SH_CH": 0.25},
    CLOSED: {},
}
"""Viseme weights of each class of phonemes, at ordinary loudness. Chosen by eye; the openings that result are those of
real speakers (measured: 90th percentile 0.13 to 0.30 of the eye distance, GRID 0.14 to 0.25)."""

_SYMBOLS: Final = {
    "open": "aäɑɐʌɶ",
    "front open": "æɛ",
    "front mid": "eœ",
    "front close": "iɪjɨɯᵻ",
    "central": "əɘɜɚɝɞɤ",
    "back open": "ɔɒ",
    "back mid": "oɵ",
    "back close": "uʊwʉʍɥ",
    "front rounded": "yʏø",
    _BILABIAL: "mbpɓʙɸβ",
    _LABIODENTAL: "fvʋɱ",
    "dental": "θð",
    "alveolar": "tdnlɾrɫɬɭɳɖʈɗɽɲʎcɟ",
    "sibilant": "sz",
    "postalveolar": "ʃʒʂʐɕʑ",
    "velar or glottal": "kɡgŋxɣhʔqɢχʁħʕɦɴç",
    "approximant": "ɹɻ",
}
"""IPA symbols of each class."""

CLASS_OF: Final = {symbol: name for name, symbols in _SYMBOLS.items() for symbol in symbols}
"""Class of each IPA symbol."""

_HISSES: Final = ("sibilant", "postalveolar")
"""Classes that may end an affricate."""

VOWEL_PREFIXES: Final = ("open", "front", "central", "back")
"""Beginnings of the names of vowel classes."""

_FADE_S: Final = 0.045
"""Time outside a phoneme in which its dominance falls by e: neighbours reach about 100 ms into each other. Chosen by
eye."""

_DOMINANCE: Final = {"velar or glottal": 0.35, "alveolar": 0.45, CLOSED: 0.8, "sibilant": 0.8, "dental": 0.8}
"""Dominance of classes that give way to the vowels around them; 1 for the others. Chosen by eye."""

_MIN_DOMINANCE: Final = 1e-6
"""Keeps the sum of dominances from 0."""

_CLOSURE_S: Final = 0.05
"""Shortest time for which lips stay closed for m, b and p, so that a video of 25 frames a second shows it."""

_CLOSING_S: Final = 0.045
"""Time in which they close and open. Chosen by eye."""

_MIN_PAUSE_S: Final = 0.16
"""Shortest silence in which the mouth closes. Chosen by eye."""

_PAUSE_DELAY_S, _PAUSE_FADE_S = 0.02, 0.09
"""Time from the start of a pause until the mouth begins to close, and time in which it closes. Chosen by eye."""

_OUTSIDE_S: Final = 1.0
"""Time by which a pause at the clip's edge is taken to go on outside it."""

_SAME_TIME_S: Final = 1e-6
"""Largest difference of two times that count as equal."""

_LOUDNESS_HALF_SAMPLES: Final = SAMPLE_RATE_HZ * 6 // 100
"""Half the window over which loudness is measured (0.06 s)."""

_LOUD_PERCENTILE, _MIN_LOUDNESS = 90, 1e-4
"""Percentile of a clip's loudness that counts as 1, and the least value it is given."""


def sound_class(ipa: str) -> str:
    """Returns the class of a phoneme by its first known symbol; length, stress and tone marks are skipped.

    An affricate such as tʃ has the class of its hiss, for which the lips are ready from the start.
    """
    if ipa == SILENCE:
        return CLOSED
    classes = [CLASS_OF[symbol] for symbol in unicodedata.normalize("NFD", ipa) if symbol in CLASS_OF]
    if classes[:1] == ["alveolar"] and classes[1:2] and classes[1] in _HISSES:
        return classes[1]
    return classes[0] if classes else CLOSED


def viseme_curves(
    phonemes: Sequence[Phoneme], times_s: Float[np.ndarray, " time"]
) -> Float32[np.ndarray, "time visemes"]:
    """Returns the weights of `VISEMES` at the given times, 0 to 1.

    In m, b and p and in pauses the mouth closes fully: all visemes that open it are 0.
    """
    parts = [part for phoneme in phonemes for part in _split(phoneme)]
    weights = np.zeros((len(times_s), len(VISEMES)))
    total = np.full(len(times_s), _MIN_DOMINANCE)
    for phoneme in parts:
        name = sound_class(phoneme.ipa)
        dominance = _DOMINANCE.get(name, 1.0) * _dominance(phoneme, times_s)
        weights += dominance[:, None] * _shape_vector(name)
        total += dominance
    weights /= total[:, None]
    for name in (_LABIODENTAL, _BILABIAL):
        cover = np.zeros(len(times_s))
        for phoneme in parts:
            if sound_class(phoneme.ipa) == name:
                cover = np.maximum(cover, _cover(phoneme.start_s, phoneme.end_s, times_s))
        weights = weights * (1 - cover[:, None]) + cover[:, None] * _shape_vector(name)
    return np.clip(weights * _pause_factor(parts, times_s)[:, None], 0, 1).astype(np.float32)


def loudness(waveform: Waveform, times_s: Float[np.ndarray, " time"]) -> Float32[np.ndarray, " time"]:
    """Returns the root mean square in 0.12 s around each time, relative to the clip's loud parts, 0 to 1."""
    half = _LOUDNESS_HALF_SAMPLES
    energy = np.concatenate([[0.0], np.cumsum(waveform.astype(np.float64) ** 2)])
    centres = np.round(times_s * SAMPLE_RATE_HZ).astype(int)
    low, high = (np.clip(centres + shift, 0, len(waveform)) for shift in (-half, half))
    rms = np.sqrt(np.maximum(energy[high] - energy[low], 0) / (2 * half))
    reference = np.percentile(rms, _LOUD_PERCENTILE)
    return np.clip(rms / max(reference, _MIN_LOUDNESS), 0, 1).astype(np.float32)


def mouth_morphs(weights: Float32[np.ndarray, " visemes"], effort: float) -> dict[str, float]:
    """Returns the weights of the heads' morphs for one frame; teeth and tongue have those of the face.

    Args:
        weights: Of `VISEMES`.
        effort: Factor on openings, from loudness and the speaker's manner; closed lips and the lip on the teeth are not
            scaled.
    """
    morphs: dict[str, float] = {}
    for name, weight in zip(VISEMES, weights.tolist(), strict=True):
        if name == "MPB":
            morphs |= {"MPB_Up": weight, "MPB_Down": weight, "t_MPB": weight}
        elif name == "TH":
            morphs["OutMiddle_tg"] = weight
        else:
            scaled = weight if name == "FV" else weight * effort
            morphs |= {name: scaled, f"t_{name}": scaled}
    return morphs


def _split(phoneme: Phoneme) -> list[Phoneme]:
    """Splits a diphthong (two vowels of different classes) into its halves; other phonemes stay whole."""
    symbols = [symbol for symbol in unicodedata.normalize("NFD", phoneme.ipa) if symbol in CLASS_OF]
    shapes = [CLASS_OF[symbol] for symbol in symbols]
    both_vowels = len(symbols) > 1 and all(shape.startswith(VOWEL_PREFIXES) for shape in shapes[:2])
    if not both_vowels or shapes[0] == shapes[1]:
        return [phoneme]
    middle = (phoneme.start_s + phoneme.end_s) / 2
    return [
        Phoneme(ipa=symbols[0], start_s=phoneme.start_s, end_s=middle),
        Phoneme(ipa=symbols[1], start_s=middle, end_s=phoneme.end_s),
    ]


def _dominance(phoneme: Phoneme, times_s: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    """1 inside the phoneme, falling exponentially outside it."""
    ahead = phoneme.start_s - times_s
    behind = times_s - phoneme.end_s
    return np.exp(-np.maximum(np.maximum(ahead, behind), 0) / _FADE_S)


def _cover(start_s: float, end_s: float, times_s: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    """1 while the closure lasts, at least `_CLOSURE_S`, with smooth ramps before and after it."""
    missing = max(_CLOSURE_S - (end_s - start_s), 0) / 2
    outside = np.maximum(np.maximum(start_s - missing - times_s, times_s - end_s - missing), 0)
    return smoothstep(1 - outside / _CLOSING_S)


def _pause_factor(phonemes: Sequence[Phoneme], times_s: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    """1 while something is said, 0 inside a pause."""
    closed = np.zeros(len(times_s))
    for phoneme in _joined_silences(phonemes):
        if phoneme.end_s - phoneme.start_s < _MIN_PAUSE_S:
            continue
        into = np.minimum(times_s - phoneme.start_s, phoneme.end_s - times_s)
        closed = np.maximum(closed, smoothstep((into - _PAUSE_DELAY_S) / _PAUSE_FADE_S))
    return 1 - closed


def _joined_silences(phonemes: Sequence[Phoneme]) -> list[Phoneme]:
    """Joins neighbouring silences, and extends those at the clip's edges beyond it."""
    joined: list[Phoneme] = []
    for phoneme in phonemes:
        if sound_class(phoneme.ipa) != CLOSED:
            continue
        if joined and abs(joined[-1].end_s - phoneme.start_s) < _SAME_TIME_S:
            joined[-1] = Phoneme(ipa=SILENCE, start_s=joined[-1].start_s, end_s=phoneme.end_s)
        else:
            joined.append(Phoneme(ipa=SILENCE, start_s=phoneme.start_s, end_s=phoneme.end_s))
    # The clip cuts these pauses: the mouth stays closed up to its first and last frame.
    if joined and joined[0].start_s <= 0:
        joined[0] = Phoneme(ipa=SILENCE, start_s=-_OUTSIDE_S, end_s=joined[0].end_s)
    if joined and phonemes and joined[-1].end_s >= phonemes[-1].end_s:
        joined[-1] = Phoneme(ipa=SILENCE, start_s=joined[-1].start_s, end_s=joined[-1].end_s + _OUTSIDE_S)
    return joined


def _shape_vector(name: str) -> Float[np.ndarray, " visemes"]:
    return np.array([SHAPES[name].get(viseme, 0.0) for viseme in VISEMES])
