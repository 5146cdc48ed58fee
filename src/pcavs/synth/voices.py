"""Who speaks in a clip: eSpeak NG, a recording of a real person, or a Piper voice."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pcavs.data.table import read_table
from pcavs.errors import InputError
from pcavs.media.audio import read_waveform
from pcavs.media.files import path_exists
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.synth import piper
from pcavs.synth.alignment import aligned, trimmed
from pcavs.synth.speech import Utterance, Voice, joined, quickened, speak
from pcavs.synth.texts import SENTENCES, VAL_LANGUAGES, VAL_VARIANTS, VARIANTS, compose

logger = logging.getLogger(__name__)

_TEMPO = (0.88, 1.14)
"""How much slower or faster a recording is played: one person's recordings become several voices."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VoiceFile:
    """One row of a voices table."""

    path: Path
    """A recording (any sound or film file), or a Piper voice (`.onnx`)."""
    speaker: str
    split: str
    language: str
    text: str
    """What is said, in English words; empty where that is not known."""

    @property
    def is_piper(self) -> bool:
        """Whether this voice says what it is given."""
        return self.path.suffix == ".onnx"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speech:
    """What a clip says, and by whom."""

    utterance: Utterance
    kind: str
    """`espeak`, `recording` or `piper`."""
    voice: str
    language: str
    text: str


def read_voices(table: Path) -> tuple[VoiceFile, ...]:
    """Reads a CSV with the columns path, speaker, split, language, text; paths are relative to the table.

    Raises:
        InputError: The table cannot be read, lacks a column, or names a file that is not there.
    """
    voices = tuple(
        VoiceFile(
            path=table.parent / row["path"],
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
    """Refuses languages without texts.

    Raises:
        InputError: Naming them, and those that there are.
    """
    unknown = sorted(set(languages) - set(SENTENCES))
    if unknown:
        raise InputError(f"no texts in {', '.join(unknown)}; there are {', '.join(SENTENCES)}")


def synthetic_speech(held_out: bool, random: np.random.Generator, languages: Sequence[str] = ()) -> Speech:
    """Lets eSpeak NG say a random text in a random language and voice; held-out ones are never used otherwise.

    Args:
        held_out: Use the languages and voices that training clips never use.
        random: Decides everything.
        languages: Use these languages instead.

    Raises:
        InputError: eSpeak NG is not installed.
    """
    languages = languages or [name for name in SENTENCES if (name in VAL_LANGUAGES) == held_out]
    voice = Voice(
        language=str(random.choice(np.array(languages))),
        variant=str(random.choice(VAL_VARIANTS if held_out else VARIANTS)),
        words_a_minute=int(random.integers(115, 185)),
        pitch=int(random.integers(25, 75)),
        pitch_range=int(random.integers(25, 90)),
    )
    text = compose(voice.language, random)
    return Speech(utterance=speak(text, voice), kind="espeak", voice=voice.name, language=voice.language, text=text)


def real_speech(voices: Sequence[VoiceFile], seconds: float, random: np.random.Generator) -> Speech:
    """Draws a speaker of a table and lets them speak for about the given time.

    Speakers are drawn with the root of what there is of them, so that one with hundreds of recordings is heard more
    than one with a single, but not hundreds of times more. Short recordings of one speaker follow each other; a
    recording whose words do not fit its sound is passed over, as is a speaker who has no other.

    Raises:
        InputError: Nobody's recordings can be used.
    """
    names = sorted({voice.speaker for voice in voices})
    weights = np.sqrt([sum(voice.speaker == name for voice in voices) for name in names])
    for name in random.choice(names, len(names), replace=False, p=weights / weights.sum()).tolist():
        files = [voice for voice in voices if voice.speaker == name]
        order = [files[int(index)] for index in random.permutation(len(files))]
        if order[0].is_piper:
            return _piper_speech(order[0], random)
        parts, said = _recordings(order, seconds, random)
        if not parts:
            continue
        pauses_s = [0.0, *(float(pause) for pause in random.uniform(0.05, 0.6, len(parts) - 1))]
        whole = quickened(joined(parts, pauses_s), float(random.uniform(*_TEMPO)))
        return Speech(utterance=whole, kind="recording", voice=name, language=order[0].language, text=" ".join(said))
    raise InputError("no recording of the voices table could be aligned to its text; see the warnings above")


def _recordings(
    order: Sequence[VoiceFile], seconds: float, random: np.random.Generator
) -> tuple[list[Utterance], list[str]]:
    parts: list[Utterance] = []
    said: list[str] = []
    while order and sum(len(part.waveform) for part in parts) < seconds * _TEMPO[1] * SAMPLE_RATE_HZ:
        voice = order[len(said) % len(order)]
        try:
            parts.append(trimmed(aligned(read_waveform(voice.path), voice.text), float(random.uniform(0.05, 0.3))))
        except InputError as error:
            logger.warning("%s is passed over: %s", voice.path.name, error)
            order = [other for other in order if other is not voice]
            continue
        said.append(voice.text)
    return parts, said


def _piper_speech(voice: VoiceFile, random: np.random.Generator) -> Speech:
    language = piper.language_of(voice.path)
    known = [name for name in SENTENCES if name.split("-")[0] == language.split("-")[0]]
    if not known:
        raise InputError(
            f"{voice.path.name} speaks {language}, which has no sentences in texts.py; it has {set(SENTENCES)}"
        )
    text = compose(str(random.choice(known)), random)
    said = piper.say(voice.path, text, float(random.uniform(0.9, 1.2)))
    return Speech(utterance=said, kind="piper", voice=voice.speaker, language=language, text=text)
