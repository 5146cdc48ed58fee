"""Lays the voices of a dialogue on one time line: what each person says, and the mix that the film carries."""

import dataclasses
import functools
import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pcavs.animate.dialogue import LONGEST_S, Dialogue, Line, read_dialogue
from pcavs.animate.film import SoundTrack
from pcavs.animate.options import FilmOptions
from pcavs.errors import InputError
from pcavs.media.audio import stream_waveform
from pcavs.media.lines import Part, PlacedSpeech, write_mix
from pcavs.media.speech import Speech
from pcavs.media.timeline import nearest_index, resampled_count
from pcavs.spec import SAMPLE_RATE_HZ, MelSpec
from pcavs.voices.speak import speak_to_file

GAP_S: Final = 0.3
"""Time from the end of a line to the next one that has no time of its own: about what people leave."""
MIX_RATE_HZ: Final = 48_000
"""Sampling rate of the film's sound."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DialogueSound(SoundTrack):
    """The mix of all voices, a temporary file, and what each person says."""

    dialogue: Dialogue
    speeches: tuple[PlacedSpeech, ...]
    """Of each person; all are as long as the dialogue."""
    notes: tuple[str, ...]
    """Messages for the user, one line each."""
    folder: tempfile.TemporaryDirectory[str]
    """Holds the mix; it is removed with this object."""


def dialogue_sound(options: FilmOptions, spec: MelSpec, voices: Path | None = None) -> DialogueSound:
    """Speaks the texts of a dialogue, places its lines, and mixes them.

    Args:
        options: Settings of the film; `dialogue` is set.
        spec: The talker's mel spectrogram.
        voices: Folder of natural voices; None is the user's own.

    Raises:
        InputError: The dialogue or a file cannot be used, it is too long, or lines of one person overlap.
    """
    assert options.dialogue is not None
    dialogue = read_dialogue(options.dialogue, outside=options.outside)
    folder = tempfile.TemporaryDirectory(prefix="pcavs-")
    speeches: list[Speech] = []
    firsts: list[int] = []
    sounds: list[Part] = []
    notes: list[str] = []
    end = 0
    for number, line in enumerate(dialogue.lines, start=1):
        path = line.audio or Path(folder.name) / f"line-{number}.wav"
        try:
            if line.audio is None:
                assert line.say is not None
                speak_to_file(line.say, line.voice, path, voices=voices)
            speech = Speech(path, line.start_s, line.end_s, spec, options.gate)
        except InputError as error:
            raise InputError(f"{options.dialogue}, line {number}: {error}") from error
        gap_s = GAP_S if sounds else 0.0
        first = end + nearest_index(gap_s, SAMPLE_RATE_HZ) if line.at_s is None else _samples(line.at_s)
        end = first + speech.stats.num_samples
        notes += [f"line {number} of {options.dialogue.name} is silent"] if speech.stats.is_silent else []
        speeches.append(speech)
        firsts.append(first)
        sounds.append(_sound(path, line, first, speech.stats.num_samples))
    _refuse_overlaps(options.dialogue, dialogue, firsts, speeches)
    num_samples = max(first + speech.stats.num_samples for first, speech in zip(firsts, speeches, strict=True))
    if num_samples > LONGEST_S * SAMPLE_RATE_HZ:
        hours = num_samples / SAMPLE_RATE_HZ / 3600
        raise InputError(f"{options.dialogue} lasts {hours:.1f} h; give up to {LONGEST_S / 3600:.0f} h")
    mix = Path(folder.name) / "mix.wav"
    write_mix(mix, sounds, resampled_count(num_samples, SAMPLE_RATE_HZ, MIX_RATE_HZ), MIX_RATE_HZ)
    placed = list(zip(dialogue.lines, firsts, speeches, strict=True))
    return DialogueSound(
        path=mix,
        dialogue=dialogue,
        speeches=tuple(
            PlacedSpeech([(first, speech) for line, first, speech in placed if line.face == face], num_samples, spec)
            for face, _ in dialogue.people
        ),
        notes=tuple(notes),
        folder=folder,
    )


def _samples(at_s: float) -> int:
    return nearest_index(at_s, SAMPLE_RATE_HZ)


def _sound(path: Path, line: Line, first: int, num_samples: int) -> Part:
    """Returns a line as a part of the mix."""
    count = resampled_count(num_samples, SAMPLE_RATE_HZ, MIX_RATE_HZ)
    pieces = functools.partial(stream_waveform, path, line.start_s, line.end_s, rate_hz=MIX_RATE_HZ)
    return Part(resampled_count(first, SAMPLE_RATE_HZ, MIX_RATE_HZ), count, pieces)


def _refuse_overlaps(path: Path, dialogue: Dialogue, firsts: Sequence[int], speeches: Sequence[Speech]) -> None:
    """Refuses two lines of one person at the same time."""
    for face, _ in dialogue.people:
        own = [number for number, line in enumerate(dialogue.lines) if line.face == face]
        own.sort(key=lambda number: firsts[number])
        for one, other in itertools.pairwise(own):
            end = firsts[one] + speeches[one].stats.num_samples
            if firsts[other] < end:
                raise InputError(
                    f"{path}: lines {one + 1} and {other + 1} of face {face} overlap; "
                    f"let line {other + 1} begin at {end / SAMPLE_RATE_HZ:.2f} s or later"
                )
