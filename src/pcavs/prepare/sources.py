"""What there is to prepare: films and pictures of a folder, who is in them, and in which split they belong."""

import dataclasses
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pcavs.data.table import read_table
from pcavs.errors import InputError
from pcavs.media.files import path_exists
from pcavs.media.video import probe_video
from pcavs.prepare.options import PrepareOptions

PICTURES: Final = {".jpg", ".jpeg", ".png", ".webp"}
FILMS: Final = {".mp4", ".mov", ".mkv", ".avi", ".webm", ".mpg", ".m4v"}

PART_S: Final = 600
"""A long film is worked on in parts of this length, so that all cores share it and a stop loses little."""

_LONG_BYTES: Final = 64 << 20
"""A smaller film is not asked for its length: a million short ones would take hours to open."""

_VOXCELEB2: Final = re.compile(r"id\d{5}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A file or a part of one, and what is known of it."""

    path: Path
    name: str
    """Path below the folder of sources."""
    key: str
    """Begins the keys of its clips; unique, no dots or slashes."""
    facts: dict[str, str]
    """speaker, source, split, and licence where it is known."""
    start_s: float = 0.0
    end_s: float | None = None

    @property
    def is_picture(self) -> bool:
        """Whether it is a photograph."""
        return self.path.suffix.lower() in PICTURES


def find_sources(options: PrepareOptions) -> list[Source]:
    """Lists the films and pictures to prepare, in a fixed order; long films in parts.

    Raises:
        InputError: The folder or the index is not there, or names no film or picture.
    """
    if not options.source.is_dir():
        raise InputError(f"{options.source} is not a folder; give the folder of the films and pictures")
    found = list(_named_apart(_indexed(options, options.index) if options.index else _searched(options)))
    if not found:
        raise InputError(
            f"no film or picture in {options.source}; endings known are {' '.join(sorted(PICTURES | FILMS))}"
        )
    return [part for source in found for part in _parts(source)]


def _indexed(options: PrepareOptions, index: Path) -> Iterator[Source]:
    if not index.is_file():
        raise InputError(f"no index at {index}; leave it out to search {options.source}")
    # Not resolved: data sets are often gathered by links.
    root = _plain(options.source)
    for row in read_table(index, ["path"]):
        if not row["path"]:
            raise InputError(f"{index} has a row without a path; fill the column named path everywhere")
        path = _plain(index.parent / row["path"])
        if path.suffix.lower() in PICTURES | FILMS and path.is_relative_to(root):
            facts = {name: row.get(name) or "" for name in ("source", "licence")}
            facts |= {"speaker": row.get("identity") or path.stem, "split": row.get("split") or "train"}
            name = str(path.relative_to(root))
            key = _key("-".join(Path(name).with_suffix("").parts))
            yield Source(path=path, name=name, key=key, facts=facts)


def _plain(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))


def _searched(options: PrepareOptions) -> Iterator[Source]:
    # Names first, as texts: of a million films the paths alone would fill a gigabyte.
    names = sorted(
        str(path.relative_to(options.source))
        for path in options.source.rglob("*")
        if path.suffix.lower() in PICTURES | FILMS
    )
    for name in names:
        facts = {"source": options.source.resolve().name} | _told_by_place(Path(name), options.layout)
        key = _key("-".join(Path(name).with_suffix("").parts))
        yield Source(path=options.source / name, name=name, key=key, facts=facts)


def _told_by_place(place: Path, layout: str) -> dict[str, str]:
    """Speaker and split as the file's folders tell them."""
    parts = place.parts
    # VoxCeleb2: [test/] id00012 / video / 00001.mp4. LRW: ABOUT / train / ABOUT_00001.mp4.
    if layout == "voxceleb2" or (layout == "auto" and len(parts) > 2 and _VOXCELEB2.fullmatch(parts[-3])):
        speaker = parts[-3] if len(parts) > 2 else place.stem
        return {"speaker": speaker, "split": "val" if "test" in parts[:-3] else _split_of(speaker)}
    if layout == "lrw" or (layout == "auto" and _is_lrw(parts)):
        # LRW does not say who speaks: each clip counts as a person of its own.
        split = parts[-2] if len(parts) > 1 and parts[-2] in ("train", "val", "test") else "train"
        return {"speaker": place.stem, "split": split, "word": parts[-3] if len(parts) > 2 else ""}
    # pcavs synth: train / NAME OF THE HEAD / 0001.mp4.
    if layout == "auto" and len(parts) == 3 and parts[0] in ("train", "val") and place.stem.isdigit():
        return {"speaker": parts[1], "split": parts[0]}
    speaker = parts[0] if len(parts) > 1 else place.stem
    return {"speaker": speaker, "split": _split_of(speaker)}


def _is_lrw(parts: tuple[str, ...]) -> bool:
    return len(parts) > 2 and parts[-2] in ("train", "val", "test") and parts[-1].startswith(f"{parts[-3]}_")


def _split_of(speaker: str) -> str:
    return "val" if zlib.crc32(speaker.encode()) % 20 == 0 else "train"


def _named_apart(sources: Iterable[Source]) -> Iterator[Source]:
    """Numbers equal keys: neighbours in a tar with one key would be read as one clip."""
    seen: dict[str, int] = {}
    for source in sources:
        seen[source.key] = number = seen.get(source.key, 0) + 1
        yield source if number == 1 else dataclasses.replace(source, key=f"{source.key}@x{number}")


def _parts(source: Source) -> Iterator[Source]:
    """Cuts a long film into parts; what cannot be opened stays whole, to be refused with its reason."""
    duration_s = 0.0
    if not source.is_picture and _size(source.path) > _LONG_BYTES:
        try:
            duration_s = probe_video(source.path).duration_s
        except InputError:
            duration_s = 0.0
    count = int(duration_s // PART_S)
    if count < 2:
        yield source
        return
    for number in range(count):
        # The last part takes the rest: it never is a few frames, and needs no exact length.
        end_s = None if number == count - 1 else (number + 1) * float(PART_S)
        key = f"{source.key}@p{number}"
        yield dataclasses.replace(source, key=key, start_s=number * float(PART_S), end_s=end_s)


def _size(path: Path) -> int:
    return path.stat().st_size if path_exists(path) and path.is_file() else 0


def _key(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in text)
