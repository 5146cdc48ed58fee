"""Finds the videos and photographs to prepare, and for each its speaker, its split and what else is known of it."""

import dataclasses
import logging
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pcavs.data.table import read_table, resolve_beside
from pcavs.errors import InputError
from pcavs.media.names import path_exists
from pcavs.media.video import probe_video
from pcavs.prepare.layouts import check_layout, facts_from_path
from pcavs.prepare.options import PrepareOptions

logger = logging.getLogger(__name__)

PHOTO_SUFFIXES: Final = {".jpg", ".jpeg", ".png", ".webp"}
VIDEO_SUFFIXES: Final = {".mp4", ".mov", ".mkv", ".avi", ".webm", ".mpg", ".m4v"}

PART_S: Final = 600
"""Length of the parts in which a long video is processed: all workers share it, and a stopped run loses little."""

_MIN_LONG_BYTES: Final = 64 << 20
"""Size from which on a video is opened to find its length: opening a million short ones would take hours."""

_MIN_SPEAKERS: Final = 10
"""Speakers from which one is held out where the draw of one in twenty holds out none."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A file, or a part of one, and what is known of it."""

    path: Path
    name: str
    """Path relative to the folder of sources."""
    key: str
    """Begins the keys of its clips; unique, without dots and slashes."""
    facts: dict[str, str]
    """speaker, source, split, and licence where it is known."""
    start_s: float = 0.0
    end_s: float | None = None
    """None: to the end of the file."""

    @property
    def is_picture(self) -> bool:
        """Whether it is a photograph."""
        return self.path.suffix.lower() in PHOTO_SUFFIXES


def find_sources(options: PrepareOptions) -> list[Source]:
    """Lists the videos and photographs to prepare, in a fixed order; long videos in parts.

    Raises:
        InputError: The folder or the index does not exist, or names no video or photograph, or no file fits
            the layout.
    """
    if not options.source.is_dir():
        raise InputError(f"{options.source} is not a folder; give the folder of the videos and photographs")
    if options.index:
        listed = list(_from_index(options.source, options.index))
    else:
        listed = _with_held_out(list(_from_folder(options)))
    found = list(_with_unique_keys(listed))
    if not found:
        suffixes = " ".join(sorted(PHOTO_SUFFIXES | VIDEO_SUFFIXES))
        raise InputError(f"no video or photograph in {options.source}; known file endings are {suffixes}")
    return [part for source in found for part in _split_into_parts(source)]


def _from_index(folder: Path, index: Path) -> Iterator[Source]:
    """Lists the rows of an index that name a video or photograph inside the folder."""
    if not index.is_file():
        raise InputError(f"no index at {index}; leave it out to search {folder}")
    root = resolve_beside(".", folder)
    for row in read_table(index, ["path"]):
        if not row["path"]:
            raise InputError(f"{index} has a row without a path; fill in the column path in every row")
        path = resolve_beside(row["path"], index.parent)
        if path.suffix.lower() in PHOTO_SUFFIXES | VIDEO_SUFFIXES and path.is_relative_to(root):
            facts = {name: row.get(name) or "" for name in ("source", "licence")}
            facts |= {"speaker": row.get("identity") or path.stem, "split": row.get("split") or "train"}
            name = str(path.relative_to(root))
            yield Source(path=path, name=name, key=_key(name), facts=facts)


def _from_folder(options: PrepareOptions) -> Iterator[Source]:
    # Names are held as text: the paths of a million videos would fill a gigabyte.
    names = sorted(
        str(path.relative_to(options.source))
        for path in options.source.rglob("*")
        if path.suffix.lower() in PHOTO_SUFFIXES | VIDEO_SUFFIXES
    )
    if (line := check_layout(names, options.layout, options.source)) is not None:
        logger.warning("%s", line)
    for name in names:
        facts = {"source": options.source.resolve().name} | facts_from_path(Path(name), options.layout)
        yield Source(path=options.source / name, name=name, key=_key(name), facts=facts)


def _with_held_out(sources: list[Source]) -> list[Source]:
    """Holds out a speaker where none is, and there are enough: scores on people that training knows say little."""
    if any(source.facts["split"] != "train" for source in sources):
        return sources
    speakers = sorted({source.facts["speaker"] for source in sources}, key=lambda name: zlib.crc32(name.encode()))
    if len(speakers) < _MIN_SPEAKERS:
        return sources
    return [
        dataclasses.replace(source, facts=source.facts | {"split": "val"})
        if source.facts["speaker"] == speakers[0]
        else source
        for source in sources
    ]


def _with_unique_keys(sources: Iterable[Source]) -> Iterator[Source]:
    """Numbers equal keys: neighbours in a tar with the same key would be read as one clip."""
    counts: dict[str, int] = {}
    for source in sources:
        counts[source.key] = number = counts.get(source.key, 0) + 1
        yield source if number == 1 else dataclasses.replace(source, key=f"{source.key}@x{number}")


def _split_into_parts(source: Source) -> Iterator[Source]:
    """Splits a long video into parts; a file that cannot be opened stays whole and is rejected later."""
    duration_s = 0.0
    if not source.is_picture and _size_bytes(source.path) > _MIN_LONG_BYTES:
        try:
            duration_s = probe_video(source.path).duration_s
        except InputError:
            duration_s = 0.0
    count = int(duration_s // PART_S)
    if count < 2:
        yield source
        return
    for number in range(count):
        # The last part takes the remainder: no part is very short, and the exact length is not needed.
        end_s = None if number == count - 1 else (number + 1) * float(PART_S)
        key = f"{source.key}@p{number}"
        yield dataclasses.replace(source, key=key, start_s=number * float(PART_S), end_s=end_s)


def _size_bytes(path: Path) -> int:
    return path.stat().st_size if path_exists(path) and path.is_file() else 0


def _key(name: str) -> str:
    """Makes a key of a path relative to the folder of sources."""
    text = "-".join(Path(name).with_suffix("").parts)
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in text)
