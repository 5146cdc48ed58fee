"""The sets of an evaluation: folders of clips, of real people or of rendered heads, each also reported on its own."""

import re
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

from pcavs.data.table import read_table, resolve_beside
from pcavs.errors import InputError
from pcavs.evaluate.options import EvaluateOptions

Kind = Literal["real", "rendered"]
"""What a set shows: real people or rendered heads."""

_KINDS: Final[dict[str, Kind]] = {kind: kind for kind in get_args(Kind)}
_COLUMNS: Final = ("name", "clips", "kind")


class ClipSet(NamedTuple):
    """A folder of clips that are reported together."""

    name: str
    """Unique within an evaluation; letters, digits, _ and - only."""
    clips: Path
    """Folder of videos with sound, or of shards."""
    kind: Kind = "real"
    people: Path | None = None
    """CSV file that says who is in which video (`EvaluateOptions.index`)."""

    def facts(self) -> dict[str, Any]:
        """Returns what the report says about the set; folders by name only, because paths differ between machines."""
        return {"name": self.name, "clips": self.clips.name, "kind": self.kind}


def find_sets(options: EvaluateOptions) -> list[ClipSet]:
    """Returns the sets of the table, or the folder of clips as the only set.

    Raises:
        InputError: Neither or both are given, the table cannot be read, or a set is named twice or of unknown kind.
    """
    if (options.clips is None) == (options.sets is None):
        raise InputError("give either --clips FOLDER or --sets TABLE.csv")
    if options.clips is not None:
        return [ClipSet(safe_name(options.clips.absolute().name), options.clips, "real", options.index)]
    assert options.sets is not None
    return _read_sets(options.sets, options.index)


def _read_sets(table: Path, index: Path | None) -> list[ClipSet]:
    sets: dict[str, ClipSet] = {}
    for row in read_table(table, _COLUMNS):
        name, kind = safe_name(row["name"]), _KINDS.get(row["kind"])
        if not name.strip("-") or name in sets:
            raise InputError(f"{table} names a set {row['name']!r} twice or not at all; give each set another name")
        if kind is None:
            raise InputError(f"{table}: set {name} is of kind {row['kind']!r}; give {' or '.join(_KINDS)}")
        own_index = resolve_beside(row["index"], table.parent) if row.get("index") else index
        sets[name] = ClipSet(name, resolve_beside(row["clips"], table.parent), kind, own_index)
    if not sets:
        raise InputError(f"{table} has no sets; give a line with {', '.join(_COLUMNS)} for each")
    return list(sets.values())


def safe_name(name: str) -> str:
    """Replaces all that is not safe in file names by `-`."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)
