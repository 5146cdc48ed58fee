"""The page of `pcavs live` and what it calls: offers of streams, speech, interruptions, status."""

import asyncio
import ipaddress
import json
import logging
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription

from pcavs.errors import InputError, PcavsError
from pcavs.live.peers import new_peer, with_address
from pcavs.live.speech import RATE_HZ, read_bytes, speak
from pcavs.live.stage import Stage, Watcher
from pcavs.types import Waveform

logger = logging.getLogger(__name__)

_MOST_WATCHERS: Final = 4
_MOST_BYTES: Final = 50_000_000
"""Largest sound file."""
_PAGE: Final = {"/": "index.html", "/live.css": "live.css", "/live.js": "live.js"}
_TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "media-src 'self' blob: mediastream:; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cache-Control": "no-store",
}
_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}


class LiveApp:
    """Serves one stage.

    Args:
        stage: The stage, whose `run` is running.
        host: Address that is listened on.
        first: What is spoken when somebody first watches, and on request again; None for nothing.
        voice: Voice of texts.
        voices: Folder of natural voices, as in `voices.catalogue.voices_folder`.
    """

    def __init__(self, stage: Stage, host: str, first: Waveform | None, voice: str, voices: Path | None) -> None:
        self._stage, self._host, self._first = stage, host, first
        self._voice, self._voices = voice, voices
        self._is_first_said = False
        self._peers: dict[RTCPeerConnection, Watcher] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        """Returns the web application."""
        app = web.Application(middlewares=[self._guard], client_max_size=_MOST_BYTES)
        for path, name in _PAGE.items():
            app.router.add_get(path, _file(name))
        app.router.add_get("/status", self._status)
        app.router.add_post("/offer", self._offer)
        app.router.add_post("/speech", self._speech)
        app.router.add_post("/say", self._say)
        app.router.add_post("/again", self._again)
        app.router.add_post("/interrupt", self._interrupt)
        return app

    async def close(self) -> None:
        """Ends all streams."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in list(self._peers):
            await self._leave(peer)

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[Any]]
    ) -> web.StreamResponse:
        """Refuses foreign pages, reports errors in one line, and adds headers."""
        try:
            if not self._is_own(request):
                raise web.HTTPForbidden(text="this page belongs to another address")
            response = await handler(request)
        except PcavsError as error:
            response = web.json_response({"error": str(error)}, status=422)
        except web.HTTPException as error:
            response = web.json_response({"error": error.text or error.reason}, status=error.status)
        response.headers.update(_HEADERS)
        return response

    def _is_own(self, request: web.Request) -> bool:
        """Tells whether a request names this page, and comes from it: pages of other hosts may send requests too."""
        name = urlsplit(f"//{request.host}").hostname or ""
        if name not in _LOOPBACK | {self._host} and not (_is_everywhere(self._host) and _is_address(name)):
            return False
        origin = request.headers.get("Origin")
        if request.method == "GET" or origin is None:
            return request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
        return urlsplit(origin).netloc == request.host

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(self._stage.status() | {"again": self._first is not None})

    async def _offer(self, request: web.Request) -> web.Response:
        if len(self._peers) >= _MOST_WATCHERS:
            raise InputError(f"{_MOST_WATCHERS} pages show the stream already; close one")
        sdp = (await _json(request)).get("sdp")
        if not isinstance(sdp, str) or not sdp.startswith("v=0"):
            raise InputError("this is no offer of a stream; reload the page")
        peer, watcher = new_peer(), self._stage.join()
        self._peers[peer] = watcher

        @peer.on("connectionstatechange")
        async def changed() -> None:
            if peer.connectionState in ("failed", "closed"):
                await self._leave(peer)
            elif peer.connectionState == "connected" and not self._is_first_said:
                self._is_first_said = True
                await self._say_first()

        @peer.on("track")
        def heard(track: MediaStreamTrack) -> None:
            if track.kind == "audio":
                self._start(self._stage.listen(track.recv))

        try:
            await peer.setRemoteDescription(
                RTCSessionDescription(with_address(sdp, request.remote or self._host), "offer")
            )
            peer.addTrack(watcher.pictures)
            peer.addTrack(watcher.sound)
            await peer.setLocalDescription(await peer.createAnswer())
        except (ValueError, KeyError, IndexError, AssertionError) as error:
            await self._leave(peer)
            raise InputError(f"this offer of a stream cannot be read ({error}); reload the page") from error
        return web.json_response({"sdp": peer.localDescription.sdp})

    async def _leave(self, peer: RTCPeerConnection) -> None:
        watcher = self._peers.pop(peer, None)
        if watcher is not None:
            self._stage.leave(watcher)
            await peer.close()

    async def _speech(self, request: web.Request) -> web.Response:
        sound = await asyncio.to_thread(read_bytes, await request.read())
        return await self._spoken(sound)

    async def _say(self, request: web.Request) -> web.Response:
        text = (await _json(request)).get("text")
        if not isinstance(text, str):
            raise InputError("there is no text to say")
        return await self._spoken(await asyncio.to_thread(speak, text, self._voice, self._voices))

    async def _again(self, _: web.Request) -> web.Response:
        await self._say_first()
        return web.json_response({})

    async def _interrupt(self, _: web.Request) -> web.Response:
        return web.json_response({"dropped_s": round(await self._stage.interrupt(), 2)})

    async def _spoken(self, sound: Waveform) -> web.Response:
        await self._stage.say(sound)
        return web.json_response({"seconds": round(len(sound) / RATE_HZ, 2)})

    async def _say_first(self) -> None:
        if self._first is not None:
            await self._stage.say(self._first)

    def _start(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _file(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Returns what answers with a file of the page."""
    content = (resources.files("pcavs.live") / "page" / name).read_text(encoding="utf-8")

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=content, content_type=_TYPES[name.rpartition(".")[2]])

    return answer


async def _json(request: web.Request) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send JSON")
    try:
        content = await request.json()
    except json.JSONDecodeError as error:
        raise InputError(f"this is no JSON ({error})") from error
    return content if isinstance(content, dict) else {}


def _is_everywhere(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
