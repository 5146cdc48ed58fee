"""Reads a dialogue: who of a picture says what, and when.

A dialogue is a JSON file (docs/formats.md). Each of its people becomes a film of their own, as long as the dialogue,
whose speech is silent while others speak; `Talker.film` pastes all of them into one picture.
"""

import contextlib
import dataclasses
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final, NamedTuple

from pcavs.animate.face_choice import named_choice
from pcavs.animate.options import FACE_WORDS, FilmOptions, face_film
from pcavs.animate.settings import QUOTED_CHARACTERS, NamedFiles, converted
from pcavs.errors import InputError, unknown_setting
from pcavs.media.files import check_readable
from pcavs.media.names import path_exists
from pcavs.pose.presets import NATURAL
from pcavs.pose.source import read_pose
from pcavs.spec import Seconds

FORMAT: Final = "pcavs-dialogue-1"
"""Format name inside the file."""
PERSON_SETTINGS: Final = (
    "pose",
    "performance",
    "eyes",
    "brows",
    "mouth",
    "relative",
    "pose_face",
    "gaze",
    "look",
    "smile",
    "missing",
    "articulation",
    "no_blinks",
    "seed",
)
"""Settings of a film that each person may have for themselves."""
_LINE_TYPES: Final[dict[str, Any]] = {
    "audio": Path,
    "say": str,
    "voice": str,
    "at_s": Seconds,
    "start_s": Seconds,
    "end_s": Seconds,
}
LONGEST_S: Final = 6 * 3600.0
"""Latest time in a dialogue or in a file, and longest dialogue: its mix is then a file of 2 GB."""
_MAX_BYTES: Final = 4_000_000
"""Largest dialogue that is read."""
_MOST_LINES, _MOST_PEOPLE = 1000, 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """What one person says at one time: a part of a sound file, or a text to speak."""

    face: str
    audio: Path | None = None
    say: str | None = None
    voice: str = "en-us"
    at_s: float | None = None
    """When it begins in the film; None is `dialogue_sound.GAP_S` after the end of the line before."""
    start_s: float = 0.0
    end_s: float | None = None
    """Part of the file; None is its end."""


class PersonInPicture(NamedTuple):
    """A face of the picture."""

    face: str
    """As `--face` chooses it."""
    settings: dict[str, Any]
    """Settings of their own."""


class Dialogue(NamedTuple):
    """Who says what."""

    people: tuple[PersonInPicture, ...]
    """In the order in which they are named."""
    lines: tuple[Line, ...]


def read_dialogue(path: Path, *, outside: bool = False) -> Dialogue:
    """Reads a dialogue; names of files are relative to its folder.

    Args:
        path: A .json file.
        outside: It may name files outside of its folder.

    Raises:
        InputError: The file cannot be read, or a setting cannot be used; the message names line or person.
    """
    check_readable(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path} is larger than {_MAX_BYTES // 1_000_000} MB; split it")
        fields = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check its name and permissions") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}); docs/formats.md describes the format") from error
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise InputError(f'{path} is no dialogue; give an object with "format": "{FORMAT}"')
    for name in fields:
        if name not in ("format", "people", "lines"):
            raise InputError(f"{path}: {unknown_setting(str(name)[:QUOTED_CHARACTERS], ('people', 'lines'))}")
    files = NamedFiles(path.parent, outside)
    lines = _objects(fields.get("lines"), _MOST_LINES, f"{path}: lines")
    people = _objects(fields["people"], _MOST_PEOPLE, f"{path}: people") if "people" in fields else []
    dialogue = [_line(one, f"{path}, line {at}", files) for at, one in enumerate(lines, start=1)]
    named = [_person(one, f"{path}, person {at}", files) for at, one in enumerate(people, start=1)]
    faces = [person.face for person in named]
    if len(set(faces)) < len(faces):
        raise InputError(f"{path} names one of its people twice; give each face once, with all of its settings")
    others = [PersonInPicture(face, {}) for face in dict.fromkeys(line.face for line in dialogue) if face not in faces]
    if len(named) + len(others) > _MOST_PEOPLE:
        raise InputError(f"{path} has {len(named) + len(others)} people; give up to {_MOST_PEOPLE}")
    return Dialogue((*named, *others), tuple(dialogue))


def dialogue_files(path: Path, dialogue: Dialogue) -> list[tuple[str, Path]]:
    """Lists the files that a dialogue reads, itself included, except those of people's settings."""
    files = dict.fromkeys(line.audio for line in dialogue.lines if line.audio is not None)
    return [("the dialogue", path), *(("a line of the dialogue", file) for file in files)]


def people_options(options: FilmOptions, dialogue: Dialogue) -> list[FilmOptions]:
    """Returns the settings of each person's film: their own, else those of the whole film.

    Where neither has a pose source, the head moves naturally. Each person has a seed of their own.

    Raises:
        InputError: A person's settings cannot be used.
    """
    return [_options_of(person, number, options) for number, person in enumerate(dialogue.people)]


def _options_of(person: PersonInPicture, number: int, options: FilmOptions) -> FilmOptions:
    settings: dict[str, Any] = {"seed": options.seed + number}
    has_pose = options.pose is not None or options.performance is not None or "performance" in person.settings
    if options.turn == "depth" and not has_pose:
        settings["pose"] = Path(NATURAL)
    settings |= person.settings
    shared: dict[str, Any] = {field.name: getattr(options, field.name) for field in dataclasses.fields(FilmOptions)}
    values: dict[str, Any] = {**shared, "dialogue": None, "full_frame": True, "face": person.face, **settings}
    try:
        return FilmOptions(**values)
    except InputError as error:
        raise InputError(f"{options.dialogue}, face {person.face}: {error}") from error


def _objects(value: Any, most: int, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not 0 < len(value) <= most or not all(isinstance(one, dict) for one in value):
        raise InputError(f"{where} must be a list of 1 to {most} objects in braces; docs/formats.md shows one")
    return value


def _face(fields: dict[str, Any], where: str, files: NamedFiles) -> str:
    face = fields.get("face")
    if not isinstance(face, str | int) or isinstance(face, bool) or not str(face).strip():
        raise InputError(f"{where} has no face; give left, right, largest, a number from the left, or a picture")
    word = files.file_or_word(str(face), f"{where}: face")
    with _named(where):
        named_choice(word)
    return word


def _line(fields: dict[str, Any], where: str, files: NamedFiles) -> Line:
    values: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "face" or value is None:
            continue
        if name not in _LINE_TYPES:
            known = ("face", *_LINE_TYPES)
            raise InputError(f"{where}: {unknown_setting(str(name)[:QUOTED_CHARACTERS], known)}")
        values[name] = _value(name, _LINE_TYPES[name], value, where, files)
    if ("audio" in values) == ("say" in values):
        raise InputError(f"{where} needs a sound or a text; give audio or say, and not both")
    for name in ("at_s", "start_s", "end_s"):
        if not 0 <= values.get(name, 0.0) <= LONGEST_S:
            raise InputError(f"{where}: {name} is {values[name]:g}; give 0 to {LONGEST_S:.0f} seconds")
    return Line(face=_face(fields, where, files), **values)


def _person(fields: dict[str, Any], where: str, files: NamedFiles) -> PersonInPicture:
    known = {field.name: field.type for field in dataclasses.fields(FilmOptions) if field.name in PERSON_SETTINGS}
    settings: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "face" or value is None:
            continue
        if name not in known:
            raise InputError(f"{where}: {unknown_setting(str(name)[:QUOTED_CHARACTERS], ('face', *known))}")
        settings[name] = _value(name, known[name], value, where, files)
        with _named(where):
            _check_word(name, settings[name])
    return PersonInPicture(_face(fields, where, files), settings)


def _value(name: str, kind: Any, value: Any, where: str, files: NamedFiles) -> Any:
    """Converts a value; no setting of a dialogue is an object or a list."""
    if not isinstance(value, str | int | float):
        raise InputError(f"{where}: {name} is a list or an object; give text, a number, true or false")
    with _named(where):
        return converted(name, kind, value, files)


def _check_word(name: str, value: Any) -> None:
    """Checks settings that take words as well as files.

    Raises:
        InputError: The value is neither.
    """
    if name in FACE_WORDS:
        face_film(name, value)
    elif name == "pose_face":
        named_choice(value)
    elif name == "pose" and not path_exists(value):
        read_pose(value, relative=False)


@contextlib.contextmanager
def _named(where: str) -> Generator[None]:
    """Puts file and entry before the message of an error."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
