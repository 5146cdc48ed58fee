"""Finds the time of every phoneme of a recording with pocketsphinx, whose English model comes in its wheel.

Where the words are known they are aligned to the sound. Where they are not, the phonemes are decoded freely: vowels,
sibilants and silences are found at the right time, but a phoneme is often confused with a similar one (correlation of
the mouth openings of both ways on GRID: 0.76).
"""

import functools
import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from pcavs.errors import InputError, install_hint
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.synth.speech import Utterance, fill_gaps
from pcavs.types import Waveform
from pcavs.voices.phonemes import SILENCE, Phoneme

_STEP_S: Final = 0.01
"""Time step of pocketsphinx."""

_CORRECTION_S: Final = 0.01
"""Added to pocketsphinx's times: a step covers a window of 26 ms from its start on, so they are this much too early.
Measured on seven sentences of eSpeak NG, whose times are exact."""

_MAX_PAUSE_LEVEL: Final = 0.5
"""Loudest pause, relative to the mean level of the phonemes; a louder one is speech that the words do not explain.
Tuned by hand."""

_MIN_PAUSE_S: Final = 0.06
"""Shorter pauses are not tested. Tuned by hand."""

_PEAK: Final = 0.6 * 32767
"""Peak to which recordings are scaled, in 16-bit levels: pocketsphinx was trained on speech of ordinary level."""

_MIN_PEAK, _MIN_LEVEL = 1e-3, 1e-6
"""Smallest peak and mean level (of full scale 1) that recordings are divided by."""

_ALIGN_BEAM: Final = 1e-80
"""Pruning beam for alignment. With the default beam a noisy or fast recording loses its last word and cannot be
aligned; with this one none of 71 GRID recordings failed."""

_DECODE_BEAM: Final = 1e-20
"""Pruning beam for free decoding: half the errors of the default, in a quarter of the recording's duration."""

_LANGUAGE_WEIGHT, _INSERTION_PENALTY = 2.0, 0.3
"""Weight of the phoneme language model, and penalty on further phonemes, in free decoding. Tuned by hand."""

IPA_OF: Final = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AY": "aɪ", "B": "b", "CH": "tʃ", "D": "d", "DH": "ð",
    "EH": "ɛ", "ER": "ɝ", "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h", "IH": "ɪ", "IY": "i", "JH": "dʒ", "K": "k",
    "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ", "OY": "ɔɪ", "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ",
    "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u", "V": "v", "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
"""IPA of pocketsphinx's phonemes; its other symbols (SIL and noises) count as silence."""


def align(waveform: Waveform, text: str) -> Utterance:
    """Finds the phonemes of a recording.

    Args:
        waveform: 16 kHz.
        text: The spoken words, in English; where it is empty the phonemes are decoded freely, in any language.

    Returns:
        The recording with its phonemes, without gaps from 0 to its end, at multiples of 10 ms.

    Raises:
        InputError: pocketsphinx is not installed, does not know a word, or cannot align the words to the sound.
    """
    words = re.sub(r"[^a-z' ]+", " ", text.lower()).split()
    peak = float(np.abs(waveform).max(initial=0.0))
    pcm = np.round(waveform * (_PEAK / max(peak, _MIN_PEAK))).astype("<i2").tobytes()
    duration_s = len(waveform) / SAMPLE_RATE_HZ
    if not words:
        return Utterance(waveform=waveform, phonemes=fill_gaps(_decode_freely(pcm), duration_s))
    utterance = Utterance(waveform=waveform, phonemes=fill_gaps(_align_words(pcm, words), duration_s))
    if _loudest_pause(utterance) > _MAX_PAUSE_LEVEL:
        raise InputError(f"the words {text!r} leave loud sound unexplained; give everything that is said")
    return utterance


def _align_words(pcm: bytes, words: list[str]) -> list[tuple[str, float, float]]:
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
            f"the words {' '.join(words)!r} do not fit the recording's sound; check that this is its text"
        ) from error
    return [(_ipa(phone.name), _time_s(phone.start), _time_s(phone.start + phone.duration)) for phone in phones]


def _decode_freely(pcm: bytes) -> list[tuple[str, float, float]]:
    decoder = _decoder(free=True)
    _run(decoder, pcm)
    return [(_ipa(s.word), _time_s(s.start_frame), _time_s(s.end_frame + 1)) for s in decoder.seg() or ()]


def _time_s(step: int) -> float:
    return step * _STEP_S + _CORRECTION_S if step else 0.0


def _loudest_pause(utterance: Utterance) -> float:
    """Returns the level of the loudest pause between phonemes, relative to the mean level of the phonemes."""

    def level(part: Phoneme) -> float:
        samples = utterance.waveform[int(part.start_s * SAMPLE_RATE_HZ) : int(part.end_s * SAMPLE_RATE_HZ)]
        return float(np.sqrt(np.mean(samples**2)))

    spoken = [level(part) for part in utterance.phonemes if part.ipa]
    pauses = [level(p) for p in utterance.phonemes[1:-1] if not p.ipa and p.end_s - p.start_s > _MIN_PAUSE_S]
    return max(pauses, default=0.0) / max(float(np.mean(spoken)) if spoken else 0.0, _MIN_LEVEL)


def _run(decoder: Any, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


def _ipa(name: str) -> str:
    return IPA_OF.get(name, SILENCE)


@functools.cache
def _decoder(free: bool) -> Any:
    try:
        from pocketsphinx import Decoder, get_model_path
    except ImportError as error:
        raise InputError(f"recorded voices need pocketsphinx; run {install_hint('synth')}") from error
    # The best-path search makes words of impossible length, in which the second pass then finds no phonemes.
    settings: dict[str, Any] = {"samprate": SAMPLE_RATE_HZ, "lm": None, "loglevel": "FATAL", "bestpath": False}
    settings |= {"beam": _ALIGN_BEAM, "pbeam": _ALIGN_BEAM, "wbeam": _ALIGN_BEAM}
    if free:
        network = Path(get_model_path()) / "en-us" / "en-us-phone.lm.bin"
        settings |= {"allphone": str(network), "lw": _LANGUAGE_WEIGHT, "pip": _INSERTION_PENALTY}
        settings |= {"beam": _DECODE_BEAM, "pbeam": _DECODE_BEAM}
    return Decoder(**settings)
