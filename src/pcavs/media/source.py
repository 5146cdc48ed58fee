"""Opens audio and video files with PyAV and turns its errors into one-line messages.

`pcavs.media.audio` and `pcavs.media.video` build on it.
"""

import contextlib
import logging
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
from av.codec.context import CodecContext
from av.container import InputContainer
from av.error import FFmpegError, InvalidDataError, PatchWelcomeError
from av.stream import Disposition

from pcavs.errors import InputError, raise_if_out_of_memory
from pcavs.media.files import check_readable

logger = logging.getLogger(__name__)

_REFUSED_FORMATS: Final = {"tty", "hls", "dash", "concat", "sdp", "rtsp", "ffmetadata"}
"""FFmpeg demuxers that open further files or URLs, or that decode any text file as "video" (`tty`)."""

_ALPHA_DECODERS: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""Decoders that keep the alpha channel of WebM, by the names of those that do not."""
_MAX_DAMAGED_PACKETS: Final = 1000
"""Packets that fail to decode before reading stops: some demuxers fail at the same place for ever. Tuned by hand."""
_LENIENT: Final[dict[str, Any]] = {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}
"""Makes PyAV read metadata that is not UTF-8; from version 19 on it does so always, and the setting is an error."""


@contextlib.contextmanager
def open_media(path: Path) -> Generator[InputContainer]:
    """Opens an audio or video file for reading and closes it afterwards.

    Raises:
        InputError: The file is missing, empty, a folder, unreadable, or not audio or video.
    """
    _check_file(path)
    try:
        # An absolute path keeps FFmpeg from reading "12:30.mp4" as a URL of the protocol "12".
        # Metadata need not be UTF-8, and nothing here uses it, so bad bytes are replaced.
        name, options = str(path.resolve()), {"protocol_whitelist": "file"}
        with av.open(name, "r", options=options, **_LENIENT) as container:
            if container.format.name in _REFUSED_FORMATS:
                raise InputError(f"{path} is text or a playlist, not audio or video; give a media file")
            yield container
    except FFmpegError as error:
        raise_if_out_of_memory(error)
        raise _unreadable(path, error) from error


def tags_of(part: Any) -> dict[str, str]:
    """Returns the metadata of a file or stream, which may hold any bytes, as text that can be printed."""
    return {name: str(value).encode("utf-8", "replace").decode() for name, value in part.metadata.items()}


def _check_file(path: Path) -> None:
    check_readable(path)
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; give a file")
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check its name and permissions") from error
    except ValueError as error:
        raise InputError(f"{str(path)!r} is not a valid file name; check it") from error
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes); give a file with content")


def decodable_streams(container: InputContainer, kind: str) -> list[Any]:
    """Lists the streams of a kind, "audio" or "video", that can be decoded; cover pictures are left out."""
    pictures = Disposition.attached_pic
    streams: list[Any] = list(container.streams)
    return [
        stream
        for stream in streams
        if stream.type == kind and stream.codec_context is not None and not stream.disposition & pictures
    ]


def default_stream(streams: list[Any]) -> int:
    """Returns the index of the stream that players choose: the first that is marked default, or else the first."""
    return next((index for index, stream in enumerate(streams) if stream.disposition & Disposition.default), 0)


def time_origin(container: InputContainer) -> Fraction:
    """Returns the timestamp, in seconds on the file's clock, that counts as second 0 for both picture and sound."""
    start: int | None = container.start_time
    # A negative start time is codec delay, which is not played.
    return Fraction(max(0, start or 0), av.time_base)


def decode_frames(container: InputContainer, stream: Any, path: Path) -> Generator[Any]:
    """Decodes the frames of one stream, skipping damaged packets; logs one warning with their number.

    VP8 and VP9 are decoded with their alpha channel if the file states that they have one.

    Raises:
        InputError: The file cannot be read any further.
    """
    # The kind is read now: the file may be closed before this generator ends.
    damaged, kind = 0, stream.type
    alpha_decoder = _alpha_decoder(stream)
    packets = container.demux(stream)
    try:
        while damaged < _MAX_DAMAGED_PACKETS:
            try:
                packet = next(packets, None)
            except InvalidDataError:
                damaged += 1
                continue
            except FFmpegError as error:
                raise_if_out_of_memory(error)
                raise _unreadable(path, error) from error
            if packet is None:
                return
            try:
                frames = packet.decode() if alpha_decoder is None else alpha_decoder.decode(packet)
            except FFmpegError:
                # Decoders report damage by various error codes, so any of them counts as damage here.
                damaged += 1
                continue
            yield from frames
    finally:
        if damaged:
            logger.warning("%s: skipped %d damaged packets of its %s stream", path, damaged, kind)


def _alpha_decoder(stream: Any) -> Any:
    """Returns a decoder that keeps the alpha channel, where FFmpeg's own drops it; None for other streams."""
    name = _ALPHA_DECODERS.get(stream.codec_context.name)
    has_alpha = any(tag.lower() == "alpha_mode" and value == "1" for tag, value in stream.metadata.items())
    if name is None or not has_alpha:
        return None
    return CodecContext.create(name, "r")


def _unreadable(path: Path, error: FFmpegError) -> InputError:
    if isinstance(error, PatchWelcomeError):
        return InputError(f"{path} changes its format in the middle and cannot be read as a whole; convert it to wav")
    return InputError(
        f"{path} cannot be read as audio or video ({error.strerror}); check that it plays, or convert it to mp4 or wav"
    )
