"""The part of the API that orders films and shows them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import FileResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from pcavs.serve.caller import Caller, Parts, owner_of
from pcavs.serve.dialogue_order import DialogueScript, check_times, spoken_text
from pcavs.serve.ids import is_signed
from pcavs.serve.keep import with_fetched
from pcavs.serve.order import TalkOrder, TextScript, check, digest
from pcavs.serve.people import Owner
from pcavs.serve.problems import Problem
from pcavs.serve.routes_uploads import check_text
from pcavs.serve.service import Service
from pcavs.serve.talks import status_of
from pcavs.serve.views import TalkPage, TalkView, film_text, talk_view

router = APIRouter(tags=["talks"])

_LOOK_S: Final = 0.4
"""Time between two looks at a film whose progress is streamed."""
_SILENCE_S: Final = 15.0
"""Longest time without a line in a stream, so that proxies keep it open."""
_MOST_STREAMS: Final = 20
"""Streams of one owner at once."""
_TYPES: Final = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
    "gif": "image/gif",
    "webp": "image/webp",
}


@router.post("/talks", status_code=201, summary="Order a film", responses={200: {"model": TalkView}})
def order_talk(
    order: TalkOrder,
    request: Request,
    response: Response,
    caller: Caller,
    parts: Parts,
    idempotency_key: Annotated[
        str | None, Header(max_length=200, description="The same order with the same key makes one film.")
    ] = None,
) -> TalkView:
    """Queues a film. With an Idempotency-Key that was used before, it returns that film, with status 200."""
    check(order, require_consent=parts.options.require_consent, require_marks=parts.options.require_marks)
    if isinstance(order.script, TextScript):
        check_text(order.script.input, parts)
    elif isinstance(order.script, DialogueScript):
        check_text(spoken_text(order.script), parts)
        check_times(order.script, parts.limits.seconds)
    if order.webhook is not None:
        parts.webhook_hosts.check(order.webhook)
    sent = digest(order)
    row, is_new = parts.talks.earlier(caller, idempotency_key, sent), False
    if row is None:
        row, is_new = parts.talks.add(caller, with_fetched(order, caller, parts), idempotency_key, sent)
    response.status_code = 201 if is_new else 200
    return _view(row, request, parts, parts.talks.place(row))


@router.get("/talks", summary="List films")
def list_talks(
    request: Request,
    caller: Caller,
    parts: Parts,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=20, pattern="^[0-9]+$")] = None,
    previews: bool = False,
) -> TalkPage:
    """Lists your films, the newest first."""
    rows, after = parts.talks.page(caller, limit, None if cursor is None else int(cursor), previews=previews)
    return TalkPage(talks=[_view(row, request, parts) for row in rows], next=None if after is None else str(after))


@router.get("/talks/{name}", summary="Show a film")
def get_talk(name: str, request: Request, caller: Caller, parts: Parts) -> TalkView:
    """Returns state, progress and, when it is done, the address of the film."""
    row = parts.talks.get(caller, name)
    return _view(row, request, parts, parts.talks.place(row))


@router.delete("/talks/{name}", status_code=204, summary="Remove a film")
def remove_talk(name: str, caller: Caller, parts: Parts) -> Response:
    """Removes a film in any state; its making is stopped."""
    parts.talks.remove(caller, name)
    return Response(status_code=204)


@router.post("/talks/{name}/retry", summary="Try a film again")
def retry_talk(name: str, request: Request, caller: Caller, parts: Parts) -> TalkView:
    """Queues a film again that failed."""
    return _view(parts.talks.retry(caller, name), request, parts)


@router.get(
    "/talks/{name}/film",
    summary="Download a film",
    response_class=FileResponse,
    responses={200: {"content": {"video/mp4": {}}, "description": "The film; ranges are served."}},
)
async def get_film(
    name: str,
    request: Request,
    parts: Parts,
    until: Annotated[int | None, Query()] = None,
    signature: Annotated[str | None, Query(max_length=100)] = None,
) -> FileResponse:
    """Returns the film, for the address in `result_url` or with a token."""
    row = await run_in_threadpool(_signed_row, parts, name, until, signature)
    if row is None:
        row = await run_in_threadpool(parts.talks.get, await owner_of(request), name)
    if row.state != "done":
        raise Problem(409, f"the film is {status_of(row)}; wait until it is done")
    suffix = row.film_key.rpartition(".")[2]
    try:
        path = await run_in_threadpool(parts.store.local, row.film_key)
    except FileNotFoundError as error:
        raise Problem(404, "the film was removed; order it again") from error
    return FileResponse(
        path,
        media_type=_TYPES[suffix],
        filename=f"{name}.{suffix}",
        content_disposition_type="attachment",
        headers={"Cache-Control": "private, no-store"},
    )


@router.get(
    "/talks/{name}/events",
    summary="Watch a film being made",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "`talk` events, each with the film."}},
)
async def watch_talk(name: str, request: Request, caller: Caller, parts: Parts) -> StreamingResponse:
    """Streams server-sent events: `talk` with the film whenever it changes, `gone` if it is removed."""
    await run_in_threadpool(parts.talks.get, caller, name)
    if not parts.open_stream(caller.id, _MOST_STREAMS):
        raise Problem(429, f"{_MOST_STREAMS} streams are open; close one")
    events = _events(name, request, caller, parts)
    return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _events(name: str, request: Request, owner: Owner, parts: Service) -> AsyncIterator[str]:
    try:
        last, silent_s = None, 0.0
        while not parts.stopping.is_set():
            try:
                row = await run_in_threadpool(parts.talks.get, owner, name)
            except Problem:
                yield "event: gone\ndata: {}\n\n"
                return
            news = (row.state, row.activity, row.steps_done, row.attempts)
            if news != last:
                view = _view(row, request, parts)
                yield f"event: talk\ndata: {json.dumps(view.model_dump(mode='json', exclude_none=True))}\n\n"
                last, silent_s = news, 0.0
            elif silent_s >= _SILENCE_S:
                yield ": waiting\n\n"
                silent_s = 0.0
            if row.state in ("done", "failed"):
                return
            await asyncio.sleep(_LOOK_S)
            silent_s += _LOOK_S
    finally:
        parts.close_stream(owner.id)


def _view(row: Any, request: Request, parts: Service, waiting: int | None = None) -> TalkView:
    base = (parts.options.url or str(request.base_url)).rstrip("/")
    return talk_view(row, base=base, secret=parts.secret, waiting=waiting)


def _signed_row(parts: Service, name: str, until: int | None, signature: str | None) -> Any | None:
    """Returns the row of a film whose address is signed and still valid; otherwise None."""
    if until is None or signature is None or not is_signed(parts.secret, film_text(name, until), signature):
        return None
    row = parts.talks.find(name)
    return row if row is not None and row.now_s < until else None
