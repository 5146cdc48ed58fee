"""An append-only log of films, by which a provider can answer whether a film came from here.

Each film is one line of JSON: when and with what it was made, digests of the file and of its encoded picture and sound,
and fingerprints of both. It holds no name, no path, no picture and no sound that could be played.
"""

import base64
import contextlib
import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np

from pcavs.errors import InputError
from pcavs.media.files import output_error, output_place
from pcavs.media.source import decodable_streams, open_media
from pcavs.provenance.credentials import file_digest
from pcavs.provenance.fingerprint import (
    HASH_BYTES,
    PICTURE_LIMIT,
    SOUND_LIMIT,
    Hashes,
    Prints,
    SoundPrints,
    picture_distance,
    picture_hashes,
    sound_distance,
    sound_prints,
)

FORMAT: Final = "pcavs-log-1"
"""Value of `format` in each line."""
_FIELDS: Final = ("time", "version", "weights", "sha256", "streams")
"""What each line says besides its fingerprints."""


class Fingerprints(NamedTuple):
    """What a file is recognised by."""

    sha256: str
    """Of the file."""
    streams: str
    """SHA-256 of its encoded picture and that of its sound, which copying into another file keeps."""
    picture: Hashes
    """One a second; empty if there is no picture."""
    sound: SoundPrints
    """Empty if there is no sound, or less than half a second."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogMatch:
    """What a log knows of a file."""

    kind: Literal["exact", "streams", "near", "picture", "sound", "none"]
    """`exact`: the same file; `streams`: the same encoded picture and sound in another file; `near`: picture and sound
    are those of one film, re-encoded, scaled or cut; `picture` or `sound`: one of them only; `none`."""
    films: int
    """Films in the log."""
    time: str | None = None
    """When that film was made, UTC."""
    version: str | None = None
    """Version of this software that made it."""
    weights: str | None = None
    """SHA-256 of the weights that made it."""
    sha256: str | None = None
    """Digest of that film's file."""
    picture: float | None = None
    """Share of different bits of the pictures; they count as the same up to `PICTURE_LIMIT`."""
    sound: float | None = None
    """Share of different bits of the best two seconds of sound; the same up to `SOUND_LIMIT`."""

    @property
    def is_film(self) -> bool:
        """Whether the file is a film of the log. Picture or sound alone may be the inputs of one."""
        return self.kind in ("exact", "streams", "near")

    def line(self) -> str:
        """Returns the result as a line of text."""
        if self.kind == "none":
            return f"log: none of its {self.films} films"
        words = {
            "exact": "exactly the film",
            "streams": "picture and sound of the film, in another file",
            "near": "picture and sound, changed, of the film",
            "picture": "the picture alone, or its photograph, of the film",
            "sound": "the sound alone, or its speech, of the film",
        }
        bits = "".join(
            f"; {name} differs by {100 * share:.0f} % of bits (at most {100 * limit:.0f})"
            for name, share, limit in (("picture", self.picture, PICTURE_LIMIT), ("sound", self.sound, SOUND_LIMIT))
            if share is not None
        )
        return f"log: {words[self.kind]} of {self.time}, pcavs {self.version}{bits}"


def fingerprints(path: Path) -> Fingerprints:
    """Reads a file once for each of its digests.

    Raises:
        InputError: It cannot be read, or is neither a film nor a sound.
    """
    with open_media(path) as container:
        kinds = {kind: decodable_streams(container, kind) for kind in ("video", "audio")}
        chosen = [streams[0] for streams in kinds.values() if streams]
        # One digest for each, as files differ in how they interleave them.
        digests = {stream.index: hashlib.sha256() for stream in chosen}
        for packet in container.demux(chosen) if chosen else ():
            digests[packet.stream.index].update(bytes(packet))
    picture, sound = np.zeros((0, HASH_BYTES), np.uint8), SoundPrints(())
    # What is damaged or empty is compared as far as it can be read.
    if kinds["video"]:
        with contextlib.suppress(InputError):
            picture = picture_hashes(path)
    if kinds["audio"]:
        with contextlib.suppress(InputError):
            sound = sound_prints(path)
    return Fingerprints(file_digest(path), "-".join(each.hexdigest() for each in digests.values()), picture, sound)


def check_log(log: Path) -> None:
    """Opens the log for appending, so that what cannot be written is known before a film is made.

    Raises:
        OutputError: It cannot be written.
    """
    with _opened(log):
        pass


def record_film(log: Path, film: Path, version: str, weights: str) -> None:
    """Appends a finished film to the log; several processes may do so at once.

    Args:
        log: The log; it is created if it does not exist.
        film: The film, under its temporary or its final name.
        version: Version of this software.
        weights: SHA-256 of the weights.

    Raises:
        OutputError: The log cannot be written; it is left as it was.
        InputError: The film cannot be read.
    """
    found = fingerprints(film)
    sound = found.sound.phases[0] if found.sound.phases else np.zeros(0, np.uint32)
    fields = {
        "format": FORMAT,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": version,
        "weights": weights,
        "sha256": found.sha256,
        "streams": found.streams,
        "picture": _text(found.picture.tobytes()),
        "sound": _text(sound.astype("<u4").tobytes()),
    }
    _append(log, json.dumps(fields, separators=(",", ":")).encode() + b"\n")


def search_log(log: Path, path: Path) -> LogMatch:
    """Looks a file up in a log: the same bytes first, then similar picture and sound.

    Raises:
        InputError: A file cannot be read, or the log is no log.
    """
    found = fingerprints(path)
    films, best, best_rank = 0, LogMatch(kind="none", films=0), (_RANKS.index("none"), 2.0)
    for entry in _entries(log):
        films += 1
        match = _compared(found, entry)
        rank = _RANKS.index(match.kind), (match.picture or 0) + (match.sound or 0)
        if rank < best_rank:
            best, best_rank = match, rank
    return dataclasses.replace(best, films=films)


_RANKS: Final = ("exact", "streams", "near", "sound", "picture", "none")


class _Entry(NamedTuple):
    """One line of a log."""

    fields: dict[str, str]
    picture: Hashes
    sound: Prints


def _entries(log: Path) -> Iterator[_Entry]:
    """Reads a log line by line; the last one may be incomplete while another process writes it."""
    try:
        with log.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                try:
                    fields = {name: str(value) for name, value in json.loads(line).items()}
                    if fields["format"] != FORMAT or not set(_FIELDS) <= set(fields):
                        raise ValueError(line)
                    picture = np.frombuffer(base64.b64decode(fields["picture"]), np.uint8).reshape(-1, HASH_BYTES)
                    sound = np.frombuffer(base64.b64decode(fields["sound"]), "<u4").astype(np.uint32)
                except (ValueError, KeyError, AttributeError, RecursionError) as error:
                    raise InputError(f"{log}, line {number}, is no line of a log; give a file of --log") from error
                yield _Entry(fields, picture, sound)
    except OSError as error:
        raise InputError(f"{log} cannot be opened ({error.strerror}); check its name and permissions") from error


def _compared(found: Fingerprints, entry: _Entry) -> LogMatch:
    time, version, weights, sha256, streams = (entry.fields[name] for name in _FIELDS)
    known = functools.partial(LogMatch, films=0, time=time, version=version, weights=weights, sha256=sha256)
    if found.sha256 == sha256:
        return known(kind="exact")
    if found.streams == streams:
        return known(kind="streams")
    picture, sound = picture_distance(found.picture, entry.picture), sound_distance(found.sound, entry.sound)
    has_picture, has_sound = picture <= PICTURE_LIMIT, sound <= SOUND_LIMIT
    if has_picture and has_sound:
        return known(kind="near", picture=picture, sound=sound)
    if has_picture:
        return known(kind="picture", picture=picture)
    return known(kind="sound", sound=sound) if has_sound else LogMatch(kind="none", films=0)


def _append(log: Path, line: bytes) -> None:
    """Appends a line while no other process does; what cannot be written whole is taken back."""
    with _opened(log) as handle:
        end = os.lseek(handle, 0, os.SEEK_END)
        try:
            written = 0
            while written < len(line):
                written += os.write(handle, line[written:])
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, end)
            raise


@contextlib.contextmanager
def _opened(log: Path) -> Generator[int]:
    """Opens a log for appending, and holds its lock.

    Raises:
        OutputError: It cannot be opened or written.
    """
    place = output_place(log)
    try:
        handle = os.open(place, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        try:
            _lock(handle)
            yield handle
        finally:
            os.close(handle)  # which releases the lock
    except OSError as error:
        raise output_error(log, error) from error


def _lock(handle: int) -> None:
    """Waits for the lock of a log, where the system has locks; elsewhere a line is still one write."""
    try:
        import fcntl
    except ImportError:
        return
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
