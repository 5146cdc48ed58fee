"""Phonemes in time become mouth shapes in time; pure numpy.

Each phoneme pulls the mouth towards its shape with a dominance that fades on both sides, and shapes mix by
dominance (co-articulation). Lips that must meet (m, b, p) and lip on teeth (f, v) are laid over the mixture
afterwards, because a blend of open vowels around a short p would otherwise never close.

Reference: Cohen and Massaro, "Modeling coarticulation in synthetic visual speech", 1993 (dominance functions).
"""

import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float32

from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.synth.speech import SILENCE, Phoneme
from pcavs.types import Waveform

VISEMES = ("AE_AA", "AO_a", "Ax_E", "TD_I", "UH_OO", "UW_U", "H_EST", "FV", "S", "SH_CH", "MPB", "KG", "TH")
"""The heads' own mouth shapes (AE_AA: wide open as in "father"; H_EST: wide as in "yes"; ...), and TH: tongue out."""

SHAPES: Mapping[str, Mapping[str, float]] = {
    "open": {"AE_AA": 0.62},
    "front open": {"H_EST": 0.45, "AE_AA": 0.25},
    "front mid": {"H_EST": 0.5, "TD_I": 0.2},
    "front close": {"TD_I": 0.75},
    "central": {"Ax_E": 0.6},
    "back open": {"AO_a": 0.45, "UH_OO": 0.3},
    "back mid": {"UH_OO": 0.75, "AO_a": 0.12},
    "back close": {"UW_U": 0.9},
    "front round": {"UW_U": 0.6, "TD_I": 0.15, "UH_OO": 0.15},
    "lips": {"MPB": 0.7},
    "teeth on lip": {"FV": 1.0},
    "tongue out": {"TH": 0.8, "TD_I": 0.3},
    "tongue tip": {"TD_I": 0.35, "Ax_E": 0.12},
    "hiss": {"S": 0.85},
    "hush": {"SH_CH": 0.85},
    "throat": {"KG": 0.55},
    "glide": {"UH_OO": 0.35, "SH_CH": 0.25},
    "closed": {},
}
"""How much of each viseme a class of sounds wants, at an ordinary loudness."""

_CLASSES = {
    "open": "aäɑɐʌɶ",
    "front open": "æɛ",
    "front mid": "eœ",
    "front close": "iɪjɨɯᵻ",
    "central": "əɘɜɚɝɞɤ",
    "back open": "ɔɒ",
    "back mid": "oɵ",
    "back close": "uʊwʉʍɥ",
    "front round": "yʏø",
    "lips": "mbpɓʙɸβ",
    "teeth on lip": "fvʋɱ",
    "tongue out": "θð",
    "tongue tip": "tdnlɾrɫɬɭɳɖʈɗɽɲʎcɟ",
    "hiss": "sz",
    "hush": "ʃʒʂʐɕʑ",
    "throat": "kɡgŋxɣhʔqɢχʁħʕɦɴç",
    "glide": "ɹɻ",
}
CLASS_OF = {symbol: name for name, symbols in _CLASSES.items() for symbol in symbols}

_VOWELS = ("open", "front", "central", "back")
_FADE_S = 0.045
"""Dominance falls by e in this time outside the phoneme: neighbours reach about 100 ms into each other."""
_STRENGTH = {"throat": 0.35, "tongue tip": 0.45, "closed": 0.8, "hiss": 0.8, "tongue out": 0.8}
"""Consonants made inside the mouth give way to the vowels around them; 1 unless named."""
_CLOSURE_S, _CLOSING_S = 0.05, 0.045
"""Shortest time that lips stay together for m, b, p, so that a film of 25 pictures a second shows it; ramp."""
_PAUSE_S = 0.16
"""Silences from this length on close the mouth."""


def sound_class(ipa: str) -> str:
    """Finds the mouth shape of a phoneme by its first known symbol; length, stress and tone marks are skipped."""
    if ipa == SILENCE:
        return "closed"
    for symbol in unicodedata.normalize("NFD", ipa):
        if symbol in CLASS_OF:
            return CLASS_OF[symbol]
    return "closed"


def viseme_curves(
    phonemes: Sequence[Phoneme], times_s: Float[np.ndarray, " time"]
) -> Float32[np.ndarray, "time visemes"]:
    """Weights of `VISEMES` at the given instants, 0 to 1.

    m, b and p reach full closure (every opening viseme 0) and so do pauses.
    """
    parts = [part for phoneme in phonemes for part in _split(phoneme)]
    weights = np.zeros((len(times_s), len(VISEMES)))
    total = np.full(len(times_s), 1e-6)
    for phoneme in parts:
        name = sound_class(phoneme.ipa)
        dominance = _STRENGTH.get(name, 1.0) * _dominance(phoneme, times_s)
        weights += dominance[:, None] * _shape_vector(name)
        total += dominance
    weights /= total[:, None]
    for name in ("teeth on lip", "lips"):
        cover = np.zeros(len(times_s))
        for phoneme in parts:
            if sound_class(phoneme.ipa) == name:
                cover = np.maximum(cover, _cover(phoneme.start_s, phoneme.end_s, times_s))
        weights = weights * (1 - cover[:, None]) + cover[:, None] * _shape_vector(name)
    return np.clip(weights * _speaking(parts, times_s)[:, None], 0, 1).astype(np.float32)


def loudness(waveform: Waveform, times_s: Float[np.ndarray, " time"]) -> Float32[np.ndarray, " time"]:
    """Root mean square around each instant (0.12 s), relative to the speech's loud parts, 0 to 1."""
    half = SAMPLE_RATE_HZ * 6 // 100
    energy = np.concatenate([[0.0], np.cumsum(waveform.astype(np.float64) ** 2)])
    centres = np.round(times_s * SAMPLE_RATE_HZ).astype(int)
    low, high = (np.clip(centres + shift, 0, len(waveform)) for shift in (-half, half))
    rms = np.sqrt(np.maximum(energy[high] - energy[low], 0) / (2 * half))
    reference = np.percentile(rms, 90)
    return np.clip(rms / max(reference, 1e-4), 0, 1).astype(np.float32)


def mouth_morphs(weights: Float32[np.ndarray, " visemes"], effort: float) -> dict[str, float]:
    """Names the heads' morphs for one instant: face and, with the same weights, teeth and tongue.

    Args:
        effort: Factor on openings (loudness and the speaker's manner); lips that must meet are not scaled.
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
    """Cuts a diphthong (two different vowel symbols) into its halves."""
    symbols = [symbol for symbol in unicodedata.normalize("NFD", phoneme.ipa) if symbol in CLASS_OF]
    shapes = [CLASS_OF[symbol] for symbol in symbols]
    both_vowels = len(symbols) > 1 and all(shape.startswith(_VOWELS) for shape in shapes[:2])
    if not both_vowels or shapes[0] == shapes[1]:
        return [phoneme]
    middle = (phoneme.start_s + phoneme.end_s) / 2
    return [
        Phoneme(ipa=symbols[0], start_s=phoneme.start_s, end_s=middle),
        Phoneme(ipa=symbols[1], start_s=middle, end_s=phoneme.end_s),
    ]


def _dominance(phoneme: Phoneme, times_s: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    ahead = phoneme.start_s - times_s
    behind = times_s - phoneme.end_s
    return np.exp(-np.maximum(np.maximum(ahead, behind), 0) / _FADE_S)


def _cover(start_s: float, end_s: float, times_s: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    missing = max(_CLOSURE_S - (end_s - start_s), 0) / 2
    outside = np.maximum(np.maximum(start_s - missing - times_s, times_s - end_s - missing), 0)
    return _smooth_step(1 - outside / _CLOSING_S)


def _speaking(phonemes: Sequence[Phoneme], times_s: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    """1 while something is said, 0 well inside a pause."""
    closed = np.zeros(len(times_s))
    for phoneme in _joined_silences(phonemes):
        if phoneme.end_s - phoneme.start_s < _PAUSE_S:
            continue
        into = np.minimum(times_s - phoneme.start_s, phoneme.end_s - times_s)
        closed = np.maximum(closed, _smooth_step((into - 0.02) / 0.09))
    return 1 - closed


def _joined_silences(phonemes: Sequence[Phoneme]) -> list[Phoneme]:
    joined: list[Phoneme] = []
    for phoneme in phonemes:
        if sound_class(phoneme.ipa) != "closed":
            continue
        if joined and abs(joined[-1].end_s - phoneme.start_s) < 1e-6:
            joined[-1] = Phoneme(ipa=SILENCE, start_s=joined[-1].start_s, end_s=phoneme.end_s)
        else:
            joined.append(Phoneme(ipa=SILENCE, start_s=phoneme.start_s, end_s=phoneme.end_s))
    # The film's edges are not the pause's edges: a silence cut by them stays closed to the last frame.
    if joined and joined[0].start_s <= 0:
        joined[0] = Phoneme(ipa=SILENCE, start_s=-1.0, end_s=joined[0].end_s)
    if joined and phonemes and joined[-1].end_s >= phonemes[-1].end_s:
        joined[-1] = Phoneme(ipa=SILENCE, start_s=joined[-1].start_s, end_s=joined[-1].end_s + 1.0)
    return joined


def _smooth_step(value: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    clipped = np.clip(value, 0, 1)
    return clipped * clipped * (3 - 2 * clipped)


def _shape_vector(name: str) -> Float[np.ndarray, " visemes"]:
    return np.array([SHAPES[name].get(viseme, 0.0) for viseme in VISEMES])
