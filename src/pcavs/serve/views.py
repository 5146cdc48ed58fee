"""What the API answers: models of uploads and films, made from the rows of the tables."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, Field

from pcavs.serve.ids import signature
from pcavs.serve.order import Config
from pcavs.serve.talks import status_of

_FOLDER = {"image": "images", "audio": "audios", "video": "videos", "track": "videos"}

_DEFAULTS: Final[dict[str, Any]] = Config().model_dump()


class UploadView(BaseModel):
    """A file that was sent."""

    id: str
    url: Annotated[str, Field(description="Use it, or the id, in POST /talks.")]
    kind: Literal["image", "audio", "video", "track"]
    bytes: int
    width: int | None = None
    height: int | None = None
    duration: Annotated[float | None, Field(description="Seconds.")] = None
    created_at: str
    expires_at: str


class Progress(BaseModel):
    """How far a film is."""

    activity: str
    done: int
    total: int
    seconds_left: Annotated[float | None, Field(description="An estimate, while frames are rendered.")] = None


class TalkView(BaseModel):
    """A film."""

    id: str
    status: Literal["created", "started", "done", "error"]
    created_at: str
    started_at: str | None = None
    ended_at: str | None = None
    expires_at: str
    name: str | None = None
    user_data: str | None = None
    preview: bool = False
    source_url: str
    script: dict[str, Any]
    pose: str | dict[str, Any] | None = None
    config: Annotated[dict[str, Any], Field(description="Settings, without those that have their default.")]
    format: str
    attempts: int
    waiting_before: Annotated[int | None, Field(description="Films that wait before this one.")] = None
    progress: Progress | None = None
    result_url: Annotated[str | None, Field(description="The film; needs no token until it expires.")] = None
    duration: Annotated[float | None, Field(description="Seconds.")] = None
    frames: int | None = None
    bytes: int | None = None
    took_s: float | None = None
    notes: list[str] = []
    error: Annotated[str | None, Field(description="One line: what was found and what to do.")] = None


class TalkPage(BaseModel):
    """A page of the list of films."""

    talks: list[TalkView]
    next: Annotated[str | None, Field(description="Give it as `cursor` to get the next page.")] = None


def upload_view(row: Any) -> UploadView:
    """Returns what the API says about an upload."""
    facts = {name: value for name, value in json.loads(row.facts).items() if name != "kind"}
    return UploadView(
        id=row.id,
        url=f"/{_FOLDER[row.kind]}/{row.id}",
        kind=row.kind,
        bytes=row.bytes,
        created_at=iso(row.created_at),
        expires_at=iso(row.expires_at),
        **facts,
    )


def talk_view(row: Any, *, base: str, secret: str, waiting: int | None = None) -> TalkView:
    """Returns what the API says about a film.

    Args:
        row: Its row, with the time of the database as `now_s`.
        base: Address of the service, without a slash at the end.
        secret: What signs the address of the film.
        waiting: Films that wait before it.
    """
    order = json.loads(row.request)["order"]
    result = json.loads(row.result) if row.result else {}
    return TalkView(
        id=row.id,
        status=status_of(row),  # pyright: ignore[reportArgumentType] - one of four
        created_at=iso(row.created_at),
        started_at=None if row.started_at is None else iso(row.started_at),
        ended_at=None if row.ended_at is None else iso(row.ended_at),
        expires_at=iso(row.expires_at),
        name=order["name"],
        user_data=order["user_data"],
        preview=bool(row.preview),
        source_url=order["source_url"],
        script=order["script"],
        pose=order["pose"],
        config={name: value for name, value in order["config"].items() if value != _DEFAULTS.get(name)},
        format=order["format"],
        attempts=row.attempts,
        waiting_before=waiting,
        progress=_progress(row) if row.state == "running" else None,
        result_url=film_url(row, base, secret) if row.state == "done" else None,
        duration=result.get("seconds"),
        frames=result.get("frames"),
        bytes=row.film_bytes or None,
        took_s=result.get("took_s"),
        notes=result.get("notes", []),
        error=row.error,
    )


def film_url(row: Any, base: str, secret: str) -> str:
    """Returns the signed address of a film, which is valid until the film expires."""
    until = int(row.expires_at)
    query = {"until": until, "signature": signature(secret, film_text(row.id, until))}
    return f"{base}/talks/{row.id}/film?{urlencode(query)}"


def film_text(name: str, until: int) -> str:
    """Returns the text that is signed for the address of a film."""
    return f"film {name} {until}"


def iso(time_s: float) -> str:
    """Returns a time as ISO 8601, in UTC."""
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _progress(row: Any) -> Progress:
    left = None
    if row.activity == "rendering" and row.steps_done and row.started_at is not None:
        left = round(max(0.0, row.now_s - row.started_at) * (row.steps - row.steps_done) / row.steps_done, 1)
    return Progress(activity=row.activity or "reading", done=row.steps_done, total=row.steps, seconds_left=left)
