"""What users order: the body of `POST /talks`, and the settings of `pcavs animate` that it becomes."""

import dataclasses
import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, create_model

from pcavs.animate.options import PHOTO, SPEECH, AnimateOptions, FilmOptions
from pcavs.errors import InputError, unknown_setting
from pcavs.pose.presets import PRESET_NAMES
from pcavs.pose.source import segment_files
from pcavs.pose.timeline import timeline_from
from pcavs.serve.ids import ID

Format = Literal["mp4", "webm", "mkv", "mov", "gif", "webp"]
"""Kind of file of a film."""

SETTINGS: Final = (
    "relative",
    "turn",
    "face",
    "pose_face",
    "gaze",
    "look",
    "smile",
    "missing",
    "background",
    "full_frame",
    "loop",
    "max_side",
    "gate",
    "articulation",
    "size",
    "start",
    "end",
    "audio_stream",
    "no_blinks",
    "seed",
    "compat",
    "marks",
    "label",
    "label_corner",
)
"""Settings of a film that an order may have. A new one is added here by hand: it may name files, which an order must
not."""
NOT_SETTINGS: Final = (
    "identity",
    "audio",
    "dialogue",
    "pose",
    "performance",
    "eyes",
    "brows",
    "mouth",
    "references",
    "consent",
    "outside",
    "label_font",
    "sign_with",
    "tsa",
    "log",
    "workers",
)
"""Settings that have other names in an order, or are the operator's."""

_ANGLE: Final = r"(yaw|pitch|roll|x|y|scale)=-?[0-9.]{1,8}"
_DEGREES: Final = re.compile(rf"{_ANGLE}(,{_ANGLE}){{0,5}}")
_STRENGTH: Final = re.compile(r"natural=(2(\.0{1,4})?|[01](\.[0-9]{1,4})?)")
_FACE: Final = r"^(largest|left|right|[0-9]{1,2}|img_[A-Za-z0-9_-]{22})$"
_BACKGROUND: Final = r"^([a-z]{1,30}|#[0-9A-Fa-f]{3,8}|img_[A-Za-z0-9_-]{22})$"
_WORDS: Final[dict[str, Any]] = {
    "face": Annotated[str, Field(pattern=_FACE, description="largest, left, right, a number, or an image's id.")],
    "pose_face": Annotated[str, Field(pattern=_FACE, description="As face, for a pose video.")],
    "background": Annotated[
        str | None, Field(pattern=_BACKGROUND, description="A colour, transparent, or an image's id.")
    ],
    "gaze": Annotated[str | None, Field(max_length=40, description="Degrees to the picture's right, and up: 10,-5.")],
    "label": Annotated[str | None, Field(max_length=100)],
}
"""Types of the settings that are text."""
_LENT: Final = "the id of an uploaded video or track, speech (generated)"
_FILMS: Final = {
    "performance": (("video", "track"), ()),
    "eyes": (("video", "track"), (SPEECH, PHOTO)),
    "brows": (("video", "track"), (SPEECH, PHOTO)),
    "mouth": (("video",), (SPEECH,)),
}
"""Parts of the face that follow a film: the kinds of upload, and the words that they may be instead."""
_UPLOADS: Final = ("face", "pose_face", "background")
"""Settings that may be the id of an image."""
_MAX_TIMELINE_BYTES: Final = 1_000_000
_PREVIEW_S: Final = 1.0
"""Length of a preview."""

_Upload: TypeAlias = Annotated[str, Field(max_length=2000)]
"""Id or address of an upload."""


def _setting_fields() -> dict[str, Any]:
    """Returns the settings of a film that an order can have, as fields of a model with the same defaults."""
    known = {field.name: field for field in dataclasses.fields(FilmOptions)}
    return {name: (_WORDS.get(name, known[name].type), known[name].default) for name in SETTINGS}


Config: Final[type[BaseModel]] = create_model(
    "Config",
    __config__=ConfigDict(extra="forbid", allow_inf_nan=False),
    __doc__="Settings of `pcavs animate`, with their names and defaults (docs/animate.md).",
    **_setting_fields(),
)


class TextScript(BaseModel):
    """A text to speak."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["text"]
    input: Annotated[str, Field(min_length=1, max_length=20_000)]
    voice: Annotated[str, Field(max_length=120)] = "en-us"


class AudioScript(BaseModel):
    """Recorded speech."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["audio"]
    audio_url: _Upload


class TalkOrder(BaseModel):
    """A film to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "source_url": "img_AAAAAAAAAAAAAAAAAAAAAA",
                    "script": {"type": "audio", "audio_url": "aud_AAAAAAAAAAAAAAAAAAAAAA"},
                    "pose": "lively",
                    "config": {"size": 256},
                }
            ]
        },
    )

    source_url: Annotated[_Upload, Field(description="Id or address of an uploaded image or video of the person.")]
    script: Annotated[TextScript | AudioScript, Field(discriminator="type", description="What is said.")]
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
    references: Annotated[list[_Upload], Field(max_length=20, description="Ids of more images of the person.")] = []
    config: Annotated[Config, Field(description="Settings.")] = Config()  # pyright: ignore[reportInvalidTypeForm]
    format: Format = "mp4"
    preview: Annotated[bool, Field(description="Makes the first second only.")] = False
    consent: Annotated[
        str | dict[str, Any] | None,
        Field(description="Record of the person's consent, as text or JSON; its digest goes into the film."),
    ] = None
    name: Annotated[str | None, Field(max_length=200, description="For your list.")] = None
    user_data: Annotated[str | None, Field(max_length=1000, description="Comes back with the film.")] = None
    webhook: Annotated[str | None, Field(max_length=2000, description="Address that is told when it is finished.")] = (
        None
    )


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


def digest(order: TalkOrder) -> str:
    """Returns a digest of an order, which is the same for equal orders."""
    fields = order.model_dump(mode="json")
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def check(order: TalkOrder, *, require_consent: bool, require_marks: bool = False) -> None:
    """Checks all of an order that can be checked without its files.

    Raises:
        InputError: A setting cannot be used; the message is that of the command.
    """
    if require_marks and getattr(order.config, "marks", None) == "none":
        raise InputError("this service makes no films without marks; give marks as audio or all, or leave it out")
    consent = order.consent
    if require_consent and (consent is None or not str(consent).strip() or consent == {}):
        raise InputError("no consent; this service requires a record of the person's consent with every film")
    if consent is not None and len(json.dumps(consent)) > 100_000:
        raise InputError("the consent record is larger than 100 kB; give who agrees to what, as text or JSON")
    _options(order, Path("identity"), Path("audio"), out=Path(f"film.{order.format}"))
    if isinstance(order.pose, str):
        _check_pose(order.pose)
    for name, (_, words) in _FILMS.items():
        value = getattr(order, name)
        if value is not None and value not in words and not is_upload(value):
            known = ", ".join(("the id of an uploaded video", *words))
            raise InputError(f"{name} is {value[:60]}; give {known}")


def _check_pose(pose: str) -> None:
    if _is_generated(pose) or is_upload(pose):
        return
    raise InputError(unknown_setting(pose[:60], PRESET_NAMES, kind="pose"))


def _is_generated(pose: str) -> bool:
    """Tells whether a pose is a preset or degrees, which need no file."""
    return pose in PRESET_NAMES or _DEGREES.fullmatch(pose) is not None or _STRENGTH.fullmatch(pose) is not None


def uploads_of(order: TalkOrder) -> dict[str, tuple[str, ...]]:
    """Lists the uploads that an order reads, each with the kinds of file that it may be.

    Raises:
        InputError: A name is no upload's, or the timeline cannot be used.
    """
    found: dict[str, tuple[str, ...]] = {}

    def add(text: str, *kinds: str) -> None:
        name = upload_id(text)
        found[name] = tuple(kind for kind in kinds if kind in found.get(name, kinds))

    add(order.source_url, "image", "video")
    if isinstance(order.script, AudioScript):
        add(order.script.audio_url, "audio", "video")
    for each in (*order.references, *_images(order)):
        add(each, "image")
    for name, (kinds, words) in _FILMS.items():
        value = getattr(order, name)
        if value is not None and value not in words:
            add(value, *kinds)
    if isinstance(order.pose, dict):
        for path in _timeline_files(order.pose):
            add(str(path), "video", "track")
    elif order.pose is not None and not _is_generated(order.pose):
        add(order.pose, "video", "track")
    return found


def _images(order: TalkOrder) -> list[str]:
    """Returns the ids of images among the settings."""
    values = [getattr(order.config, name) for name in _UPLOADS]
    return [value for value in values if value is not None and ID.fullmatch(value)]


def _timeline_files(fields: dict[str, Any]) -> list[Path]:
    if len(json.dumps(fields)) > _MAX_TIMELINE_BYTES:
        raise InputError("the timeline is larger than 1 MB; upload long motion as a track")
    files = segment_files(timeline_from(fields, "pose", Path()).segments)
    for path in files:
        if not ID.fullmatch(str(path)):
            raise InputError(f"pose: {str(path)[:60]} is no upload; give the id that POST /videos returned as path")
    return files


def animate_options(order: TalkOrder, folder: Path, files: dict[str, Path], out: Path) -> AnimateOptions:
    """Returns the settings of the film, and writes its timeline and consent record.

    Args:
        order: What was ordered.
        folder: Folder of the job, which holds its uploads under their ids.
        files: Path of each upload in it.
        out: The film to write.

    Raises:
        InputError: A setting cannot be used.
    """
    audio = files[upload_id(order.script.audio_url)] if isinstance(order.script, AudioScript) else None
    options = _options(order, files[upload_id(order.source_url)], audio, out=out)
    pose = _pose_of(order, folder, files)
    images = {
        name: str(files[value])
        for name in _UPLOADS
        if (value := getattr(options, name)) is not None and ID.fullmatch(value)
    }
    films = {
        name: str(files[upload_id(value)])
        for name in _FILMS
        if (value := getattr(order, name)) is not None and is_upload(value)
    }
    performance = films.pop("performance", None)
    end_s = options.end
    if order.preview:
        end_s = min(options.start + _PREVIEW_S, options.start + _PREVIEW_S if end_s is None else end_s)
    return dataclasses.replace(
        options,
        pose=pose,
        performance=None if performance is None else Path(performance),
        references=tuple(files[upload_id(each)] for each in order.references),
        consent=_consent_of(order, folder),
        end=end_s,
        **images,
        **films,
    )


def _options(order: TalkOrder, identity: Path, audio: Path | None, *, out: Path) -> AnimateOptions:
    spoken = order.script if isinstance(order.script, TextScript) else None
    return AnimateOptions(
        identity=identity,
        audio=None if spoken else audio,
        say=spoken.input if spoken else None,
        voice=spoken.voice if spoken else "en-us",
        performance=None if order.performance is None else Path(order.performance),
        eyes=order.eyes,
        brows=order.brows,
        mouth=order.mouth,
        references=tuple(Path(each) for each in order.references),
        out=out,
        **order.config.model_dump(),
    )


def _pose_of(order: TalkOrder, folder: Path, files: dict[str, Path]) -> Path | None:
    if order.pose is None:
        return None
    if isinstance(order.pose, dict):
        timeline = folder / "timeline.json"
        timeline.write_text(json.dumps(_with_names(order.pose, files)))
        return timeline
    if _is_generated(order.pose):
        return Path(order.pose)
    return files[upload_id(order.pose)]


def _with_names(fields: Any, files: dict[str, Path]) -> Any:
    """Replaces the ids of uploads in a timeline by the names of their files in its folder."""
    if isinstance(fields, dict):
        return {
            name: files[value].name if name == "path" and value in files else _with_names(value, files)
            for name, value in fields.items()
        }
    return [_with_names(each, files) for each in fields] if isinstance(fields, list) else fields


def _consent_of(order: TalkOrder, folder: Path) -> Path | None:
    if order.consent is None:
        return None
    record = folder / "consent"
    record.write_text(order.consent if isinstance(order.consent, str) else json.dumps(order.consent), encoding="utf-8")
    return record


def suffix_of(kind: str) -> str:
    """Returns the ending of an upload's name in the store; what it holds was found by its content."""
    return ".npz" if kind == "track" else ""


FORMATS: Final[tuple[str, ...]] = get_args(Format)
