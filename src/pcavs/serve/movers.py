"""What moves a person in an order, and how an order names its uploads."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, TypeAlias

from pydantic import Field

from pcavs.animate.options import FACE_WORDS
from pcavs.errors import InputError, unknown_setting
from pcavs.pose.presets import PRESET_NAMES
from pcavs.pose.source import segment_files
from pcavs.pose.timeline import timeline_from
from pcavs.serve.body import Body
from pcavs.serve.ids import ID

Upload: TypeAlias = Annotated[str, Field(max_length=2000)]
"""Id or address of an upload."""
FACE: Final = r"^(largest|left|right|[0-9]{1,2}|img_[A-Za-z0-9_-]{22})$"
"""Which face of a picture: as the command takes it, a picture of the person being an upload."""
FACE_TEXT: Final = "largest, left, right, a number, or an image's id."

_ANGLE: Final = r"(yaw|pitch|roll|x|y|scale)=-?[0-9.]{1,8}"
_DEGREES: Final = re.compile(rf"{_ANGLE}(,{_ANGLE}){{0,5}}")
_STRENGTH: Final = re.compile(r"natural=(2(\.0{1,4})?|[01](\.[0-9]{1,4})?)")
_LENT: Final = "the id of an uploaded video or track, speech (generated)"
_FILMS: Final = {
    "performance": ("video", "track"),
    "eyes": ("video", "track"),
    "brows": ("video", "track"),
    "mouth": ("video",),
}
"""Parts of the face that follow a film, and the kinds of upload that lend it."""
_MAX_TIMELINE_BYTES: Final = 1_000_000


class Mover(Body):
    """What moves a person."""

    listed_in: ClassVar[str] = "docs/serve.md or /openapi.json"

    pose: Annotated[
        str | dict[str, Any] | None,
        Field(
            description="A preset's name, natural=1.5, degrees such as yaw=20,pitch=-5, the id of an uploaded video or "
            "track, or a timeline (docs/formats.md) whose paths are such ids."
        ),
    ] = None
    performance: Annotated[
        str | None,
        Field(max_length=200, description="Id of a video or track of anybody that lends head, eyes, brows and smile."),
    ] = None
    eyes: Annotated[str | None, Field(max_length=200, description=f"Lids and gaze: {_LENT} or photo.")] = None
    brows: Annotated[str | None, Field(max_length=200, description=f"Brows and smile: {_LENT} or photo.")] = None
    mouth: Annotated[
        str | None, Field(max_length=200, description="Id of a video whose mouth is followed as it is seen, or speech.")
    ] = None


def is_upload(text: str) -> bool:
    """Tells whether a text is the id or address of an upload, whether or not there is one."""
    return ID.fullmatch(text.rstrip("/").rpartition("/")[2]) is not None


def upload_id(text: str) -> str:
    """Returns the id in a name or address of an upload, such as /images/img_...

    Raises:
        InputError: There is none.
    """
    found = ID.fullmatch(text.rstrip("/").rpartition("/")[2])
    if found is None:
        raise InputError(f"{text[:60]} is no upload; send the file to /images, /audios or /videos and give its id")
    return found.group()


def check_mover(mover: Mover) -> None:
    """Checks what can be checked without the files.

    Raises:
        InputError: A word is none that the setting takes.
    """
    if isinstance(mover.pose, str) and not _is_generated(mover.pose) and not is_upload(mover.pose):
        raise InputError(unknown_setting(mover.pose[:60], PRESET_NAMES, kind="pose"))
    for name in _FILMS:
        value, words = getattr(mover, name), FACE_WORDS.get(name, ())
        if value is not None and value not in words and not is_upload(value):
            known = ", ".join(("the id of an uploaded video", *words))
            raise InputError(f"{name} is {value[:60]}; give {known}")


def _is_generated(pose: str) -> bool:
    """Tells whether a pose is a preset or degrees, which need no file."""
    return pose in PRESET_NAMES or _DEGREES.fullmatch(pose) is not None or _STRENGTH.fullmatch(pose) is not None


def uploads_of_mover(mover: Mover) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Lists names of the uploads that a mover reads, each with the kinds of file that it may be.

    Raises:
        InputError: The timeline cannot be used.
    """
    for name, kinds in _FILMS.items():
        value = getattr(mover, name)
        if value is not None and value not in FACE_WORDS.get(name, ()):
            yield value, kinds
    if isinstance(mover.pose, dict):
        for path in _timeline_files(mover.pose):
            yield str(path), ("video", "track")
    elif mover.pose is not None and not _is_generated(mover.pose):
        yield mover.pose, ("video", "track")


def _timeline_files(fields: dict[str, Any]) -> list[Path]:
    if len(json.dumps(fields)) > _MAX_TIMELINE_BYTES:
        raise InputError("the timeline is larger than 1 MB; upload long motion as a track")
    files = segment_files(timeline_from(fields, "pose", Path()).segments)
    for path in files:
        if not ID.fullmatch(str(path)):
            raise InputError(f"pose: {str(path)[:60]} is no upload; give the id that POST /videos returned as path")
    return files


def moved_by(mover: Mover, timeline: Path, files: dict[str, Path]) -> dict[str, str]:
    """Returns the settings of a film that a mover becomes, and writes its timeline.

    Args:
        mover: What moves the person.
        timeline: The file to write, beside the uploads.
        files: Path of each upload.
    """
    found = {
        name: str(files[upload_id(value)]) if is_upload(value) else value
        for name in _FILMS
        if (value := getattr(mover, name)) is not None
    }
    if isinstance(mover.pose, dict):
        timeline.write_text(json.dumps(_with_names(mover.pose, files)))
        found["pose"] = str(timeline)
    elif mover.pose is not None:
        found["pose"] = mover.pose if _is_generated(mover.pose) else str(files[upload_id(mover.pose)])
    return found


def _with_names(fields: Any, files: dict[str, Path]) -> Any:
    """Replaces the ids of uploads in a timeline by the names of their files in its folder."""
    if isinstance(fields, dict):
        return {
            name: files[value].name if name == "path" and value in files else _with_names(value, files)
            for name, value in fields.items()
        }
    return [_with_names(each, files) for each in fields] if isinstance(fields, list) else fields
