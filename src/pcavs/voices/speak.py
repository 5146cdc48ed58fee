"""Speaks texts of any length, by a natural voice where there is one, otherwise by eSpeak NG."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float32, Int16

from pcavs.errors import InputError
from pcavs.media.files import write_wav
from pcavs.voices import kokoro, piper
from pcavs.voices.catalogue import NaturalVoice, find_voice
from pcavs.voices.espeak import synthesise_all
from pcavs.voices.phonemes import Spoken
from pcavs.voices.texts import Piece, paragraphs, pieces, sentences, written_out

ESPEAK: Final = "espeak:"
"""Before a language: eSpeak NG speaks, even if there is a natural voice."""
_MAX_CHARACTERS: Final = 20_000
"""Longest text that is spoken: about 20 minutes. Tuned by hand; not measured."""
_MOST_SYMBOLS: Final = 400
"""Most phonemes and marks that a network speaks at once: about 25 s. Kokoro takes 509."""
_FEW_SYMBOLS: Final = 60
"""Shorter sentences are spoken together with the next one, because the networks hurry through single words."""
_MARGIN_S: Final = 0.06
"""Sound that is kept before and after the phonemes of a sentence: breath, and the error of their times."""
_SENTENCE_S, _PARAGRAPH_S, _CUT_S = 0.25, 0.6, 0.02
"""Silence between sentences, between paragraphs, and where a long sentence is cut. Chosen by ear."""
_FADE_S: Final = 0.01
"""Length over which the cut ends of a sentence fade, so that they do not click."""
_FULL_SCALE: Final = 32767


def speak_to_file(
    text: str,
    voice: str,
    path: Path,
    *,
    voices: Path | None = None,
    max_characters: int = _MAX_CHARACTERS,
    threads: int = 0,
) -> None:
    """Speaks a text into a WAV file, which is replaced if it exists.

    Args:
        text: As in `speak`.
        voice: As in `speak`.
        path: The file to write.
        voices: As in `speak`.
        max_characters: Longest text.
        threads: As in `speak`.

    Raises:
        InputError: The text is empty or too long, or cannot be spoken.
    """
    text = text.strip()
    if not text or len(text) > max_characters or "\0" in text:
        raise InputError(f"a text of {len(text)} characters cannot be said; give 1 to {max_characters}")
    write_wav(path, *speak(text, voice, voices=voices, threads=threads))


def speak(
    text: str, voice: str, *, voices: Path | None = None, threads: int = 0
) -> tuple[Int16[np.ndarray, " samples"], int]:
    """Speaks a text at a moderate pace.

    Args:
        text: Words in the language of the voice, of any length, with pauses if wanted (`texts.pieces`).
        voice: Name of a natural voice; a language, which is spoken by a natural voice if there is one, otherwise by
            eSpeak NG; or a voice of eSpeak NG, such as en-gb+f3 or espeak:en-us.
        voices: Folder of natural voices, as in `catalogue.voices_folder`.
        threads: Processor threads of a natural voice; 0 takes all.

    Returns:
        The samples, mono, and their rate in Hz.

    Raises:
        InputError: A pause or the voice cannot be used, or nothing is said.
    """
    parts = pieces(text)
    if not any(symbol.isalnum() for part in parts for symbol in part.text):
        raise InputError("the text has no words to say; give some")
    natural = None if voice.startswith(ESPEAK) else find_voice(voice, voices)
    if natural is None:
        return _speak_by_espeak(parts, voice.removeprefix(ESPEAK))
    return _speak_naturally(parts, natural, threads)


def _speak_by_espeak(parts: Sequence[Piece], voice: str) -> tuple[Int16[np.ndarray, " samples"], int]:
    language = voice.partition("+")[0].lower()
    texts = [written_out("\n\n".join(paragraphs(part.text)), language) for part in parts]
    spoken, rate_hz = synthesise_all(texts, voice)
    joined: list[np.ndarray] = []
    for samples, part in zip(spoken, parts, strict=True):
        joined += [samples, np.zeros(round(part.pause_s * rate_hz), np.int16)]
    return np.concatenate(joined), rate_hz


def _speak_naturally(
    parts: Sequence[Piece], voice: NaturalVoice, threads: int
) -> tuple[Int16[np.ndarray, " samples"], int]:
    engine = piper if voice.kind == "piper" else kokoro
    lines = list(_cut(_joined(*_sentences(parts, voice))))
    spoken = [engine.render(voice.path, symbols, threads=threads) if symbols else None for symbols, _ in lines]
    rates_hz = [each.rate_hz for each in spoken if each is not None]
    if not rates_hz:
        raise InputError(f"the voice {voice.name} makes no sound for this text; give words in its language")
    joined: list[np.ndarray] = []
    for each, (_, pause_s) in zip(spoken, lines, strict=True):
        joined += [] if each is None else [_trimmed(each)]
        joined.append(np.zeros(round(pause_s * rates_hz[0]), np.float32))
    return (np.concatenate(joined).clip(-1, 1) * _FULL_SCALE).astype(np.int16), rates_hz[0]


def _sentences(parts: Sequence[Piece], voice: NaturalVoice) -> tuple[list[list[str]], list[float | None]]:
    """Returns the symbols of each sentence, and the silence after it in seconds; None where the paragraph goes on."""
    texts: list[list[tuple[str, str]]] = []
    pauses_s: list[float | None] = []
    for part in parts:
        count = len(texts)
        for paragraph in paragraphs(part.text):
            found = sentences(written_out(paragraph, voice.language), voice.language)
            texts += found
            pauses_s += [None] * (len(found) - 1) + [_PARAGRAPH_S] * bool(found)
        if len(texts) == count:
            texts.append([])
            pauses_s.append(0.0)
        pauses_s[-1] = part.pause_s
    if voice.kind == "piper":
        return piper.symbols_of(voice.path, texts), pauses_s
    return kokoro.symbols_of(voice.path, texts, voice.language), pauses_s


def _joined(lines: list[list[str]], pauses_s: list[float | None]) -> Iterator[tuple[list[str], float]]:
    """Joins short sentences with the next one of their paragraph."""
    held: list[str] = []
    for symbols, pause_s in zip(lines, pauses_s, strict=True):
        held += [" ", *symbols] if held else symbols
        if pause_s is None and len(held) < _FEW_SYMBOLS:
            continue
        yield held, _SENTENCE_S if pause_s is None else pause_s
        held = []


def _cut(lines: Iterator[tuple[list[str], float]]) -> Iterator[tuple[Sequence[str], float]]:
    """Cuts sentences that are too long for a network, after a mark if there is one, otherwise between words."""
    for whole, pause_s in lines:
        symbols = whole
        while len(symbols) > _MOST_SYMBOLS:
            end = _last(symbols, ",;:—.!?…") or _last(symbols, " ") or _MOST_SYMBOLS
            yield symbols[:end], _CUT_S
            symbols = symbols[end:]
        yield symbols, pause_s


def _last(symbols: Sequence[str], marks: str) -> int:
    """Returns the end of the longest beginning that a network can speak and that ends with one of the marks.

    Returns 0 if there is none, or if it is less than half of what the network can speak.
    """
    ends = range(_MOST_SYMBOLS // 2, _MOST_SYMBOLS + 1)
    return max((end for end in ends if symbols[end - 1] in marks), default=0)


def _trimmed(spoken: Spoken) -> Float32[np.ndarray, " samples"]:
    """Cuts the silence before the first and after the last phoneme, whose lengths differ between voices."""
    said = [phoneme for phoneme in spoken.phonemes if phoneme.ipa]
    if not said:
        return spoken.samples[:0]
    first = max(0, round((said[0].start_s - _MARGIN_S) * spoken.rate_hz))
    last = round((said[-1].end_s + _MARGIN_S) * spoken.rate_hz)
    samples = spoken.samples[first:last].copy()
    length = min(round(_FADE_S * spoken.rate_hz), len(samples))
    ramp = np.linspace(0, 1, length, dtype=np.float32)
    samples[:length] *= ramp
    samples[len(samples) - length :] *= ramp[::-1]
    return samples
