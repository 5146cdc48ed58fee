"""Lists the files that a film is made from, so that no output replaces one of them."""

import dataclasses
from pathlib import Path

from pcavs.animate.backdrop import background_picture
from pcavs.animate.dialogue import dialogue_files, people_options, read_dialogue
from pcavs.animate.options import FACE_WORDS, FilmOptions, face_film
from pcavs.face.choice import parse_choice
from pcavs.pose.source import pose_files


def input_files(options: FilmOptions) -> list[tuple[str, Path]]:
    """Lists the files that a film reads, each with what it is, weights excluded.

    Raises:
        InputError: A timeline cannot be read.
    """
    background = background_picture(options.background)
    return [
        ("the picture of the person", options.identity),
        *([] if options.audio is None else [("the driving audio", options.audio)]),
        *([] if options.dialogue is None else _dialogue_files(options)),
        *([] if options.pose is None else pose_files(options.pose, outside=options.outside)),
        *([] if options.performance is None else [("the performance", options.performance)]),
        *(
            (f"the film of the {name}", film)
            for name, film in ((name, face_film(name, getattr(options, name))) for name in FACE_WORDS)
            if film is not None
        ),
        *([] if options.label_font is None else [("the label's font", options.label_font)]),
        *(("one of the references", path) for path in options.references),
        *([] if background is None else [("the picture of the background", background)]),
        *(
            ("the picture that chooses a face", Path(words))
            for words in (options.face, options.pose_face)
            if parse_choice(words) is None
        ),
    ]


def _dialogue_files(options: FilmOptions) -> list[tuple[str, Path]]:
    """Lists the files of a dialogue: its lines, and what its people follow."""
    assert options.dialogue is not None
    dialogue = read_dialogue(options.dialogue, outside=options.outside)
    files = dialogue_files(options.dialogue, dialogue)
    shared = set(input_files(dataclasses.replace(options, dialogue=None)))
    for person in people_options(options, dialogue):
        files += [each for each in input_files(person) if each not in shared and each not in files]
    return files
