"""Checks files and keeps them as uploads: those that were sent, and those that are fetched from allowed hosts."""

from pathlib import Path
from typing import Any, Final

from anyio import CapacityLimiter

from pcavs.errors import InputError
from pcavs.serve.movers import is_upload
from pcavs.serve.order import AudioScript, TalkOrder
from pcavs.serve.outside import read_limited
from pcavs.serve.people import Owner
from pcavs.serve.problems import Problem
from pcavs.serve.service import Service
from pcavs.serve.uploads import used_bytes
from pcavs.voices.speak import speak_to_file

_FETCH_S: Final = 60.0
"""Longest time for fetching one file."""
_THREADS: Final = 8
"""Threads that check and speak at once; the others answer requests."""
BUSY: Final = CapacityLimiter(_THREADS)
"""Limits threads that wait for decoders."""
SPEAKING: Final = CapacityLimiter(1)
"""Limits threads that speak texts: a natural voice takes a processor core for about as long as its speech."""


def keep(owner: Owner, parts: Service, part: Path, kind: str) -> Any:
    """Checks a file by its content, keeps it, and returns its row.

    Raises:
        InputError: It is not of this kind, damaged, or too large.
        Problem: The owner has no space left.
    """
    with parts.database.read() as connection:
        if used_bytes(connection, owner) + part.stat().st_size > owner.limits.storage_bytes:
            raise Problem(507, "your space is used up; delete uploads or films, or wait until they expire")
    return parts.uploads.add(owner, part, parts.checker.check(part, kind))


def speak(owner: Owner, parts: Service, text: str, voice: str) -> Any:
    """Speaks a text, keeps the sound, and returns its row.

    Raises:
        InputError: The text is too long, or the voice cannot speak it.
    """
    part = parts.store.new_part()
    try:
        speak_to_file(text, voice, part, voices=parts.options.voices, threads=1)
        return keep(owner, parts, part, "audio")
    finally:
        part.unlink(missing_ok=True)


def with_fetched(order: TalkOrder, owner: Owner, parts: Service) -> TalkOrder:
    """Fetches pictures and sounds that an order names by addresses of other hosts; returns it with their ids.

    Raises:
        InputError: The host is not allowed, or the file cannot be used.
    """
    changes: dict[str, Any] = {}
    if is_foreign(order.source_url):
        changes["source_url"] = _fetch(order.source_url, "image", owner, parts)
    if isinstance(order.script, AudioScript) and is_foreign(order.script.audio_url):
        audio = _fetch(order.script.audio_url, "audio", owner, parts)
        changes["script"] = order.script.model_copy(update={"audio_url": audio})
    return order.model_copy(update=changes)


def is_foreign(text: str) -> bool:
    """Tells whether a text is an address of another host and no upload's."""
    return text.lower().startswith(("http://", "https://")) and not is_upload(text)


def _fetch(url: str, kind: str, owner: Owner, parts: Service) -> str:
    if not parts.options.fetch_hosts:
        raise InputError(f"{url[:60]} is no upload, and nothing is fetched from other hosts; send the file yourself")
    part = parts.store.new_part()
    try:
        with parts.fetch_hosts.request("GET", url) as response:
            if response.status != 200:
                raise InputError(f"{url[:60]} answers with status {response.status}; give an address of a file")
            with part.open("xb") as file:
                for block in read_limited(response, parts.limits.bytes, _FETCH_S):
                    file.write(block)
        return str(keep(owner, parts, part, kind).id)
    finally:
        part.unlink(missing_ok=True)
