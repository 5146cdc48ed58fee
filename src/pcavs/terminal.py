"""What a terminal does to a program: closed streams, pipes whose reader ends, and signals that ask it to stop."""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Generator
from types import FrameType
from typing import Any, Final

EXIT_HANGUP: Final = 129
"""After the terminal is closed: 128 + SIGHUP, as shells count."""
EXIT_TERMINATED: Final = 143
"""After SIGTERM: 128 + SIGTERM."""

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""Numbers of these settings of `mallopt` in the GNU C library."""
_LARGE_BYTES: Final = 8 << 20
"""Size from which freed memory is given back at once: arrays of frames above 1080p, which take 6 MB. Measured: at 1 MB,
the system cleared 1.5 million pages for a film of 100 frames of 1080p, a fifth of the processor time."""
_KEPT_BYTES: Final = 8 << 20
"""Freed memory that each thread keeps for its next arrays."""
_GRACE_S: Final = 5.0
"""Time after a signal in which further ones are ignored, so that an impatient user does not interrupt the removal of
unfinished files. Later ones count again."""


class Stream:
    """A standard stream whose reader may end (`pcavs --help | head -1`): what cannot be written is discarded."""

    def __init__(self, stream: Any) -> None:
        """Takes the text stream to write to."""
        self._stream = stream
        self.error: OSError | None = None
        """The first error; None as long as everything was written."""

    def write(self, text: str) -> int:
        """Writes a text, or discards it after an error."""
        with self._caught():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Passes on what the stream holds."""
        with self._caught():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _caught(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            with contextlib.suppress(OSError, ValueError):
                # What the stream still holds goes to the null device; Python would report it when the program ends.
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self._stream.fileno())
                os.close(null)


@contextlib.contextmanager
def standard_streams() -> Generator[Stream]:
    """Makes standard output and error safe to write to, and yields standard output.

    Closed streams are replaced by the null device, so that no output file takes their place.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    before = sys.stdout, sys.stderr
    streams = [Stream(stream or open(os.devnull, "w")) for stream in before]  # noqa: PTH123, SIM115
    sys.stdout, sys.stderr = streams
    try:
        yield streams[0]
    finally:
        for stream in streams:
            stream.flush()
        sys.stdout, sys.stderr = before


_signals: Final[list[int]] = []
"""The signal that asked the program to stop; empty as long as none did."""


def raise_if_stopped() -> None:
    """Ends the program if a signal asked for it and the exception was lost; call it in long loops.

    A handler's exception is lost where Python or a library cannot pass it on, as in a callback or a finaliser.
    """
    if _signals:
        _stop_for(_signals[0])


def _stop_for(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(EXIT_TERMINATED if number == signal.SIGTERM else EXIT_HANGUP)


def stop_once() -> None:
    """Makes Ctrl-C, SIGTERM and SIGHUP end the program once, through all `finally` blocks.

    Ctrl-C raises `KeyboardInterrupt`, the others `SystemExit`. A signal that is ignored already, as by nohup, stays
    ignored.
    """
    stopped_s = -_GRACE_S
    _signals.clear()

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal stopped_s
        now_s = time.monotonic()
        if now_s - stopped_s < _GRACE_S:
            return
        stopped_s = now_s
        _signals[:] = [number]
        _stop_for(number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


def limit_freed_memory() -> None:
    """Makes the C library of Linux keep some freed memory, and give large arrays back at once, for the whole process.

    By default it gives back nearly all after each frame, and the system clears it page by page for the next one; of
    large arrays it keeps up to 32 MB each, in pieces between others: a dub of a 4K video takes 400 MB more.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return  # another system, or another C library
    mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
    mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
