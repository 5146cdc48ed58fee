"""A timeline of head poses, as a JSON file says it: films, tracks, keyframes and presets, one after the other.

docs/formats.md describes the file, `pose_schema` does for editors. Everything in it is checked here, before anything is
computed.
"""

import dataclasses
import itertools
import json
import math
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, TypeAlias, get_args, get_origin

from pcavs.errors import InputError, unknown_setting
from pcavs.pose.presets import PRESETS
from pcavs.pose.track import Beyond

FORMAT: Final = "pcavs-pose-1"
Ease = Literal["smooth", "linear"]

_MOST_BYTES = 4_000_000
MOST_SEGMENTS = 1000
_DEEPEST_MIX = 3
_LONGEST_S = 24 * 3600.0
RANGES: Final = {
    "duration_s": (0.04, _LONGEST_S),
    "start_s": (0.0, _LONGEST_S),
    "end_s": (0.04, _LONGEST_S),
    "at_s": (0.0, _LONGEST_S),
    "cross_fade_s": (0.0, 10.0),
    "smoothing_s": (0.0, 2.0),
    "strength": (0.0, 3.0),
    "weight": (0.0, 1.0),
    "yaw": (-90.0, 90.0),
    "pitch": (-90.0, 90.0),
    "roll": (-90.0, 90.0),
    "x": (-2.0, 2.0),
    "y": (-2.0, 2.0),
    "scale": (0.25, 4.0),
    "seed": (0, 2**32 - 1),
}
"""What a number of each name may be."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Key:
    """The pose at one moment."""

    at_s: float
    """Since the segment's beginning."""
    yaw: float = 0.0
    """Degrees; above 0 to the picture's right."""
    pitch: float = 0.0
    """Degrees; above 0 upwards."""
    roll: float = 0.0
    """Degrees; above 0 clockwise in the picture."""
    x: float = 0.0
    """Face widths to the picture's right."""
    y: float = 0.0
    """Face widths downwards."""
    scale: float = 1.0
    """Size of the head."""
    ease: Ease = "smooth"
    """How the next key is reached: gently, or at one speed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Piece:
    """What every kind of segment has."""

    duration_s: float | None = None
    """Without it, as long as the material lasts; a preset, and the last segment of a timeline that holds, to the
    film's end."""
    beyond: Beyond = "bounce"
    """When the material is over before the segment is."""
    strength: float = 1.0
    """Factor on every turn and move."""
    weight: float = 1.0
    """Inside a mix: factor of this part."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilmSegment(_Piece):
    """Head motion of a film, from its face's landmarks."""

    path: Path
    start_s: float = 0.0
    end_s: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrackSegment(_Piece):
    """Head motion that `pcavs pose extract` saved."""

    path: Path
    start_s: float = 0.0
    end_s: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeysSegment(_Piece):
    """Poses at moments, and what lies between."""

    keys: tuple[Key, ...]
    beyond: Beyond = "hold"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PresetSegment(_Piece):
    """One of `animate.presets`, from the rhythm of the speech."""

    name: str
    seed: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixSegment(_Piece):
    """Several segments at once, added up."""

    parts: tuple["Segment", ...]


Segment: TypeAlias = FilmSegment | TrackSegment | KeysSegment | PresetSegment | MixSegment

KINDS: Final[dict[str, type]] = {
    "film": FilmSegment,
    "track": TrackSegment,
    "keys": KeysSegment,
    "preset": PresetSegment,
    "mix": MixSegment,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timeline:
    """Head poses of a whole film."""

    segments: tuple[Segment, ...]
    mode: Literal["absolute", "relative"] = "absolute"
    """`relative`: the film begins with the photograph's own pose, and all that follows is turned and moved with it."""
    beyond: Beyond = "hold"
    """When the last segment is over before the speech is."""
    cross_fade_s: float = 0.5
    """How long one segment turns into the next; longer where they are far apart."""
    smoothing_s: float = 0.0
    """What is quicker than this is smoothed."""
    strength: float = 1.0
    """Factor on every turn and move."""


def read_timeline(path: Path) -> Timeline:
    """Reads a timeline; paths in it are relative to its folder.

    Raises:
        InputError: In one line, which setting of which segment cannot be used, and what would do.
    """
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            raise InputError(f"{path} has {size} bytes, at most {_MOST_BYTES} are read; save long motion as a track")
        fields = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check the name and its rights") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}); docs/formats.md shows what it must be") from error
    return timeline_from(fields, str(path), path.parent)


def timeline_from(fields: Any, where: str, folder: Path) -> Timeline:
    """Builds a timeline from parsed JSON.

    Args:
        fields: The object.
        where: Its name in messages.
        folder: To which paths are relative.

    Raises:
        InputError: As `read_timeline`.
    """
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        found = fields.get("format") if isinstance(fields, dict) else type(fields).__name__
        raise InputError(f'{where} has format {_short(found)}; "format": "{FORMAT}" is needed')
    rest = {name: value for name, value in fields.items() if name not in ("format", "$schema")}
    return _Reader(folder).record(Timeline, rest, where)


class _Reader:
    """From parsed JSON to records, naming the place of what is wrong."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._num_records = 0

    def record(self, cls: type, fields: Any, where: str, depth: int = 0) -> Any:
        if not isinstance(fields, dict):
            raise InputError(f"{where} is {_short(fields)}; an object in braces is needed")
        self._num_records += 1
        if self._num_records > 10 * MOST_SEGMENTS:
            raise InputError(f"{where}: more than {10 * MOST_SEGMENTS} segments and keys; save long motion as a track")
        known = {field.name: field for field in dataclasses.fields(cls)}
        for name in fields:
            if name not in known:
                raise InputError(f"{where}: {unknown_setting(_short(name), known)}")
        for name, field in known.items():
            if field.default is dataclasses.MISSING and name not in fields:
                raise InputError(f"{where} has no {name}; give it")
        values = {name: self._value(known[name].type, name, value, (where, depth)) for name, value in fields.items()}
        made = cls(**values)
        _check_whole(made, where)
        return made

    def _value(self, kind: Any, name: str, value: Any, place: tuple[str, int]) -> Any:
        where, depth = place
        if name in ("segments", "parts", "keys"):
            return self._list(name, value, where, depth)
        if value is None and isinstance(kind, UnionType):
            return None
        if name in RANGES:
            return _number(name, value, where)
        if get_origin(kind) is Literal:
            if value not in get_args(kind) or not isinstance(value, str):
                raise InputError(f"{where}: {name} is {_short(value)}; give {' or '.join(get_args(kind))}")
            return value
        if not isinstance(value, str) or not value or "\0" in value:
            raise InputError(f"{where}: {name} is {_short(value)}; give text in quotes")
        return self._folder / value if kind is Path else value

    def _list(self, name: str, value: Any, where: str, depth: int) -> tuple[Any, ...]:
        if not isinstance(value, list) or not 0 < len(value) <= MOST_SEGMENTS:
            found = f"a list of {len(value)}" if isinstance(value, list) else _short(value)
            raise InputError(f"{where}: {name} is {found}; give a list of 1 to {MOST_SEGMENTS}")
        if name == "keys":
            return tuple(self.record(Key, one, f"{where}, key {at}") for at, one in enumerate(value, 1))
        word = "segment" if name == "segments" else "part"
        return tuple(self._segment(one, f"{where}, {word} {at}", depth) for at, one in enumerate(value, 1))

    def _segment(self, fields: Any, where: str, depth: int) -> Segment:
        kind = fields.get("kind") if isinstance(fields, dict) else None
        if not isinstance(kind, str) or kind not in KINDS:
            raise InputError(f"{where} has kind {_short(kind)}; give {', '.join(KINDS)}")
        if kind == "mix" and depth >= _DEEPEST_MIX:
            raise InputError(f"{where}: mixes lie more than {_DEEPEST_MIX} deep; lay them beside each other")
        rest = {name: value for name, value in fields.items() if name != "kind"}
        return self.record(KINDS[kind], rest, where, depth + 1)


def _number(name: str, value: Any, where: str) -> float | int:
    low, high = RANGES[name]
    kind = int if name == "seed" else (int, float)
    # A Boolean is an int to Python and a mistake to everybody else; huge ints would not become floats.
    fits = isinstance(value, kind) and not isinstance(value, bool) and low <= value <= high
    if not fits or not math.isfinite(value):
        raise InputError(f"{where}: {name} is {_short(value)}; give a number from {low:g} to {high:g}")
    return value if name == "seed" else float(value)


def _check_whole(made: Any, where: str) -> None:
    """Checks what no field shows by itself."""
    if isinstance(made, FilmSegment | TrackSegment) and made.end_s is not None and made.end_s <= made.start_s:
        raise InputError(f"{where}: end_s is {made.end_s:g}, not after start_s of {made.start_s:g}; give a later end")
    if isinstance(made, PresetSegment) and made.name not in PRESETS:
        raise InputError(f"{where}: no preset {_short(made.name)}; there are {', '.join(PRESETS)}")
    if isinstance(made, KeysSegment):
        times = [key.at_s for key in made.keys]
        if any(later <= earlier for earlier, later in itertools.pairwise(times)):
            raise InputError(f"{where}: the keys are not in order of at_s; each must be later than the one before")


def _short(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else json.dumps(value)
    except ValueError:  # an int of thousands of digits
        text = "a very long number"
    return text if len(text) <= 40 else f"{text[:37]}..."
