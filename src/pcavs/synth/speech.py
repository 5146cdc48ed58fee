"""Speech with the time of every phoneme: the record `Utterance`, its source eSpeak NG, and operations on utterances."""

import dataclasses
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from jaxtyping import Float32, Int16

from pcavs.media.timeline import resampled_count
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.types import Waveform
from pcavs.voices.espeak import run_worker
from pcavs.voices.phonemes import SILENCE, Phoneme, Spoken

_INT16_FULL_SCALE: Final = 32768

_RATE_STEP_HZ: Final = 100
"""Rates to which `change_speed` rounds; common factors with 16 kHz keep the padding of `resample` short."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Voice:
    """A voice of eSpeak NG and its manner of speaking."""

    language: str
    """eSpeak NG's name of the language, such as `en-us`."""
    variant: str = ""
    """eSpeak NG's voice variant, such as `f2`; empty for the language's own voice."""
    words_a_minute: int = 160
    pitch: int = 50
    """0 to 100."""
    pitch_range: int = 50
    """0 (monotone) to 100."""

    @property
    def name(self) -> str:
        """Language and variant, as eSpeak NG takes them."""
        return f"{self.language}+{self.variant}" if self.variant else self.language


@dataclasses.dataclass(frozen=True, kw_only=True)
class Utterance:
    """Sound and its phonemes; times count from the first sample."""

    waveform: Waveform
    phonemes: tuple[Phoneme, ...]
    """In order, without gaps."""


def speak(text: str, voice: Voice) -> Utterance:
    """Speaks a text with eSpeak NG.

    Raises:
        InputError: eSpeak NG is not installed, or does not know the voice.
    """
    samples, rate_hz, events = synthesise(text, voice)
    # "(en)" and the like announce a change of language; a lone modifier belongs to the phoneme before it.
    starts = [(sample, ipa) for sample, ipa in events if not (ipa.startswith("(") or _is_modifier(ipa))]
    duration_s = len(samples) / rate_hz
    times_s = [sample / rate_hz for sample, _ in starts] + [duration_s]
    phonemes = []
    if times_s[0] > 0:
        phonemes.append(Phoneme(ipa=SILENCE, start_s=0.0, end_s=times_s[0]))
    for (_, ipa), start_s, end_s in zip(starts, times_s[:-1], times_s[1:], strict=True):
        if end_s > start_s:
            phonemes.append(Phoneme(ipa=ipa.strip(" _:"), start_s=start_s, end_s=end_s))
    waveform = resample(samples.astype(np.float32) / _INT16_FULL_SCALE, rate_hz)
    return Utterance(waveform=waveform, phonemes=tuple(phonemes))


def utterance_of(spoken: Spoken) -> Utterance:
    """Returns the sound of a natural voice at `SAMPLE_RATE_HZ`."""
    return Utterance(waveform=resample(spoken.samples, spoken.rate_hz), phonemes=spoken.phonemes)


def synthesise(text: str, voice: Voice) -> tuple[Int16[np.ndarray, " samples"], int, list[tuple[int, str]]]:
    """Runs eSpeak NG on a text.

    Returns:
        Its samples, their rate in hertz, and the first sample and the IPA of each phoneme.

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


def excerpt(utterance: Utterance, start_s: float, duration_s: float) -> Utterance:
    """Cuts a stretch out of an utterance; outside the speech it holds silence."""
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
    before = [Phoneme(ipa=SILENCE, start_s=0.0, end_s=spoken_from)] if spoken_from > 0 else []
    after = [Phoneme(ipa=SILENCE, start_s=spoken_to, end_s=duration_s)] if spoken_to < duration_s else []
    return Utterance(waveform=waveform, phonemes=(*before, *inside, *after))


def trim_silence(utterance: Utterance, margin_s: float = 0.1) -> Utterance:
    """Cuts the silence before and after the speech down to a margin; an utterance without speech stays as it is."""
    spoken = [phoneme for phoneme in utterance.phonemes if phoneme.ipa]
    if not spoken:
        return utterance
    first = max(round((spoken[0].start_s - margin_s) * SAMPLE_RATE_HZ), 0)
    last = min(round((spoken[-1].end_s + margin_s) * SAMPLE_RATE_HZ), len(utterance.waveform))
    start_s, duration_s = first / SAMPLE_RATE_HZ, (last - first) / SAMPLE_RATE_HZ
    moved = [(p.ipa, p.start_s - start_s, p.end_s - start_s) for p in spoken]
    return Utterance(waveform=utterance.waveform[first:last], phonemes=fill_gaps(moved, duration_s))


def join(parts: Sequence[Utterance], pauses_s: Sequence[float]) -> Utterance:
    """Concatenates utterances; the silence `pauses_s[k]` comes before part k."""
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


def change_speed(utterance: Utterance, factor: float) -> Utterance:
    """Plays an utterance faster (above 1) or slower; pitch changes by the same factor, which makes another voice."""
    rate_hz = round(SAMPLE_RATE_HZ * factor / _RATE_STEP_HZ) * _RATE_STEP_HZ
    scale = SAMPLE_RATE_HZ / rate_hz
    phonemes = tuple(
        dataclasses.replace(phoneme, start_s=phoneme.start_s * scale, end_s=phoneme.end_s * scale)
        for phoneme in utterance.phonemes
    )
    return Utterance(waveform=resample(utterance.waveform, rate_hz), phonemes=phonemes)


def resample(samples: Float32[np.ndarray, " given"], rate_hz: int) -> Waveform:
    """Resamples to `SAMPLE_RATE_HZ` without delay, by cutting or padding the spectrum."""
    length = resampled_count(len(samples), rate_hz, SAMPLE_RATE_HZ)
    if not length:
        return np.zeros(0, np.float32)
    # Zeros after the end, up to whole seconds: the transform's wrap-around falls on them and not on the start.
    padded = np.concatenate([samples, np.zeros(rate_hz - len(samples) % rate_hz, np.float32)])
    target = len(padded) // rate_hz * SAMPLE_RATE_HZ
    spectrum = np.fft.rfft(padded)
    kept = np.zeros(target // 2 + 1, complex)
    count = min(len(spectrum), len(kept))
    kept[:count] = spectrum[:count]
    return (np.fft.irfft(kept, target)[:length] * (target / len(padded))).astype(np.float32)


def fill_gaps(found: Iterable[tuple[str, float, float]], duration_s: float) -> tuple[Phoneme, ...]:
    """Makes phonemes of (IPA, start, end), with silence in all gaps up to the end; neighbouring silences are joined."""
    phonemes: list[Phoneme] = []
    reached_s = 0.0
    for ipa, start_s, end_s in (*found, (SILENCE, duration_s, duration_s)):
        begin_s = min(max(start_s, reached_s), duration_s)
        if begin_s > reached_s:
            _append(phonemes, SILENCE, reached_s, begin_s)
        reached_s = min(max(end_s, begin_s), duration_s)
        _append(phonemes, ipa, begin_s, reached_s)
    return tuple(phonemes)


def _append(phonemes: list[Phoneme], ipa: str, start_s: float, end_s: float) -> None:
    if end_s <= start_s:
        return
    if phonemes and ipa == SILENCE == phonemes[-1].ipa:
        start_s = phonemes.pop().start_s
    phonemes.append(Phoneme(ipa=ipa, start_s=start_s, end_s=end_s))


def _is_modifier(ipa: str) -> bool:
    return bool(ipa) and all(unicodedata.category(symbol) in ("Lm", "Mn") for symbol in ipa)
