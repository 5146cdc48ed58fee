"""Chooses who speaks in a clip and what: eSpeak NG, a recording of a real person, or a Piper or Kokoro voice."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from pcavs.data.table import read_table, resolve_beside
from pcavs.errors import InputError
from pcavs.media.audio import read_waveform
from pcavs.media.names import path_exists
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.synth.alignment import align
from pcavs.synth.speech import Utterance, Voice, change_speed, join, speak, trim_silence, utterance_of
from pcavs.synth.texts import SENTENCES, VAL_LANGUAGES, VAL_VARIANTS, VARIANTS, compose
from pcavs.voices import kokoro, piper

logger = logging.getLogger(__name__)

# The ranges below were tuned by hand by listening; none was measured.

_SPEED: Final = (0.88, 1.14)
"""Range of the factor on a recording's speed, which makes several voices of one person's recordings."""

_PAUSE_S: Final = (0.05, 0.6)
"""Range of the pause between joined recordings."""

_MARGIN_S: Final = (0.05, 0.3)
"""Range of the silence that is left before and after the speech of a recording."""

_WORDS_A_MINUTE, _PITCH, _PITCH_RANGE = (115, 185), (25, 75), (25, 90)
"""Ranges of eSpeak NG's settings, upper ends excluded."""

_SLOWNESS: Final = (0.9, 1.2)
"""Range of the factor on the durations of a Piper or Kokoro voice."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VoiceRow:
    """One row of a voices table."""

    path: Path
    """A recording (any audio or video file), a Piper voice (`.onnx`), or a Kokoro voice (`.bin`)."""
    speaker: str
    split: str
    language: str
    text: str
    """The spoken words, in English; empty where they are not known."""

    @property
    def is_piper(self) -> bool:
        """Whether this is a Piper voice, which can speak any text."""
        return self.path.suffix == ".onnx"

    @property
    def is_kokoro(self) -> bool:
        """Whether this is a Kokoro voice, which can speak any text."""
        return self.path.suffix == ".bin"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipSpeech:
    """An utterance and the voice that speaks it."""

    utterance: Utterance
    kind: str
    """`espeak`, `recording`, `piper` or `kokoro`."""
    voice: str
    language: str
    text: str


def read_voices(table: Path) -> tuple[VoiceRow, ...]:
    """Reads a CSV with the columns path, speaker, split, language, text; paths are relative to the table's folder.

    Raises:
        InputError: The table cannot be read, lacks a column, or names a file that does not exist.
    """
    voices = tuple(
        VoiceRow(
            path=resolve_beside(row["path"], table.parent),
            speaker=row["speaker"],
            split=row["split"],
            language=row["language"],
            text=row["text"],
        )
        for row in read_table(table, ("path", "speaker", "split", "language", "text"))
    )
    for voice in voices:
        if not path_exists(voice.path):
            raise InputError(f"{table} names {voice.path.name}, which is not there; paths are relative to the table")
    return voices


def verify_languages(languages: Sequence[str]) -> None:
    """Checks that there are sentences in each language.

    Raises:
        InputError: There are none in some of them.
    """
    unknown = sorted(set(languages) - set(SENTENCES))
    if unknown:
        raise InputError(f"no sentences in {', '.join(unknown)}; the languages are {', '.join(SENTENCES)}")


def espeak_speech(held_out: bool, random: np.random.Generator, languages: Sequence[str] = ()) -> ClipSpeech:
    """Speaks a random text in a random language and voice of eSpeak NG.

    Args:
        held_out: Draws from the languages and voices that training clips never use; else from the others.
        random: Draws language, voice and text.
        languages: Draws from these languages instead; where it is empty, from those of the split.

    Raises:
        InputError: eSpeak NG is not installed.
    """
    languages = languages or [name for name in SENTENCES if (name in VAL_LANGUAGES) == held_out]
    voice = Voice(
        language=str(random.choice(np.array(languages))),
        variant=str(random.choice(VAL_VARIANTS if held_out else VARIANTS)),
        words_a_minute=int(random.integers(*_WORDS_A_MINUTE)),
        pitch=int(random.integers(*_PITCH)),
        pitch_range=int(random.integers(*_PITCH_RANGE)),
    )
    text = compose(voice.language, random)
    return ClipSpeech(utterance=speak(text, voice), kind="espeak", voice=voice.name, language=voice.language, text=text)


def table_speech(voices: Sequence[VoiceRow], seconds: float, random: np.random.Generator) -> ClipSpeech:
    """Draws a speaker of a voices table and returns at least `seconds` of speech, where the recordings suffice.

    Speakers are drawn with the square root of their number of rows as weight, so that one with hundreds of recordings
    is heard more often than one with a single recording, but not hundreds of times more often. Short recordings of a
    speaker are joined. A recording that cannot be aligned is skipped with a warning, and so is a speaker without any
    other.

    Raises:
        InputError: No recording of any speaker can be aligned.
    """
    names = sorted({voice.speaker for voice in voices})
    weights = np.sqrt([sum(voice.speaker == name for voice in voices) for name in names])
    for name in random.choice(names, len(names), replace=False, p=weights / weights.sum()).tolist():
        rows = [voice for voice in voices if voice.speaker == name]
        order = [rows[int(index)] for index in random.permutation(len(rows))]
        if order[0].is_piper or order[0].is_kokoro:
            return _network_speech(order[0], random)
        parts, texts = _aligned_recordings(order, seconds, random)
        if not parts:
            continue
        pauses_s = [0.0, *(float(pause) for pause in random.uniform(*_PAUSE_S, len(parts) - 1))]
        utterance = change_speed(join(parts, pauses_s), float(random.uniform(*_SPEED)))
        text = " ".join(texts)
        return ClipSpeech(utterance=utterance, kind="recording", voice=name, language=order[0].language, text=text)
    raise InputError("no recording of the voices table could be aligned to its text; see the warnings above")


def _aligned_recordings(
    order: Sequence[VoiceRow], seconds: float, random: np.random.Generator
) -> tuple[list[Utterance], list[str]]:
    """Aligns recordings in turn, repeating them where needed, until they are long enough at the highest speed."""
    parts: list[Utterance] = []
    texts: list[str] = []
    while order and sum(len(part.waveform) for part in parts) < seconds * _SPEED[1] * SAMPLE_RATE_HZ:
        voice = order[len(texts) % len(order)]
        try:
            utterance = align(read_waveform(voice.path), voice.text)
        except InputError as error:
            logger.warning("%s is skipped: %s", voice.path.name, error)
            order = [other for other in order if other is not voice]
            continue
        parts.append(trim_silence(utterance, float(random.uniform(*_MARGIN_S))))
        texts.append(voice.text)
    return parts, texts


def _network_speech(voice: VoiceRow, random: np.random.Generator) -> ClipSpeech:
    """Speaks a random text with a Piper voice in its own language, or with a Kokoro voice in the row's language."""
    language = piper.language_of(voice.path) if voice.is_piper else voice.language or kokoro.language_of(voice.path)
    known = [name for name in SENTENCES if name.split("-")[0] == language.split("-")[0]]
    if not known:
        languages = ", ".join(SENTENCES)
        raise InputError(
            f"{voice.path.name} speaks {language}, which has no sentences; give a voice of one of {languages}"
        )
    text = compose(str(random.choice(known)), random)
    slowness = float(random.uniform(*_SLOWNESS))
    if voice.is_piper:
        kind, utterance = "piper", utterance_of(piper.speak(voice.path, text, slowness))
    else:
        kind, utterance = "kokoro", utterance_of(kokoro.speak(voice.path, text, language, slowness))
    return ClipSpeech(utterance=utterance, kind=kind, voice=voice.speaker, language=language, text=text)
