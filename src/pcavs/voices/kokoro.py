"""Speech of a Kokoro-82M voice with the time of every phoneme; OpenVINO runs the network's own ONNX file.

`scripts/fetch_kokoro.py` writes the folder that holds the network, its vocabulary and the voices. A voice is a table of
style vectors, one for each length of the text. The network computes how long each symbol lasts on its way to the sound;
that tensor is read as a second output. The phonemes come from eSpeak NG, rewritten to the symbols that Kokoro knows.
"""

import functools
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float, Float32

from pcavs.errors import InputError, raise_if_out_of_memory
from pcavs.runtime.openvino import Network, cpu_settings
from pcavs.voices.espeak import transcribe_texts
from pcavs.voices.phonemes import SILENCE, Phoneme, Spoken
from pcavs.voices.texts import clauses

NETWORK, VOCABULARY = "kokoro.onnx", "vocab.json"
"""Files that lie beside every voice."""

_RATE_HZ, _UNIT_S = 24_000, 0.025
"""Sampling rate of the network, and one unit of duration (600 samples)."""

_LAG_S: Final = 0.05
"""The sound of a phoneme comes this much before its durations say. Measured on eight voices against eSpeak NG, whose
times are exact: 46 ms by the loudness of the phoneme classes, 54 ms by pocketsphinx on 475 English phonemes."""

_DURATIONS: Final = "/encoder/Clip_output_0"
"""Tensor of the network with the number of units of each symbol, the pads included."""

_STYLE_LENGTH: Final = 256
"""Numbers in a style vector."""

_PAD: Final = 0
"""Number of the symbol before and after each text."""

LANGUAGES: Final[Mapping[str, str]] = {
    "a": "en-us",
    "b": "en-gb-x-rp",
    "e": "es",
    "f": "fr",
    "h": "hi",
    "i": "it",
    "p": "pt-br",
}
"""eSpeak NG's name of a voice's language, by the first letter of the voice's name."""

_COMMON_SYMBOLS: Final = {"tʃ": "ʧ", "dʒ": "ʤ", "ts": "ʦ", "dz": "ʣ", "g": "ɡ", "ɫ": "l", "ɱ": "m"}
"""Symbols of Kokoro for those of eSpeak NG, in all languages."""

_ENGLISH_SYMBOLS: Final = {"aɪ": "I", "aʊ": "W", "eɪ": "A", "ɔɪ": "Y", "ɚ": "əɹ", "r": "ɹ", "ɐ": "ə", "x": "k"}
"""The same in English, whose diphthongs are symbols of their own."""

_AMERICAN_SYMBOLS: Final = {"oʊ": "O", "əʊ": "O", "ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "oːɹ": "ɔɹ", "ː": ""}
_BRITISH_SYMBOLS: Final = {"əʊ": "Q", "oʊ": "Q", "eə": "ɛː"}
"""The same in American and in British English."""

_IPA_OF: Final = {
    "ʧ": "tʃ", "ʤ": "dʒ", "ʦ": "ts", "ʣ": "dz", "ʨ": "tɕ", "ʥ": "dʑ", "ꭧ": "tʂ", "ᵊ": "ə", "ɽ": "ɾ", "T": "ɾ",
    "A": "eɪ", "I": "aɪ", "O": "oʊ", "Q": "əʊ", "W": "aʊ", "Y": "ɔɪ",
}  # fmt: skip
"""IPA of Kokoro's own symbols."""

_SILENT_SYMBOLS: Final = set(';:,.!?—…"()“”')
"""Symbols during which nothing is said."""

_TRAILING_SYMBOLS: Final = set(" ːʰʲ\u0303↓→↗↘")
"""Gaps between words, length, tone and other marks; their duration belongs to the phoneme before them."""

_STRESS_MARKS: Final = set("ˈˌ")
"""Their duration belongs to the phoneme after them."""


def language_of(path: Path) -> str:
    """Returns the language of a Kokoro voice, by eSpeak NG's name.

    Raises:
        InputError: The voice's name does not begin with the letter of a language that eSpeak NG can transcribe.
    """
    try:
        return LANGUAGES[path.stem[0]]
    except KeyError as error:
        letters = ", ".join(f"{letter} {language}" for letter, language in LANGUAGES.items())
        raise InputError(
            f"{path.name} has no language that can be transcribed for it; use voices that begin with {letters}"
        ) from error


def speak(path: Path, text: str, language: str, slowness: float = 1.0) -> Spoken:
    """Speaks a text of a few sentences.

    Args:
        path: The voice's style vectors (`af_heart.bin`); the network and its vocabulary lie beside it.
        text: Words of the language, at most about 40 seconds of speech.
        language: eSpeak NG's name of the text's language; a voice speaks others than its own with an accent.
        slowness: Factor on the duration of every phoneme.

    Raises:
        InputError: A file is missing or is not Kokoro's, the text is too long, or eSpeak NG is missing.
    """
    _styles(path)  # says what is wrong with the voice before anything else
    (symbols,) = symbols_of(path, [clauses(text, language)], language)
    return render(path, symbols, slowness)


def symbols_of(path: Path, texts: Sequence[Sequence[tuple[str, str]]], language: str) -> list[list[str]]:
    """Returns the phonemes and marks of texts that Kokoro knows.

    Args:
        path: As in `speak`.
        texts: The clauses of each text (`texts.clauses`).
        language: As in `speak`.

    Raises:
        InputError: As `speak`.
    """
    known = _vocabulary(path.parent)
    written = [kokoro_symbols(line, language) for line in transcribe_texts(texts, language)]
    return [[symbol for symbol in line if symbol in known] for line in written]


def render(path: Path, symbols: Sequence[str], slowness: float = 1.0, threads: int = 1) -> Spoken:
    """Computes the sound of phonemes and marks.

    Args:
        path: As in `speak`.
        symbols: What `symbols_of` returned, or a part of it.
        slowness: As in `speak`.
        threads: Processor threads; 0 takes all.

    Raises:
        InputError: As `speak`.
    """
    styles = _styles(path)
    network = _load(path.parent, threads)
    if len(symbols) >= len(styles):
        raise InputError(f"a text of {len(symbols)} phonemes is too long for Kokoro ({len(styles) - 1}); split it")
    known = _vocabulary(path.parent)
    ids = np.array([[_PAD, *(known[symbol] for symbol in symbols), _PAD]], np.int64)
    results = network([ids, styles[len(symbols)][None], np.array([1 / slowness], np.float32)])
    sound = np.array(results[0], np.float32).reshape(-1)
    ends_s = np.cumsum(np.asarray(results[1], np.float64).reshape(-1)) * _UNIT_S
    ends_s[:-1] = np.maximum(ends_s[:-1] - _LAG_S, 0.0)
    return Spoken(sound, _RATE_HZ, _phonemes(["", *symbols, ""], ends_s))


def kokoro_symbols(ipa: str, language: str) -> str:
    """Rewrites eSpeak NG's IPA to the symbols with which Kokoro was trained.

    Reference: the phoneme inventory of misaki, Kokoro's own phonemiser.
    """
    changes = dict(_COMMON_SYMBOLS)
    if language.startswith("en"):
        changes |= _ENGLISH_SYMBOLS | (_BRITISH_SYMBOLS if language.startswith("en-gb") else _AMERICAN_SYMBOLS)
    longest_first = sorted(changes, key=len, reverse=True)
    pattern = re.compile("|".join(re.escape(symbols) for symbols in longest_first))
    # A nasal vowel is a vowel and a tilde; the cedilla stays part of its letter.
    decomposed = unicodedata.normalize("NFD", ipa).replace("c\u0327", "ç")
    return pattern.sub(lambda found: changes[found.group()], decomposed)


def _phonemes(symbols: list[str], ends_s: Float[np.ndarray, " symbols"]) -> tuple[Phoneme, ...]:
    """Makes phonemes of symbols, adding the durations of gaps and marks to the phonemes they belong to.

    Args:
        symbols: The network's input; empty for the pads.
        ends_s: The time at which each symbol ends.
    """
    phonemes: list[Phoneme] = []
    start_s = 0.0
    for symbol, end_s in zip(symbols, ends_s.tolist(), strict=True):
        if symbol in _STRESS_MARKS:
            continue
        is_trailing = symbol in _TRAILING_SYMBOLS and bool(phonemes)
        is_silent = not symbol or symbol in _SILENT_SYMBOLS or symbol in _TRAILING_SYMBOLS
        ipa = phonemes[-1].ipa if is_trailing else SILENCE if is_silent else _IPA_OF.get(symbol, symbol)
        if phonemes and (is_trailing or ipa == SILENCE == phonemes[-1].ipa):
            phonemes[-1] = Phoneme(ipa=ipa, start_s=phonemes[-1].start_s, end_s=end_s)
        elif end_s > start_s:
            phonemes.append(Phoneme(ipa=ipa, start_s=start_s, end_s=end_s))
        start_s = end_s
    return tuple(phonemes)


def _styles(path: Path) -> Float32[np.ndarray, "lengths 256"]:
    try:
        return np.fromfile(path, "<f4").reshape(-1, _STYLE_LENGTH)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a voice of Kokoro; fetch it again with scripts/fetch_kokoro.py") from error


@functools.lru_cache(maxsize=1)
def _vocabulary(folder: Path) -> dict[str, int]:
    try:
        return json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))["vocab"]
    except (OSError, ValueError, KeyError) as error:
        raise _incomplete(folder) from error


@functools.lru_cache(maxsize=1)
def _load(folder: Path, threads: int) -> Network:
    from pcavs.vino import ov

    core = ov.Core()
    try:
        model = core.read_model(folder / NETWORK)
        model.add_outputs(_DURATIONS)
    except RuntimeError as error:
        raise_if_out_of_memory(error)
        raise _incomplete(folder) from error
    return Network(core.compile_model(model, "CPU", cpu_settings(threads=threads)))


def _incomplete(folder: Path) -> InputError:
    return InputError(
        f"{folder} lacks Kokoro's {NETWORK} and {VOCABULARY}, or they are damaged; run scripts/fetch_kokoro.py"
    )
