"""Synthetic speech with the time of every phoneme: eSpeak NG's (docs/decisions/0015)."""

import dataclasses
import unicodedata
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int16

from pcavs.media.espeak import run_worker
from pcavs.media.timeline import resampled_count
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.types import Waveform

SILENCE = ""
"""IPA of a stretch in which nothing is said."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phoneme:
    """One sound of an utterance."""

    ipa: str
    start_s: float
    end_s: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Voice:
    """How to speak."""

    language: str
    """eSpeak NG's name, such as `en-us`."""
    variant: str = ""
    """eSpeak NG's voice variant, such as `f2`; empty for the language's own."""
    words_a_minute: int = 160
    pitch: int = 50
    """0 to 100."""
    pitch_range: int = 50
    """0 (monotone) to 100."""

    @property
    def name(self) -> str:
        """Language and variant as eSpeak NG takes them."""
        return f"{self.language}+{self.variant}" if self.variant else self.language


@dataclasses.dataclass(frozen=True, kw_only=True)
class Utterance:
    """Speech and what is said when, from the first sample on."""

    waveform: Waveform
    phonemes: tuple[Phoneme, ...]
    """In order, without gaps; silences have empty IPA."""


def speak(text: str, voice: Voice) -> Utterance:
    """Says a text.

    Raises:
        InputError: eSpeak NG is not installed, or does not know the voice.
    """
    samples, rate_hz, events = synthesise(text, voice)
    # "(en)" and the like announce a change of language; a lone modifier belongs to the sound before it.
    starts = [(sample, ipa) for sample, ipa in events if not (ipa.startswith("(") or _is_modifier(ipa))]
    duration_s = len(samples) / rate_hz
    times = [sample / rate_hz for sample, _ in starts] + [duration_s]
    phonemes = []
    if times[0] > 0:
        phonemes.append(Phoneme(ipa=SILENCE, start_s=0.0, end_s=times[0]))
    for (_, ipa), start_s, end_s in zip(starts, times[:-1], times[1:], strict=True):
        if end_s > start_s:
            phonemes.append(Phoneme(ipa=ipa.strip(" _:"), start_s=start_s, end_s=end_s))
    return Utterance(waveform=resampled(samples.astype(np.float32) / 32768, rate_hz), phonemes=tuple(phonemes))


def synthesise(text: str, voice: Voice) -> tuple[Int16[np.ndarray, " samples"], int, list[tuple[int, str]]]:
    """Runs eSpeak NG; returns its samples, their rate in hertz, and (sample, IPA) where each phoneme starts.

    Raises:
        InputError: eSpeak NG is not installed, or does not know the voice.
    """
    header, sound = run_worker(
        {
            "text": text,
            "voice": voice.name,
            "words_a_minute": voice.words_a_minute,
            "pitch": voice.pitch,
            "pitch_range": voice.pitch_range,
        }
    )
    return np.frombuffer(sound, np.int16), header["rate_hz"], [(sample, ipa) for sample, ipa in header["phonemes"]]


def transcribed(clauses: Sequence[str], language: str) -> list[str]:
    """Writes clauses in the phonetic alphabet (IPA), as eSpeak NG would say them.

    Raises:
        InputError: eSpeak NG is not installed, or does not know the language.
    """
    return run_worker({"clauses": list(clauses), "voice": language})[0]["ipa"]


def excerpt(utterance: Utterance, start_s: float, duration_s: float) -> Utterance:
    """Cuts a stretch; before the start and after the end of the speech lies silence."""
    first = round(start_s * SAMPLE_RATE_HZ)
    length = round(duration_s * SAMPLE_RATE_HZ)
    waveform = np.zeros(length, np.float32)
    begin, end = max(first, 0), min(first + length, len(utterance.waveform))
    if end > begin:
        waveform[begin - first : end - first] = utterance.waveform[begin:end]
    inside = [
        dataclasses.replace(
            phoneme, start_s=max(phoneme.start_s - start_s, 0.0), end_s=min(phoneme.end_s - start_s, duration_s)
        )
        for phoneme in utterance.phonemes
        if phoneme.end_s > start_s and phoneme.start_s < start_s + duration_s
    ]
    spoken_from = inside[0].start_s if inside else duration_s
    spoken_to = inside[-1].end_s if inside else duration_s
    lead = [Phoneme(ipa=SILENCE, start_s=0.0, end_s=spoken_from)] if spoken_from > 0 else []
    tail = [Phoneme(ipa=SILENCE, start_s=spoken_to, end_s=duration_s)] if spoken_to < duration_s else []
    return Utterance(waveform=waveform, phonemes=(*lead, *inside, *tail))


def joined(parts: Sequence[Utterance], pauses_s: Sequence[float]) -> Utterance:
    """Puts utterances one behind another, each after a pause of its own."""
    waveforms: list[Waveform] = []
    phonemes: list[Phoneme] = []
    num_samples = 0
    for part, pause_s in zip(parts, pauses_s, strict=True):
        silence = np.zeros(round(pause_s * SAMPLE_RATE_HZ), np.float32)
        start_s = num_samples / SAMPLE_RATE_HZ
        offset_s = start_s + len(silence) / SAMPLE_RATE_HZ
        if len(silence):
            phonemes.append(Phoneme(ipa=SILENCE, start_s=start_s, end_s=offset_s))
        phonemes += [
            dataclasses.replace(phoneme, start_s=phoneme.start_s + offset_s, end_s=phoneme.end_s + offset_s)
            for phoneme in part.phonemes
        ]
        waveforms += [silence, part.waveform]
        num_samples += len(silence) + len(part.waveform)
    waveform = np.concatenate(waveforms) if waveforms else np.zeros(0, np.float32)
    return Utterance(waveform=waveform, phonemes=tuple(phonemes))


def quickened(utterance: Utterance, factor: float) -> Utterance:
    """Plays an utterance faster (above 1) or slower; the pitch moves with it, as on a tape: another voice."""
    # Whole hundreds of hertz keep the resampling's padding short.
    rate_hz = round(SAMPLE_RATE_HZ * factor / 100) * 100
    shrunk = SAMPLE_RATE_HZ / rate_hz
    phonemes = tuple(
        dataclasses.replace(phoneme, start_s=phoneme.start_s * shrunk, end_s=phoneme.end_s * shrunk)
        for phoneme in utterance.phonemes
    )
    return Utterance(waveform=resampled(utterance.waveform, rate_hz), phonemes=phonemes)


def resampled(samples: Float32[np.ndarray, " given"], rate_hz: int) -> Waveform:
    """Brings samples to `SAMPLE_RATE_HZ` without delay: what is above the new half rate is cut in the spectrum."""
    length = resampled_count(len(samples), rate_hz, SAMPLE_RATE_HZ)
    if not length:
        return np.zeros(0, np.float32)
    # Zeros behind the end keep the transform's wrap-around out of the speech's start.
    padded = np.concatenate([samples, np.zeros(rate_hz - len(samples) % rate_hz, np.float32)])
    target = len(padded) // rate_hz * SAMPLE_RATE_HZ
    spectrum = np.fft.rfft(padded)
    kept = np.zeros(target // 2 + 1, complex)
    count = min(len(spectrum), len(kept))
    kept[:count] = spectrum[:count]
    return (np.fft.irfft(kept, target)[:length] * (target / len(padded))).astype(np.float32)


def _is_modifier(ipa: str) -> bool:
    return bool(ipa) and all(unicodedata.category(symbol) in ("Lm", "Mn") for symbol in ipa)
