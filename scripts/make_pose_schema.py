"""Writes docs/pose.schema.json, the JSON schema of timelines of head poses.

    python scripts/make_pose_schema.py

Editors use the schema to complete and check a timeline while it is typed. It is derived from the records and ranges
with which `pcavs.pose.timeline` reads a timeline, so that both agree. Run this script after changing them.
"""

import dataclasses
import json
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, get_args, get_origin

from pcavs.pose.presets import PRESET_NAMES
from pcavs.pose.timeline import FORMAT, KINDS, MOST_SEGMENTS, RANGES, Key, PresetSegment, Timeline

SCHEMA_FILE: Final = Path(__file__).resolve().parents[1] / "docs" / "pose.schema.json"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def main() -> None:
    """Writes the schema."""
    SCHEMA_FILE.write_text(json.dumps(timeline_schema(), indent=1) + "\n")


def timeline_schema() -> dict[str, Any]:
    """Returns the schema of the files that `pcavs.pose.timeline` accepts.

    A schema cannot express three of the reader's rules: keys have rising times, a segment ends after it starts, and
    mixes are nested to a limited depth.
    """
    segments = {kind: _record(cls, {"kind": {"const": kind}}) for kind, cls in KINDS.items()}
    segment = {"oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in segments]}
    head = {"format": {"const": FORMAT}, "$schema": {"type": "string"}}
    timeline = _record(Timeline, head, optional={"$schema"})
    return {
        "$schema": DIALECT,
        "title": "A timeline of head poses",
        **timeline,
        "$defs": {"segment": segment, "key": _record(Key, {}), **segments},
    }


def _record(cls: type, extra: dict[str, Any], optional: frozenset[str] | set[str] = frozenset()) -> dict[str, Any]:
    """Returns the schema of a dataclass; `extra` are properties that are not fields, required unless `optional`."""
    fields = dataclasses.fields(cls)
    required = [field.name for field in fields if field.default is dataclasses.MISSING]
    return {
        "type": "object",
        "properties": extra | {field.name: _value(cls, field.name, field.type) for field in fields},
        "required": [name for name in extra if name not in optional] + required,
        "additionalProperties": False,
    }


def _value(cls: type, name: str, kind: Any) -> dict[str, Any]:
    """Returns the schema of one field."""
    if name in ("segments", "parts", "keys"):
        item = {"$ref": "#/$defs/key" if name == "keys" else "#/$defs/segment"}
        return {"type": "array", "items": item, "minItems": 1, "maxItems": MOST_SEGMENTS}
    if name in RANGES:
        low, high = RANGES[name]
        number = "integer" if name == "seed" else "number"
        kinds = [number, "null"] if isinstance(kind, UnionType) else number
        return {"type": kinds, "minimum": low, "maximum": high}
    if kind is bool:
        return {"type": "boolean"}
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    if cls is PresetSegment and name == "name":
        return {"enum": list(PRESET_NAMES)}
    assert kind in (str, Path), f"{cls.__name__}.{name} has a type that this script cannot describe"
    return {"type": "string", "minLength": 1}


if __name__ == "__main__":
    main()
