"""Reads timelines of head poses: JSON files that lay videos, tracks, keyframes and presets end to end.

docs/formats.md describes the file, docs/pose.schema.json does for editors (scripts/make_pose_schema.py writes it).
Everything in it is checked here, before anything is computed.
"""

import dataclasses
import itertools
import json
import math
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, TypeAlias, get_args, get_origin

from pcavs.errors import InputError, unknown_setting
from pcavs.media.files import check_readable, path_below
from pcavs.pose import expression
from pcavs.pose.presets import PRESET_NAMES
from pcavs.pose.track import Extrapolation

FORMAT: Final = "pcavs-pose-1"
"""Format name inside the file."""
Ease = Literal["smooth", "linear"]
"""Interpolation from one key to the next; `Key.ease` describes the values."""

_MAX_BYTES: Final = 4_000_000
"""Largest timeline that is read."""
MOST_SEGMENTS: Final = 1000
"""Most segments, parts or keys in one list."""
_MAX_RECORDS: Final = 10 * MOST_SEGMENTS
"""Most segments, parts and keys in one timeline."""
_MAX_MIX_DEPTH: Final = 3
"""Most mixes inside of each other."""
_LONGEST_S: Final = 24 * 3600.0
"""Largest time in a timeline: a day."""
_TEXT_IN_MESSAGE: Final = 40
"""Characters of a wrong value that a message shows."""
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
    **{
        name: (float(low), float(high))
        for name, low, high in zip(expression.COLUMNS, expression.LOWEST, expression.HIGHEST, strict=True)
    },
}
"""Smallest and largest value of each setting that is a number."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Key:
    """Head pose and expression at one moment, and how the next ones are reached."""

    at_s: float
    """Time in seconds since the segment's beginning."""
    yaw: float = 0.0
    """Degrees; above 0 the face turns to the picture's right."""
    pitch: float = 0.0
    """Degrees; above 0 it looks up."""
    roll: float = 0.0
    """Degrees; above 0 the head leans clockwise in the picture."""
    x: float = 0.0
    """Position in face widths, to the picture's right."""
    y: float = 0.0
    """Position in face widths, downwards."""
    scale: float = 1.0
    """Factor on the size of the head."""
    left_lid: float = 0.0
    """Closure of the lid at the picture's left: 0 as in the photograph, 1 shut, -1 wide open."""
    right_lid: float = 0.0
    """The same at the picture's right."""
    gaze_yaw: float = 0.0
    """Degrees by which the eyes turn in the head; above 0 to the picture's right. The lids follow them."""
    gaze_pitch: float = 0.0
    """The same; above 0 they look up."""
    left_brow: float = 0.0
    """How far the brow at the picture's left is raised, -1 to 1: 1 is a centimetre of an average face."""
    right_brow: float = 0.0
    """The same at the picture's right."""
    frown: float = 0.0
    """How far the brows are drawn together, 0 to 1."""
    cheeks: float = 0.0
    """How far cheeks and lower lids are raised, 0 to 1."""
    smile: float = 0.0
    """How far the corners of the mouth are drawn out and up, -0.5 (down) to 1."""
    ease: Ease = "smooth"
    """Interpolation to the next key: `smooth` starts and ends at rest (smoothstep)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _SegmentBase:
    """Settings that every kind of segment has."""

    duration_s: float | None = None
    """Duration in seconds. Without it a segment lasts as long as its source; a preset, and the last segment of a
    timeline with `hold`, last to the end of the film."""
    extrapolation: Extrapolation = "bounce"
    """How the source is continued if it is shorter than the segment."""
    strength: float = 1.0
    """Factor on all angles, positions and logarithms of size."""
    weight: float = 1.0
    """Further factor on these if the segment is a part of a mix."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoSegment(_SegmentBase):
    """Head motion of a video, measured by its face landmarks."""

    path: Path
    start_s: float = 0.0
    end_s: float | None = None
    performance: bool = False
    """Lends lids, gaze, brows and smile, too, and not only the head."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrackSegment(_SegmentBase):
    """A head track that `pcavs pose extract` saved."""

    path: Path
    start_s: float = 0.0
    end_s: float | None = None
    performance: bool = False
    """Lends lids, gaze, brows and smile, too, and not only the head."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeysSegment(_SegmentBase):
    """Keyframes, with interpolation between them."""

    keys: tuple[Key, ...]
    extrapolation: Extrapolation = "hold"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PresetSegment(_SegmentBase):
    """A preset (`pose.presets`), generated from the rhythm of the speech."""

    name: str
    seed: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixSegment(_SegmentBase):
    """The sum of several segments that play at the same time."""

    parts: tuple["Segment", ...]


Segment: TypeAlias = VideoSegment | TrackSegment | KeysSegment | PresetSegment | MixSegment

KINDS: Final[dict[str, type]] = {
    "video": VideoSegment,
    "track": TrackSegment,
    "keys": KeysSegment,
    "preset": PresetSegment,
    "mix": MixSegment,
}
"""Record of each `kind` of segment."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timeline:
    """Head poses of a whole film: segments that follow each other."""

    segments: tuple[Segment, ...]
    mode: Literal["absolute", "relative"] = "absolute"
    """`relative`: the film starts with the photograph's own pose, and the timeline gives the changes from there."""
    extrapolation: Extrapolation = "hold"
    """How the whole timeline is continued if it is shorter than the speech."""
    cross_fade_s: float = 0.5
    """Duration of the fade from one segment to the next; it takes longer between poses that are far apart."""
    smoothing_s: float = 0.0
    """Full width at half maximum of a Gaussian low-pass over the whole track."""
    strength: float = 1.0
    """Factor on all angles, positions and logarithms of size."""


def read_timeline(path: Path, *, outside: bool = False) -> Timeline:
    """Reads a timeline; paths in it are relative to its folder.

    Args:
        path: A .json file.
        outside: It may name files outside of its folder.

    Raises:
        InputError: The file cannot be read, or a setting cannot be used; the message names the segment and the setting.
    """
    check_readable(path)
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise InputError(f"{path} has {size} bytes, more than {_MAX_BYTES}; save long motion as a track")
        fields = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check its name and permissions") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON ({error}); docs/formats.md describes the format") from error
    return timeline_from(fields, str(path), path.parent, outside=outside)


def timeline_from(fields: Any, where: str, folder: Path, *, outside: bool = False) -> Timeline:
    """Builds a timeline from parsed JSON.

    Args:
        fields: The parsed JSON, unchecked.
        where: Name of its source in messages.
        folder: Folder that paths are relative to.
        outside: Paths may leave it.

    Raises:
        InputError: A setting cannot be used; the message names the segment and the setting.
    """
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        found = fields.get("format") if isinstance(fields, dict) else type(fields).__name__
        raise InputError(f'{where} has format {_short(found)}; give "format": "{FORMAT}"')
    rest = {name: value for name, value in fields.items() if name not in ("format", "$schema")}
    return _Reader(folder, outside=outside).record(Timeline, rest, where)


class _Reader:
    """Converts parsed JSON into the records of this module; messages name the segment, part or key that is wrong."""

    def __init__(self, folder: Path, *, outside: bool) -> None:
        """Takes the folder that paths are relative to, and whether they may leave it."""
        self._folder, self._outside = folder, outside
        self._num_records = 0

    def record(self, cls: type, fields: Any, where: str, depth: int = 0) -> Any:
        """Reads one object into a dataclass: no unknown or missing settings, each value of its field's type.

        Args:
            cls: The dataclass.
            fields: The parsed JSON.
            where: Place of the object in messages.
            depth: Segments that contain it.

        Raises:
            InputError: The object cannot be used.
        """
        if not isinstance(fields, dict):
            raise InputError(f"{where} is {_short(fields)}; give an object in braces")
        self._num_records += 1
        if self._num_records > _MAX_RECORDS:
            raise InputError(f"{where}: more than {_MAX_RECORDS} segments and keys; save long motion as a track")
        known = {field.name: field for field in dataclasses.fields(cls)}
        for name in fields:
            if name not in known:
                raise InputError(f"{where}: {unknown_setting(_short(name), known)}")
        for name, field in known.items():
            if field.default is dataclasses.MISSING and name not in fields:
                raise InputError(f"{where} has no {name}; give it")
        values = {name: self._value(known[name].type, name, value, (where, depth)) for name, value in fields.items()}
        record = cls(**values)
        _check_record(record, where)
        return record

    def _value(self, kind: Any, name: str, value: Any, place: tuple[str, int]) -> Any:
        where, depth = place
        if name in ("segments", "parts", "keys"):
            return self._list(name, value, where, depth)
        if value is None and isinstance(kind, UnionType):
            return None
        if name in RANGES:
            return _number(name, value, where)
        if kind is bool:
            if not isinstance(value, bool):
                raise InputError(f"{where}: {name} is {_short(value)}; give true or false")
            return value
        if get_origin(kind) is Literal:
            if value not in get_args(kind) or not isinstance(value, str):
                raise InputError(f"{where}: {name} is {_short(value)}; give {' or '.join(get_args(kind))}")
            return value
        if not isinstance(value, str) or not value or "\0" in value:
            raise InputError(f"{where}: {name} is {_short(value)}; give text in quotes")
        return path_below(self._folder, value, where, outside=self._outside) if kind is Path else value

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
        if kind == "mix" and depth >= _MAX_MIX_DEPTH:
            raise InputError(f"{where}: mixes are nested more than {_MAX_MIX_DEPTH} deep; put their parts into one mix")
        rest = {name: value for name, value in fields.items() if name != "kind"}
        return self.record(KINDS[kind], rest, where, depth + 1)


def _number(name: str, value: Any, where: str) -> float | int:
    low, high = RANGES[name]
    kind = int if name == "seed" else (int, float)
    # In Python a Boolean is an int. Ints out of range must not reach isfinite, which fails on huge ones.
    fits = isinstance(value, kind) and not isinstance(value, bool) and low <= value <= high
    if not fits or not math.isfinite(value):
        raise InputError(f"{where}: {name} is {_short(value)}; give a number from {low:g} to {high:g}")
    return value if name == "seed" else float(value)


def _check_record(record: Any, where: str) -> None:
    """Checks what depends on more than one setting, and names of presets."""
    if isinstance(record, VideoSegment | TrackSegment) and record.end_s is not None and record.end_s <= record.start_s:
        raise InputError(f"{where}: end_s is {record.end_s:g}, start_s is {record.start_s:g}; give a later end_s")
    if isinstance(record, PresetSegment) and record.name not in PRESET_NAMES:
        raise InputError(f"{where}: there is no preset {_short(record.name)}; give {', '.join(PRESET_NAMES)}")
    if isinstance(record, KeysSegment):
        times = [key.at_s for key in record.keys]
        if any(later <= earlier for earlier, later in itertools.pairwise(times)):
            raise InputError(f"{where}: the keys are not in the order of at_s; give each a later at_s than the last")


def _short(value: Any) -> str:
    """Returns a wrong value as text for a message, shortened."""
    try:
        text = value if isinstance(value, str) else json.dumps(value)
    except ValueError:  # an int of thousands of digits
        text = "a very long number"
    return text if len(text) <= _TEXT_IN_MESSAGE else f"{text[: _TEXT_IN_MESSAGE - 3]}..."
