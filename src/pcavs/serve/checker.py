"""Checks uploads by their content, in a process of its own with limits of memory and time.

Decoders of pictures, sound and video are the part of the service that strangers reach most easily: what makes them hang
or crash ends this process and not the server.
"""

import contextlib
import multiprocessing
import threading
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, NamedTuple

from pcavs.errors import InputError, PcavsError, raise_if_out_of_memory
from pcavs.serve.log import configure_logging

_CHECK_S: Final = 60.0
"""Time for one file. Tuned by hand; not measured."""
_START_S: Final = 120.0
"""Time for the start of the process, which loads the decoders."""
_MEMORY_BYTES: Final = 4 * 10**9
"""Address space of the process; its libraries take about 1 GB of it."""
_READY: Final = "ready"
"""What the process says first."""
_ZIP: Final = b"PK\x03\x04"
"""Beginning of a saved track (.npz)."""


class NotReadyError(PcavsError):
    """Files cannot be checked now, for a reason that has nothing to do with them."""


class FileLimits(NamedTuple):
    """What uploads may be at most."""

    bytes: int = 200_000_000
    pixels: float = 50e6
    seconds: float = 600.0


class Checker:
    """A process that checks files, one after the other; it is started when it is needed, and again if it ends."""

    def __init__(self, limits: FileLimits) -> None:
        """Stores the limits."""
        self._limits = limits
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Any = None

    def start(self) -> None:
        """Starts the process, so that the first upload does not wait for it; what fails is said by `check`."""
        with self._lock, contextlib.suppress(NotReadyError, OSError):
            self._ready()

    def check(self, path: Path, kind: str) -> dict[str, Any]:
        """Checks a file; may be called from several threads, which wait for each other.

        Args:
            path: The file; its name says nothing.
            kind: `image`, `audio` or `video`.

        Returns:
            `kind`, which is `track` for a saved head track, and size in pixels or duration in seconds.

        Raises:
            InputError: It is not of this kind, damaged, or too large; the message does not name its path.
            NotReadyError: The process cannot be started.
        """
        with self._lock:
            self._ready()
            try:
                self._pipe.send((str(path), kind))
                if not self._pipe.poll(_CHECK_S):
                    raise InputError(f"the file could not be read within {_CHECK_S:.0f} s; send it smaller")
                facts, error = self._pipe.recv()
            except InputError:
                self._end()
                raise
            except (EOFError, OSError) as error:
                self._end()
                raise InputError("the file ends the program that reads it; open it elsewhere and save it anew") from (
                    error
                )
        if error is not None:
            raise InputError(error)
        return facts

    def stop(self) -> None:
        """Ends the process."""
        with self._lock:
            self._end()

    def _ready(self) -> None:
        if self._process is not None and self._process.is_alive():
            return
        self._end()
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._limits), name="pcavs-checker", daemon=True)
        self._process.start()
        theirs.close()
        try:
            is_ready = self._pipe.poll(_START_S) and self._pipe.recv() == _READY
        except (EOFError, OSError):
            is_ready = False
        if not is_ready:
            self._end()
            raise NotReadyError("uploads cannot be checked now; try again later")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._process = self._pipe = None


def _serve(pipe: Connection, limits: FileLimits) -> None:
    """Answers requests until the other end of the pipe is closed; the target of the process."""
    import importlib
    import signal

    for name in ("audio", "still", "video"):  # loaded before the memory is limited
        importlib.import_module(f"pcavs.media.{name}")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logging()
    _limit()
    pipe.send(_READY)
    while True:
        try:
            path, kind = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(_answer(Path(path), kind, limits))


def _limit() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _answer(path: Path, kind: str, limits: FileLimits) -> tuple[dict[str, Any], str | None]:
    try:
        return check_file(path, kind, limits), None
    except PcavsError as error:
        return {}, _plain(error, path)
    except Exception as error:  # noqa: BLE001 - whatever a decoder does with a hostile file, the answer is one line
        try:
            raise_if_out_of_memory(error)
        except PcavsError as memory:
            return {}, _plain(memory, path)
        return {}, "the file cannot be read; open it in another program and save it again"


def _plain(error: PcavsError, path: Path) -> str:
    return " ".join(str(error).split()).replace(str(path), "the file")


def check_file(path: Path, kind: str, limits: FileLimits) -> dict[str, Any]:
    """Checks a file in this process; arguments and result are those of `Checker.check`.

    Raises:
        InputError: It is not of this kind, damaged, or too large.
    """
    if path.stat().st_size == 0:
        raise InputError("the file is empty (0 bytes); send a file with content")
    if kind == "image":
        return _check_image(path, limits)
    if kind == "audio":
        return _check_audio(path, limits)
    with path.open("rb") as file:
        is_zip = file.read(len(_ZIP)) == _ZIP
    return _check_track(path, limits) if is_zip else _check_video(path, limits)


def _check_image(path: Path, limits: FileLimits) -> dict[str, Any]:
    from pcavs.media.still import is_still, read_still, still_size

    if not is_still(path):
        raise InputError("the file is no picture that can be read; send JPEG, PNG, WebP or HEIC, and films to /videos")
    width, height = still_size(path)
    _check_pixels(width, height, limits)
    read_still(path, 256)
    return {"kind": "image", "width": width, "height": height}


def _check_audio(path: Path, limits: FileLimits) -> dict[str, Any]:
    from pcavs.media.audio import AudioReader
    from pcavs.media.timeline import MIN_SPEECH_S

    with AudioReader(path) as reader:
        count = 0
        for block in reader.blocks(0.0, limits.seconds + 1):
            count += block.shape[1]
        seconds = count / reader.rate_hz
    _check_seconds(seconds, limits)
    if seconds < MIN_SPEECH_S:
        raise InputError(f"the file has {seconds:.2f} s of sound; send at least {MIN_SPEECH_S:g} s")
    return {"kind": "audio", "duration": round(seconds, 3)}


def _check_video(path: Path, limits: FileLimits) -> dict[str, Any]:
    from pcavs.media.still import is_still
    from pcavs.media.video import count_pictures, read_frames
    from pcavs.spec import FRAME_RATE

    if is_still(path):
        raise InputError("the file is a picture; send it to /images")
    width, height = _video_size(path)
    _check_pixels(width, height, limits)
    seconds = count_pictures(path, 0.0, None) / FRAME_RATE
    _check_seconds(seconds, limits)
    next(iter(read_frames(path)))
    return {"kind": "video", "width": width, "height": height, "duration": round(seconds, 3)}


def _video_size(path: Path) -> tuple[int, int]:
    from pcavs.media.source import decodable_streams, default_stream, open_media

    with open_media(path) as container:
        streams = decodable_streams(container, "video")
        if not streams:
            raise InputError("the file has no picture; send sound to /audios")
        stream = streams[default_stream(streams)]
        return stream.width, stream.height


def _check_track(path: Path, limits: FileLimits) -> dict[str, Any]:
    from pcavs.pose.track import load_track
    from pcavs.spec import FRAME_RATE

    seconds = len(load_track(path)) / FRAME_RATE
    _check_seconds(seconds, limits)
    return {"kind": "track", "duration": round(seconds, 3)}


def _check_pixels(width: int, height: int, limits: FileLimits) -> None:
    if width * height > limits.pixels:
        most = f"{limits.pixels / 1e6:g} million pixels"
        raise InputError(f"the file is {width} x {height} pixels; send at most {most}")


def _check_seconds(seconds: float, limits: FileLimits) -> None:
    if seconds > limits.seconds:
        raise InputError(f"the file is longer than {limits.seconds:g} s; send a part of it")
