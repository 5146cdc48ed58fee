"""Opens media files with PyAV and puts what can go wrong into one line."""

import contextlib
import logging
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError
from av.stream import Disposition

from pcavs.errors import InputError

logger = logging.getLogger(__name__)

# These demuxers open further files or turn any text into "video".
_REFUSED_FORMATS = {"tty", "hls", "dash", "concat", "sdp", "rtsp", "ffmetadata"}

# Beyond this a file is hopeless, and a demuxer that keeps failing in one place would never end.
_MAX_DAMAGED_PACKETS = 1000


@contextlib.contextmanager
def open_media(path: Path) -> Generator[InputContainer]:
    """Opens an audio or video file for reading and closes it afterwards.

    Raises:
        InputError: The file is missing, empty, a folder, unreadable, or not audio or video.
    """
    _check_file(path)
    try:
        # The absolute path keeps FFmpeg from reading "12:30.mp4" as a protocol named 12.
        # Titles are not always in UTF-8; nobody reads them here.
        name, options = str(path.resolve()), {"protocol_whitelist": "file"}
        with av.open(name, "r", options=options, metadata_errors="replace") as container:
            if container.format.name in _REFUSED_FORMATS:
                raise InputError(f"{path} is text or a playlist, not audio or video; give a media file")
            yield container
    except FFmpegError as error:
        raise _unreadable(path, error) from error


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; give a file")
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check the name and its rights") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r} is no name that a file can have; check it") from error
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes); give a file with content")


def is_there(path: Path) -> bool:
    """Whether a file or folder has this name; False for what no file can be called."""
    try:
        return path.exists()
    except OSError:  # such as a name of a thousand letters
        return False


def real_streams(container: InputContainer, kind: str) -> list[Any]:
    """Lists the streams of a kind ("audio" or "video") that can be decoded, without cover pictures."""
    pictures = Disposition.attached_pic
    streams: list[Any] = list(container.streams)
    return [
        stream
        for stream in streams
        if stream.type == kind and stream.codec_context is not None and not stream.disposition & pictures
    ]


def time_origin(container: InputContainer) -> Fraction:
    """Gives the time, on the file's own clock, that counts as second 0 for its picture and its sound alike."""
    start: int | None = container.start_time
    # A negative start is codec delay, which is not played.
    return Fraction(max(0, start or 0), av.time_base)


def decode(container: InputContainer, stream: Any, path: Path) -> Generator[Any]:
    """Decodes a stream's frames, passing over damaged packets; logs one warning with their number.

    Raises:
        InputError: The file cannot be read on.
    """
    damaged, kind = 0, stream.type  # asked for now: the file may be closed before this ends
    packets = container.demux(stream)
    try:
        while damaged < _MAX_DAMAGED_PACKETS:
            try:
                packet = next(packets, None)
            except InvalidDataError:
                damaged += 1
                continue
            except FFmpegError as error:
                raise _unreadable(path, error) from error
            if packet is None:
                return
            try:
                frames = packet.decode()
            except FFmpegError:
                # Decoders have error numbers of their own for damage.
                damaged += 1
                continue
            yield from frames
    finally:
        if damaged:
            logger.warning("%s: passed over %d damaged packets of its %s", path, damaged, kind)


def _unreadable(path: Path, error: FFmpegError) -> InputError:
    return InputError(
        f"{path} cannot be read as audio or video ({error.strerror}); check that it plays, or convert it to mp4 or wav"
    )
