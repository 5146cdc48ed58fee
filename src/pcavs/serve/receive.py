"""Receives uploads: streams a body, plain or as a form, to a file, with limits of bytes and of time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from pcavs.serve.problems import Problem

_PIECE_S: Final = 20.0
"""Longest time between two pieces of a body."""
_BODY_S: Final = 900.0
"""Longest time for a whole body."""
_FORM_BYTES: Final = 100_000
"""Bytes of a form besides its file."""
_MAX_HEADERS_BYTES: Final = 8_000
"""Bytes of the headers of one part of a form."""


async def receive_file(request: Request, target: Path, max_bytes: int) -> int:
    """Writes the file of a request to `target`.

    The body is a form (multipart/form-data) with one file, or the file itself. Names of files are not used.

    Args:
        request: The request.
        target: Where the file is written; the caller removes it.
        max_bytes: Size of the largest file.

    Returns:
        The size of the file in bytes.

    Raises:
        Problem: It is too large, comes too slowly, or the form has no file.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    is_form = kind == b"multipart/form-data"
    if int(request.headers.get("content-length") or 0) > max_bytes + _FORM_BYTES * is_form:
        raise _too_large(max_bytes)
    with target.open("xb") as file:
        sink = _FormFile(file, options.get(b"boundary", b""), max_bytes) if is_form else _Plain(file, max_bytes)
        async for piece in pieces(request):
            await run_in_threadpool(sink.write, piece)
        return sink.close()


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """Yields the pieces of a body.

    Raises:
        Problem: They come too slowly, or the client ends.
    """
    loop = asyncio.get_running_loop()
    end_s = loop.time() + _BODY_S
    stream = request.stream()
    while True:
        try:
            piece = await asyncio.wait_for(anext(stream), min(_PIECE_S, end_s - loop.time()))
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise Problem(408, "the body comes too slowly; send it again", Connection="close") from error
        except ClientDisconnect as error:
            raise Problem(400, "the body ends too early; send it again") from error
        yield piece


class _Plain:
    """A body that is the file."""

    def __init__(self, file: Any, max_bytes: int) -> None:
        self._file, self._max_bytes, self._size = file, max_bytes, 0

    def write(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._max_bytes:
            raise _too_large(self._max_bytes)
        self._file.write(piece)

    def close(self) -> int:
        return self._size


class _FormFile:
    """A form whose only file is kept; its other fields are read over."""

    def __init__(self, file: Any, boundary: bytes, max_bytes: int) -> None:
        self._plain = _Plain(file, max_bytes)
        self._other_bytes = self._header_bytes = self._files = 0
        self._is_file = self._is_complete = False
        self._name, self._value = bytearray(), bytearray()
        if not 0 < len(boundary) <= 70:
            raise Problem(400, "the form has no boundary; send it as multipart/form-data")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._on_name,
                "on_header_value": self._on_value,
                "on_header_end": self._end_header,
                "on_part_data": self._data,
                "on_end": self._end,
            },
        )

    def write(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise Problem(400, "the form is damaged; send it as multipart/form-data") from error

    def close(self) -> int:
        if not self._is_complete:
            raise Problem(400, "the form ends too early; send it again")
        if self._files != 1:
            raise Problem(422, f"the form has {self._files} files; send one")
        return self._plain.close()

    def _end(self) -> None:
        self._is_complete = True

    def _begin(self) -> None:
        self._is_file, self._header_bytes = False, 0

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._grow(self._name, data[start:end])

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._grow(self._value, data[start:end])

    def _grow(self, buffer: bytearray, piece: bytes) -> None:
        self._header_bytes += len(piece)
        if self._header_bytes > _MAX_HEADERS_BYTES:
            raise Problem(400, "a part of the form has too long headers")
        buffer += piece

    def _end_header(self) -> None:
        if bytes(self._name).lower() == b"content-disposition" and b"filename" in self._value.lower():
            self._is_file = True
            self._files += 1
            if self._files > 1:
                raise Problem(422, "the form has several files; send one")
        self._name.clear()
        self._value.clear()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._plain.write(data[start:end])
            return
        self._other_bytes += end - start
        if self._other_bytes > _FORM_BYTES:
            raise Problem(413, "the form has too much besides its file; send the file alone")


def _too_large(max_bytes: int) -> Problem:
    return Problem(413, f"the file is larger than {max_bytes / 1e6:g} MB; send it smaller", Connection="close")
