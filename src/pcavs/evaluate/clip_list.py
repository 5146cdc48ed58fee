"""Reads lists of test clips as data sets publish them: one clip a line, or CSV (docs/evaluate.md)."""

import re
from pathlib import Path
from typing import Final, NamedTuple

from pcavs.data.table import read_table
from pcavs.errors import InputError
from pcavs.evaluate.sets import safe_name
from pcavs.prepare.layouts import hdtf_person

SUFFIXES: Final = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg")
"""Endings of videos, in the order in which they are looked for."""

_VOXCELEB: Final = re.compile(r"(?:^|/)(id\d{5})/")
"""The person of a clip of VoxCeleb2: id00017/01dfn2spqyE/00001."""
_LRW: Final = re.compile(r"^([A-Z']+)/(?:train|val|test)/\1_\d+$")
"""A clip of LRW: ABOUT/test/ABOUT_00001. Nobody knows who speaks."""


class ListedClip(NamedTuple):
    """A clip of a test list."""

    name: str
    """As in the list, without the ending."""
    path: Path
    audio: Path
    """The film whose sound drives; the clip itself where the list names no other."""
    person: str

    @property
    def key(self) -> str:
        """The name with all that is not safe in file names replaced by `-`."""
        return safe_name(self.name)

    @property
    def is_own_speech(self) -> bool:
        """Whether the clip's own speech drives, so that it is the truth of its films."""
        return self.audio == self.path


def read_list(path: Path, root: Path | None = None) -> list[ListedClip]:
    """Reads a list of clips.

    A `.csv` has a column `path`, and `audio` and `identity` if wanted. Any other file has a clip on each line, and
    after white space the clip whose sound drives it, if that is another one; empty lines and those that begin with `#`
    are skipped, and so is a number in the second place (VoxCeleb2's counts of frames). Endings may be left out.

    Args:
        path: The list.
        root: Folder that its paths are relative to; None is the list's own.

    Raises:
        InputError: The list or a clip cannot be found, a clip is listed twice, or there are none.
    """
    if not path.is_file():
        raise InputError(f"no list at {path}; give a text file with a clip on each line, or a CSV")
    folder = path.parent if root is None else root
    if path.suffix.lower() == ".csv":
        rows = [(row["path"], row.get("audio", ""), row.get("identity", "")) for row in read_table(path, ("path",))]
    else:
        rows = [(clip, audio, "") for clip, audio in _lines(path)]
    clips: dict[str, ListedClip] = {}
    for name, audio, person in rows:
        found = _find(folder, name, path)
        driving = _find(folder, audio, path) if audio else found
        plain = str(Path(name).with_suffix("")) if Path(name).suffix.lower() in SUFFIXES else name
        clip = ListedClip(plain, found, driving, person or person_of(plain))
        if clip.key in clips:
            raise InputError(f"{path} lists {plain} twice; list each clip once")
        clips[clip.key] = clip
    if not clips:
        raise InputError(f"{path} lists no clips; give one on each line")
    return list(clips.values())


def person_of(name: str) -> str:
    """Returns who is in a clip by its name in VoxCeleb2, LRW or HDTF; the clip's own name where it does not tell."""
    if found := _VOXCELEB.search(name):
        return found[1]
    if _LRW.search(name):
        return name
    return hdtf_person(Path(name).name) or name


def _lines(path: Path) -> list[tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text ({error}); save it as UTF-8") from error
    rows = []
    for line in text.splitlines():
        words = line.split()
        if words and not words[0].startswith("#"):
            rows.append((words[0], "" if len(words) == 1 or words[1].isdigit() else words[1]))
    return rows


def _find(folder: Path, name: str, path: Path) -> Path:
    """Finds the video of a name, which may lack its ending."""
    given = folder / name
    if given.suffix.lower() in SUFFIXES and given.is_file():
        return given
    for suffix in SUFFIXES:
        candidate = given.with_name(given.name + suffix) if given.name else given
        if candidate.is_file():
            return candidate
    raise InputError(f"{path} lists {name}, and {folder} has no such video; give --root, the folder of the clips")
