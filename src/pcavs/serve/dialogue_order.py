"""The script of an order in which several people of one picture speak in turn: `"type": "dialogue"`."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, create_model

from pcavs.animate.dialogue import FORMAT, LONGEST_S, PERSON_SETTINGS, Dialogue, PersonInPicture, people_options
from pcavs.animate.options import FilmOptions
from pcavs.errors import InputError
from pcavs.serve.body import Body
from pcavs.serve.ids import ID
from pcavs.serve.movers import (
    FACE,
    FACE_TEXT,
    Mover,
    Upload,
    check_mover,
    is_upload,
    moved_by,
    upload_id,
    uploads_of_mover,
)

_MOST_LINES, _MOST_PEOPLE = 200, 16
_Face = Annotated[str, Field(pattern=FACE, description=f"Whose face: {FACE_TEXT}")]
_At = Annotated[float, Field(ge=0, le=LONGEST_S)]
_TEXTS: Final[dict[str, Any]] = {
    "pose_face": Annotated[str, Field(pattern=FACE, description=FACE_TEXT)],
    "gaze": Annotated[str, Field(max_length=40, description="Degrees to the picture's right, and up: 10,-5.")],
}
"""Types of a person's settings that are text."""


class DialogueLine(Body):
    """What one person says at one time: recorded speech, or a text."""

    model_config = ConfigDict(allow_inf_nan=False)
    face: _Face
    audio_url: Annotated[Upload | None, Field(description="Id or address of uploaded speech, or:")] = None
    input: Annotated[str | None, Field(min_length=1, max_length=20_000, description="a text to speak.")] = None
    voice: Annotated[str, Field(max_length=120, description="Who speaks the text.")] = "en-us"
    at_s: Annotated[
        _At | None, Field(description="When it begins in the film; without it 0.3 s after the line before it ends.")
    ] = None
    start_s: Annotated[_At, Field(description="Start of the part of the sound that is said.")] = 0.0
    end_s: Annotated[_At | None, Field(description="Its end; without it that of the sound.")] = None


def _person_fields() -> dict[str, Any]:
    """Returns the settings that a person may have of their own; None is that of the whole film."""
    known = {field.name: field.type for field in dataclasses.fields(FilmOptions)}
    names = [name for name in PERSON_SETTINGS if name not in Mover.model_fields]
    return {name: (_TEXTS.get(name, known[name]) | None, None) for name in names}


DialoguePerson: Final[type[Mover]] = create_model(
    "DialoguePerson",
    __base__=Mover,
    __doc__="A person with settings of their own, those of the film being the default (docs/formats.md).",
    face=_Face,
    **_person_fields(),
)


class DialogueScript(Body):
    """Several people of the picture who speak in turn; the film shows the whole picture."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "dialogue",
                    "lines": [
                        {"face": "left", "audio_url": "aud_AAAAAAAAAAAAAAAAAAAAAA"},
                        {"face": "right", "input": "I see.", "at_s": 2.5},
                    ],
                    "people": [{"face": "left", "pose": "lively", "smile": 0.2}],
                }
            ]
        },
    )
    type: Literal["dialogue"]
    lines: Annotated[list[DialogueLine], Field(min_length=1, max_length=_MOST_LINES, description="Who says what.")]
    people: Annotated[
        list[DialoguePerson],  # pyright: ignore[reportInvalidTypeForm]
        Field(max_length=_MOST_PEOPLE, description="People with settings of their own; others have those of the film."),
    ] = []  # noqa: RUF012 - copied for each order


def spoken_text(script: DialogueScript) -> str:
    """Returns all that is spoken from text."""
    return " ".join(line.input for line in script.lines if line.input is not None)


def check_times(script: DialogueScript, longest_s: float) -> None:
    """Checks when lines begin.

    Raises:
        InputError: A line begins later than a film may last.
    """
    for number, line in enumerate(script.lines, start=1):
        if line.at_s is not None and line.at_s > longest_s:
            raise InputError(f"script, line {number} begins at {line.at_s:g} s; give up to {longest_s:g} s")


def check_script(script: DialogueScript, options: FilmOptions) -> None:
    """Checks all of a dialogue that can be checked without its files.

    Args:
        script: The dialogue.
        options: Settings of the whole film.

    Raises:
        InputError: A setting cannot be used; the message names the line or the person.
    """
    for number, line in enumerate(script.lines, start=1):
        if (line.audio_url is None) == (line.input is None):
            raise InputError(f"script, line {number} needs a sound or a text; give audio_url or input, and not both")
        if line.end_s is not None and line.end_s <= line.start_s:
            raise InputError(f"script, line {number} ends before it starts; give an end_s above {line.start_s:g}")
    named = [_face(person) for person in script.people]
    if len(set(named)) < len(named):
        raise InputError("script names one of its people twice; give each face once, with all of its settings")
    faces = {*named, *(line.face for line in script.lines)}
    if len(faces) > _MOST_PEOPLE:
        raise InputError(f"script has {len(faces)} people; give up to {_MOST_PEOPLE}")
    for number, person in enumerate(script.people, start=1):
        try:
            check_mover(person)
        except InputError as error:
            raise InputError(f"script, person {number}: {error}") from error
    people = tuple(PersonInPicture(_face(person), _checked(person)) for person in script.people)
    people_options(options, Dialogue(people, ()))


def _face(person: Mover) -> str:
    return str(person.model_dump()["face"])


def _own(person: Mover) -> dict[str, Any]:
    """Returns the settings of a person that are no mover's."""
    fields = person.model_dump(exclude={*Mover.model_fields, "face"})
    return {name: value for name, value in fields.items() if value is not None}


def _checked(person: Mover) -> dict[str, Any]:
    """Returns a person's settings as those of a film; names stand for files."""
    movers = {name: getattr(person, name) for name in Mover.model_fields if getattr(person, name) is not None}
    paths = {name: Path("upload") for name in ("pose", "performance") if name in movers}
    return {**_own(person), **movers, **paths}


def uploads_of_script(script: DialogueScript) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Lists names of the uploads that a dialogue reads, each with the kinds of file that it may be.

    Raises:
        InputError: A timeline cannot be used.
    """
    for line in script.lines:
        if line.audio_url is not None:
            yield line.audio_url, ("audio", "video")
        if is_upload(line.face):
            yield line.face, ("image",)
    for person in script.people:
        yield from uploads_of_mover(person)
        for face in (_face(person), _own(person).get("pose_face", "")):
            if is_upload(face):
                yield face, ("image",)


def write_dialogue(script: DialogueScript, path: Path, files: dict[str, Path]) -> None:
    """Writes the dialogue as a file (docs/formats.md) beside its uploads.

    Args:
        script: The dialogue.
        path: The file to write.
        files: Path of each upload.
    """

    def named(face: str) -> str:
        return files[face].name if ID.fullmatch(face) else face

    lines: list[dict[str, Any]] = []
    for line in script.lines:
        fields = line.model_dump(exclude={"audio_url", "input"}, exclude_none=True) | {"face": named(line.face)}
        if line.audio_url is not None:
            fields["audio"] = files[upload_id(line.audio_url)].name
        else:
            fields["say"] = line.input
        lines.append(fields)
    people: list[dict[str, Any]] = []
    for number, person in enumerate(script.people, start=1):
        moved = moved_by(person, path.with_name(f"timeline-{number}.json"), files)
        own = {name: named(value) if name == "pose_face" else value for name, value in _own(person).items()}
        people.append({"face": named(_face(person)), **moved, **own})
    path.write_text(json.dumps({"format": FORMAT, "lines": lines} | ({"people": people} if people else {})))
