"""When is what said in a recording: English words aligned to phonemes by pocketsphinx (its model rides in its wheel).

What was said is known for some recordings and not for others. Known words are aligned; where no text is known, the
phonemes are decoded freely, which finds vowels, hisses and silences at their time but often the wrong neighbour of a
class (docs/measurements.md).
"""

import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pcavs.errors import InputError
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.synth.speech import SILENCE, Phoneme, Utterance
from pcavs.types import Waveform

_FRAME_S = 0.01
"""Step of the aligner."""
_WINDOW_S = 0.01
"""The aligner looks 26 ms ahead of a step's start: what it finds lies this much later (docs/measurements.md)."""
_LOUD_PAUSE, _SHORT_PAUSE_S = 0.5, 0.06
"""A longer pause between words that is louder than this share of the words is speech, laid on the wrong words."""

IPA_OF = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "tʃ", "D": "d", "DH": "ð",
    "EH": "ɛ", "ER": "ɝ", "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h", "IH": "ɪ", "IY": "i", "JH": "dʒ", "K": "k",
    "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ",
    "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
"""The aligner's phonemes in the phonetic alphabet; its others (SIL and noises) are silence."""


def aligned(waveform: Waveform, text: str) -> Utterance:
    """Finds the time of every phoneme of a recording.

    Args:
        waveform: 16 kHz.
        text: English words as spoken; without any, the phonemes are decoded freely, in whatever language.

    Returns:
        The recording with its phonemes, without gaps from 0 to its end, times in steps of 10 ms.

    Raises:
        InputError: pocketsphinx is not installed, does not know a word, or finds no way to lay the words on the sound.
    """
    words = re.sub(r"[^a-z' ]+", " ", text.lower()).split()
    # What the recogniser was taught at is speech of an ordinary level.
    peak = float(np.abs(waveform).max(initial=0.0))
    pcm = np.round(waveform * (0.6 * 32767 / max(peak, 1e-3))).astype("<i2").tobytes()
    duration_s = len(waveform) / SAMPLE_RATE_HZ
    if not words:
        return Utterance(waveform=waveform, phonemes=_without_gaps(_free(pcm), duration_s))
    said = Utterance(waveform=waveform, phonemes=_without_gaps(_forced(pcm, words), duration_s))
    if _loudest_pause(said) > _LOUD_PAUSE:
        raise InputError(f"the words {text!r} leave loud sound unexplained; is this all that is said?")
    return said


def trimmed(utterance: Utterance, margin_s: float = 0.1) -> Utterance:
    """Cuts the silence before and after the speech down to a margin."""
    spoken = [phoneme for phoneme in utterance.phonemes if phoneme.ipa]
    if not spoken:
        return utterance
    first = max(round((spoken[0].start_s - margin_s) * SAMPLE_RATE_HZ), 0)
    last = min(round((spoken[-1].end_s + margin_s) * SAMPLE_RATE_HZ), len(utterance.waveform))
    start_s, duration_s = first / SAMPLE_RATE_HZ, (last - first) / SAMPLE_RATE_HZ
    moved = [(p.ipa, p.start_s - start_s, p.end_s - start_s) for p in spoken]
    return Utterance(waveform=utterance.waveform[first:last], phonemes=_without_gaps(moved, duration_s))


def _forced(pcm: bytes, words: list[str]) -> list[tuple[str, float, float]]:
    decoder = _decoder(free=False)
    unknown = [word for word in words if decoder.lookup_word(word) is None]
    if unknown:
        raise InputError(f"no pronunciation is known for {unknown[0]!r}; write it in other English words, or no text")
    try:
        decoder.set_align_text(" ".join(words))
        _run(decoder, pcm)
        decoder.set_alignment()
        _run(decoder, pcm)
        phones = [phone for word in decoder.get_alignment() for phone in word]
    except (RuntimeError, TypeError) as error:
        raise InputError(
            f"the words {' '.join(words)!r} do not fit the recording's sound; is this its text?"
        ) from error
    return [(_ipa(phone.name), _time_s(phone.start), _time_s(phone.start + phone.duration)) for phone in phones]


def _free(pcm: bytes) -> list[tuple[str, float, float]]:
    decoder = _decoder(free=True)
    _run(decoder, pcm)
    return [(_ipa(s.word), _time_s(s.start_frame), _time_s(s.end_frame + 1)) for s in decoder.seg() or ()]


def _time_s(step: int) -> float:
    return step * _FRAME_S + _WINDOW_S if step else 0.0


def _loudest_pause(utterance: Utterance) -> float:
    """Level of the loudest pause between sounds, against that of all sounds together."""

    def level(part: Phoneme) -> float:
        cut = utterance.waveform[int(part.start_s * SAMPLE_RATE_HZ) : int(part.end_s * SAMPLE_RATE_HZ)]
        return float(np.sqrt(np.mean(cut**2)))

    sounds = [level(part) for part in utterance.phonemes if part.ipa]
    pauses = [level(p) for p in utterance.phonemes[1:-1] if not p.ipa and p.end_s - p.start_s > _SHORT_PAUSE_S]
    return max(pauses, default=0.0) / max(float(np.mean(sounds)) if sounds else 0.0, 1e-6)


def _run(decoder: Any, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


def _ipa(name: str) -> str:
    return IPA_OF.get(name, SILENCE)


def _without_gaps(found: Iterable[tuple[str, float, float]], duration_s: float) -> tuple[Phoneme, ...]:
    """Fills what nobody claims with silence, joins neighbouring silences, and ends with the sound."""
    pieces: list[Phoneme] = []
    reached_s = 0.0
    for ipa, start_s, end_s in (*found, (SILENCE, duration_s, duration_s)):
        begin_s = min(max(start_s, reached_s), duration_s)
        if begin_s > reached_s:
            _append(pieces, SILENCE, reached_s, begin_s)
        reached_s = min(max(end_s, begin_s), duration_s)
        _append(pieces, ipa, begin_s, reached_s)
    return tuple(pieces)


def _append(pieces: list[Phoneme], ipa: str, start_s: float, end_s: float) -> None:
    if end_s <= start_s:
        return
    if pieces and ipa == SILENCE == pieces[-1].ipa:
        start_s = pieces.pop().start_s
    pieces.append(Phoneme(ipa=ipa, start_s=start_s, end_s=end_s))


@functools.cache
def _decoder(free: bool) -> Any:
    try:
        from pocketsphinx import Decoder, get_model_path
    except ImportError as error:
        raise InputError("recorded voices need pocketsphinx; install the extra: pip install 'pcavs[synth]'") from error
    settings: dict[str, Any] = {"samprate": SAMPLE_RATE_HZ, "lm": None, "loglevel": "FATAL", "bestpath": False}
    # The best-path pass leaves words of impossible lengths, and then finds no phonemes in them; with default beams
    # a noisy or quick recording loses its last word, and with it the whole alignment.
    settings |= {"beam": 1e-80, "pbeam": 1e-80, "wbeam": 1e-80}
    if free:
        # Wide beams: a quarter of the speech's own length, and half the errors of the defaults.
        network = Path(get_model_path()) / "en-us" / "en-us-phone.lm.bin"
        settings |= {"allphone": str(network), "lw": 2.0, "pip": 0.3, "beam": 1e-20, "pbeam": 1e-20}
    return Decoder(**settings)
