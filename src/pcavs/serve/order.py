"""What users order: the body of `POST /talks`, and the settings of `pcavs animate` that it becomes."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, get_args

from pydantic import ConfigDict, Field, create_model

from pcavs.animate.options import AnimateOptions, FilmOptions
from pcavs.errors import InputError
from pcavs.serve.body import Body
from pcavs.serve.dialogue_order import DialogueScript, check_script, uploads_of_script, write_dialogue
from pcavs.serve.ids import ID
from pcavs.serve.movers import FACE, FACE_TEXT, Mover, Upload, check_mover, moved_by, upload_id, uploads_of_mover

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

_BACKGROUND: Final = r"^([a-z]{1,30}|#[0-9A-Fa-f]{3,8}|img_[A-Za-z0-9_-]{22})$"
_WORDS: Final[dict[str, Any]] = {
    "face": Annotated[str, Field(pattern=FACE, description=FACE_TEXT)],
    "pose_face": Annotated[str, Field(pattern=FACE, description="As face, for a pose video.")],
    "background": Annotated[
        str | None, Field(pattern=_BACKGROUND, description="A colour, transparent, or an image's id.")
    ],
    "gaze": Annotated[str | None, Field(max_length=40, description="Degrees to the picture's right, and up: 10,-5.")],
    "label": Annotated[str | None, Field(max_length=100)],
}
"""Types of the settings that are text."""
_UPLOADS: Final = ("face", "pose_face", "background")
"""Settings that may be the id of an image."""
_PREVIEW_S: Final = 1.0
"""Length of a preview."""


def _setting_fields() -> dict[str, Any]:
    """Returns the settings of a film that an order can have, as fields of a model with the same defaults."""
    known = {field.name: field for field in dataclasses.fields(FilmOptions)}
    return {name: (_WORDS.get(name, known[name].type), known[name].default) for name in SETTINGS}


class _Settings(Body):
    model_config = ConfigDict(allow_inf_nan=False)
    listed_in: ClassVar[str] = "docs/animate.md or /openapi.json"


Config: Final[type[Body]] = create_model(
    "Config",
    __base__=_Settings,
    __doc__="Settings of `pcavs animate`, with their names and defaults (docs/animate.md).",
    **_setting_fields(),
)


class TextScript(Body):
    """A text to speak."""

    type: Literal["text"]
    input: Annotated[str, Field(min_length=1, max_length=20_000)]
    voice: Annotated[str, Field(max_length=120)] = "en-us"


class AudioScript(Body):
    """Recorded speech."""

    type: Literal["audio"]
    audio_url: Upload


class TalkOrder(Mover):
    """A film to make."""

    model_config = ConfigDict(
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

    source_url: Annotated[Upload, Field(description="Id or address of an uploaded image or video of the person.")]
    script: Annotated[
        TextScript | AudioScript | DialogueScript, Field(discriminator="type", description="What is said, and by whom.")
    ]
    references: Annotated[list[Upload], Field(max_length=20, description="Ids of more images of the person.")] = []  # noqa: RUF012 - copied for each order
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
    options = _options(order, Path("identity"), Path("script"), out=Path(f"film.{order.format}"))
    check_mover(order)
    if isinstance(order.script, DialogueScript):
        if order.preview:
            raise InputError("a dialogue has no preview of its first second; leave preview out")
        check_script(order.script, options)


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
    more = uploads_of_script(order.script) if isinstance(order.script, DialogueScript) else ()
    for name, kinds in (*uploads_of_mover(order), *more):
        add(name, *kinds)
    return found


def _images(order: TalkOrder) -> list[str]:
    """Returns the ids of images among the settings."""
    values = [getattr(order.config, name) for name in _UPLOADS]
    return [value for value in values if value is not None and ID.fullmatch(value)]


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
    sound: Path | None = None
    if isinstance(order.script, AudioScript):
        sound = files[upload_id(order.script.audio_url)]
    elif isinstance(order.script, DialogueScript):
        sound = folder / "dialogue.json"
        write_dialogue(order.script, sound, files)
    options = _options(order, files[upload_id(order.source_url)], sound, out=out)
    moved: dict[str, Any] = {**moved_by(order, folder / "timeline.json", files)}
    moved |= {name: Path(moved[name]) for name in ("pose", "performance") if name in moved}
    images = {
        name: str(files[value])
        for name in _UPLOADS
        if (value := getattr(options, name)) is not None and ID.fullmatch(value)
    }
    end_s = options.end
    if order.preview:
        end_s = min(options.start + _PREVIEW_S, options.start + _PREVIEW_S if end_s is None else end_s)
    return dataclasses.replace(
        options,
        references=tuple(files[upload_id(each)] for each in order.references),
        consent=_consent_of(order, folder),
        end=end_s,
        **images,
        **moved,
    )


def _options(order: TalkOrder, identity: Path, sound: Path | None, *, out: Path) -> AnimateOptions:
    """Returns the settings of a film; `sound` is driving audio or dialogue, which texts do not have."""
    spoken = order.script if isinstance(order.script, TextScript) else None
    is_dialogue = isinstance(order.script, DialogueScript)
    return AnimateOptions(
        identity=identity,
        audio=None if spoken or is_dialogue else sound,
        dialogue=sound if is_dialogue else None,
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
