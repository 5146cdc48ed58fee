"""Writes the phoneme times of GRID clips, for the closure of the lips in `pcavs evaluate` (docs/evaluate.md).

    python scripts/align_grid.py CLIPS --out FOLDER [--words ALIGN]

The words of a clip come from ALIGN/NAME.align (lines of start, end, word, as GRID distributes them), or else from the
sentence code at the end of the clip's name: `s4_lwbsza` is "lay white by s zero again". pocketsphinx aligns their
phonemes to the sound (extra `synth`). Writes FOLDER/NAME.json with `phonemes`, rows of [IPA, start, end] in seconds,
which `pcavs evaluate` reads beside NAME.mp4. Clips without known words are named and skipped.
"""

import argparse
import re
from pathlib import Path
from typing import Final

from pcavs.errors import InputError
from pcavs.media.audio import read_waveform
from pcavs.media.files import write_json
from pcavs.synth.alignment import align

_GRAMMAR: Final = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    {"1": "one", "2": "two", "3": "three", "4": "four", "5": "five"}
    | {"6": "six", "7": "seven", "8": "eight", "9": "nine", "z": "zero"},
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
"""Words by their letter in the sentence code: command, colour, preposition, letter, digit and adverb.

Reference: Cooke, Barker, Cunningham and Shao, "An audio-visual corpus for speech perception and automatic speech
recognition", JASA 2006.
"""
_SILENT_WORDS: Final = ("sil", "sp")
_MOST_S: Final = 10.0
"""GRID clips last 3 s."""


def main() -> None:
    """Aligns all clips of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="may be the folder of the clips")
    parser.add_argument("--words", type=Path, help="folder of GRID's .align files")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for path in sorted(args.clips.glob("*.mp4")):
        text = spoken_words(path.stem, args.words)
        if not text:
            print(f"skipped: {path.name}, whose words are unknown")
            continue
        try:
            phonemes = align(read_waveform(path, 0.0, _MOST_S), text).phonemes
        except InputError as error:
            print(f"skipped: {path.name}, {error}")
            continue
        rows = [[each.ipa, round(each.start_s, 3), round(each.end_s, 3)] for each in phonemes]
        write_json(args.out / f"{path.stem}.json", {"text": text, "phonemes": rows})
        print(f"{path.name}: {text}")


def spoken_words(name: str, words: Path | None) -> str:
    """Returns the words of a clip by its name without ending; empty where they are not known."""
    table = words / f"{name}.align" if words else None
    if table and table.is_file():
        found = [line.split()[2] for line in table.read_text().splitlines() if line.strip()]
        return " ".join(word for word in found if word not in _SILENT_WORDS)
    return decode_sentence(re.split(r"[^a-z0-9]", name)[-1])


def decode_sentence(code: str) -> str:
    """Returns the words of a sentence code; empty where it is none."""
    if len(code) != len(_GRAMMAR) or any(letter not in words for letter, words in zip(code, _GRAMMAR, strict=True)):
        return ""
    return " ".join(words[letter] for letter, words in zip(code, _GRAMMAR, strict=True))


if __name__ == "__main__":
    main()
