"""What every request passes through: names of the service, foreign pages, limits of bodies, headers, log, figures."""

import asyncio
import logging
import secrets
import time
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pcavs.serve.problems import Problem, database_problem, problem_response
from pcavs.serve.service import Service

logger = logging.getLogger(__name__)

_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}
_SAFE_METHODS: Final = {"GET", "HEAD", "OPTIONS"}
_BODY_BYTES: Final = 2_000_000
"""Largest body that is no upload."""
_PIECE_S: Final = 20.0
"""Longest time between two pieces of such a body."""
_UPLOADS: Final = ("/images", "/audios", "/videos")
"""Addresses whose bodies are limited where they are received."""
_SECURITY_HEADERS: Final = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=()",
    "cache-control": "no-store",
}
"""Headers of every answer that does not set them itself."""


class Guard:
    """Middleware around the whole application."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service
        own = urlsplit(service.options.url or "").hostname
        self._names = _LOOPBACK | {service.options.host} | ({own} if own else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Checks a request, passes it on, and completes its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = secrets.token_hex(6)
        began_s, status = time.monotonic(), 500

        async def send_completed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._complete(message, request)
                self._note(scope, status, time.monotonic() - began_s, request)
            await send(message)

        try:
            refusal = await self._refusal(scope)
        except SQLAlchemyError as error:
            # Whether tokens are needed is read from the database; handlers of the application see no error of this.
            await database_problem(error)(scope, receive, send_completed)
            return
        if refusal is not None:
            await problem_response(refusal.status_code, refusal.detail)(scope, receive, send_completed)
            return
        await self._app(scope, _limited(receive, scope["path"]), send_completed)

    async def _refusal(self, scope: Scope) -> Problem | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if not await self._service.needs_token():
            # Without tokens this machine alone is served. A page of another host could make its own name point here
            # (DNS rebinding), so that the name must be one of this service's.
            if (scope.get("client") or ("",))[0] not in _LOOPBACK:
                return Problem(403, "this service has no tokens and serves its own machine only; see docs/serve.md")
            if _hostname(host) not in self._names:
                return Problem(421, f"this service has no tokens and is not {host[:60]!r}; open it as localhost")
        origin = headers.get("origin")
        if scope["method"] in _SAFE_METHODS or origin is None or origin in self._service.options.cors_origins:
            return None
        own = urlsplit(self._service.options.url or "")
        if origin != "null" and urlsplit(origin).netloc in {host, own.netloc or host}:
            return None
        return Problem(403, "pages of other hosts may not call this service; the operator can allow it")

    def _complete(self, message: Message, request: str) -> None:
        names = {name.lower() for name, _ in message["headers"]}
        added = [(name, value) for name, value in _SECURITY_HEADERS.items() if name.encode() not in names]
        message["headers"] = [
            *message["headers"],
            *((name.encode(), value.encode()) for name, value in (*added, ("x-request-id", request))),
        ]

    def _note(self, scope: Scope, status: int, seconds: float, request: str) -> None:
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if len(scope["method"]) < 10 else "OTHER"
        self._service.metrics.count(method, route, status, seconds)
        facts: dict[str, Any] = {
            "method": method,
            "route": route,
            "status": status,
            "took_s": round(seconds, 4),
            "request": request,
        }
        logger.info("request", extra=facts)


def _hostname(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _limited(receive: Receive, path: str) -> Receive:
    """Returns a receiver that refuses bodies above the limit, except for uploads, which have their own."""
    if path in _UPLOADS:
        return receive
    size, complete = 0, False

    async def limited() -> Message:
        nonlocal size, complete
        if complete:
            return await receive()  # waits for the end of the connection
        try:
            message = await asyncio.wait_for(receive(), _PIECE_S)
        except TimeoutError as error:
            raise Problem(408, "the body comes too slowly; send it again", Connection="close") from error
        complete = not message.get("more_body", False)
        size += len(message.get("body", b""))
        if size > _BODY_BYTES:
            raise Problem(413, f"the body is larger than {_BODY_BYTES // 10**6} MB; upload long motion as a track")
        return message

    return limited
