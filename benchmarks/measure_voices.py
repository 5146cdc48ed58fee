"""Measures, without any true lips, whether films follow recorded voices in other languages as they follow English.

    python benchmarks/measure_voices.py PORTRAIT VOICE... [--seconds 3] [--espeak] [--out voices.json]

The language of a voice is what its file's name begins with, up to the first underscore (`nl_BE_nathalie.mp3`). Each
voice makes a film of the portrait at 256 px, its head still. The sync judge then says how well the film fits its own
speech, the same speech 5 frames late and the next voice's: confidence as they are, without a search for a shift. With
`--espeak`, eSpeak NG also says a sentence in each language in which it has one. Prints, for recorded and for spoken
voices, a table with a row for each language, and one for all others than English: means, in how many films the own
speech fits better than late speech and than another's, and the standard deviation of the mouth's opening in eye
distances.
"""

import argparse
import logging
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from pcavs.animate.load import load_talker
from pcavs.animate.talker import Talker
from pcavs.evaluate.clips import ClipSource, EvaluationClip, read_clip
from pcavs.evaluate.measure import sync_scores
from pcavs.evaluate.observe import Judges, Observation, embed_own_sound, judges_folder, load_judges, observe
from pcavs.evaluate.protocols import SHIFT_FRAMES
from pcavs.media.files import write_json, write_wav
from pcavs.spec import SAMPLES_PER_FRAME
from pcavs.synth.texts import SENTENCES
from pcavs.synth.voices import espeak_speech
from pcavs.types import Waveform

logger = logging.getLogger("measure_voices")

Row: TypeAlias = dict[str, float | str]

_SIDE_PX: Final = 256
_SEED: Final = 0
_HEAD: Final = "| language | films | own | late | another's | better than late | than another's | opening |"


def main() -> None:
    """Makes and measures the films and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portrait", type=Path)
    parser.add_argument("voices", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--espeak", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    talker, judges = load_talker(None, "cpu", threads=1), load_judges(judges_folder(None))
    found: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as folder:
        groups: dict[str, Sequence[Path]] = {"recorded": arguments.voices}
        if arguments.espeak:
            groups["eSpeak NG"] = spoken(arguments.voices, Path(folder))
        for group, voices in groups.items():
            films = [film(talker, arguments.portrait, voice, arguments.seconds, judges) for voice in voices]
            found[group] = [
                measured(voice.name, *films[index], films[(index + 1) % len(films)][0].waveform, judges)
                for index, voice in enumerate(voices)
            ]
            print(f"{group}\n\n{table(found[group])}\n", flush=True)
    if arguments.out:
        write_json(arguments.out, found)


def language_of(name: str) -> str:
    """Returns the language of a voice by its file's name."""
    return name.split("_")[0]


def spoken(voices: Iterable[Path], folder: Path) -> list[Path]:
    """Lets eSpeak NG say a sentence in each language of the voices, two in each for which it has two accents."""
    paths = []
    for name in sorted({language_of(voice.name) for voice in voices}):
        for language in (each for each in SENTENCES if each.split("-")[0] == name):
            speech = espeak_speech(True, np.random.default_rng([_SEED, len(paths)]), [language])
            paths.append(folder / f"{name}_{language}.wav")
            write_wav(paths[-1], speech.utterance.waveform)
    return paths


def film(
    talker: Talker, portrait: Path, voice: Path, seconds: float, judges: Judges
) -> tuple[EvaluationClip, Observation]:
    """Makes a film and observes it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        talker.animate(portrait, voice, size=_SIDE_PX, end=seconds, no_blinks=True).save(path)
        clip = read_clip(ClipSource(path.stem, path.stem, path), seconds, judges.landmarker)
    return clip, observe(list(clip.faces), judges, voice.name)


def measured(name: str, clip: EvaluationClip, made: Observation, other: Waveform, judges: Judges) -> Row:
    """Scores a film against its own speech, the same late, and another voice's."""
    late = np.roll(clip.waveform, SHIFT_FRAMES * SAMPLES_PER_FRAME)
    late[: SHIFT_FRAMES * SAMPLES_PER_FRAME] = 0
    sounds = {"own": clip.waveform, "late": late, "other": np.resize(other, len(clip.waveform))}
    row: Row = {"voice": name, "language": language_of(name), "opening": float(made.opening.std())}
    for title, sound in sounds.items():
        row[title] = sync_scores(made, embed_own_sound(sound, len(clip.faces), judges), judges)["sync_confidence_at_0"]
    return row


def table(rows: list[Row]) -> str:
    """Formats the rows as Markdown, by language and for all languages but English."""
    languages = sorted({str(row["language"]) for row in rows})
    groups = {language: [row for row in rows if row["language"] == language] for language in languages}
    groups["all but English"] = [row for row in rows if row["language"] != "en"]
    lines = [_HEAD, "|---" * (_HEAD.count("|") - 1) + "|"]
    return "\n".join([*lines, *(_line(name, group) for name, group in groups.items() if group)])


def _line(name: str, rows: list[Row]) -> str:
    own, late, other, opening = (
        np.array([float(row[key]) for row in rows]) for key in ("own", "late", "other", "opening")
    )
    means = " | ".join(f"{values.mean():.3f}" for values in (own, late, other))
    wins = " | ".join(f"{int((own > wrong).sum())} of {len(rows)}" for wrong in (late, other))
    return f"| {name} | {len(rows)} | {means} | {wins} | {opening.mean():.3f} |"


if __name__ == "__main__":
    main()
