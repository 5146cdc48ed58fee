"""The JSON schema of a timeline of poses, made of the records that read it, so that the two cannot differ.

`docs/pose.schema.json` is it, for editors that complete and check what is typed.
"""

import dataclasses
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, get_args, get_origin

from pcavs.pose.presets import PRESETS
from pcavs.pose.timeline import FORMAT, KINDS, MOST_SEGMENTS, RANGES, Key, PresetSegment, Timeline

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def timeline_schema() -> dict[str, Any]:
    """Describes what `read_timeline` takes, but for what no schema can say: rising keys, ends after starts, depth."""
    segments = {kind: _record(cls, {"kind": {"const": kind}}) for kind, cls in KINDS.items()}
    segment = {"oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in segments]}
    head = {"format": {"const": FORMAT}, "$schema": {"type": "string"}}
    whole = _record(Timeline, head, optional={"$schema"})
    return {
        "$schema": DIALECT,
        "title": "A timeline of head poses",
        **whole,
        "$defs": {"segment": segment, "key": _record(Key, {}), **segments},
    }


def _record(cls: type, more: dict[str, Any], optional: frozenset[str] | set[str] = frozenset()) -> dict[str, Any]:
    fields = dataclasses.fields(cls)
    needed = [field.name for field in fields if field.default is dataclasses.MISSING]
    return {
        "type": "object",
        "properties": more | {field.name: _value(cls, field.name, field.type) for field in fields},
        "required": [name for name in more if name not in optional] + needed,
        "additionalProperties": False,
    }


def _value(cls: type, name: str, kind: Any) -> dict[str, Any]:
    if name in ("segments", "parts", "keys"):
        item = {"$ref": "#/$defs/key" if name == "keys" else "#/$defs/segment"}
        return {"type": "array", "items": item, "minItems": 1, "maxItems": MOST_SEGMENTS}
    if name in RANGES:
        low, high = RANGES[name]
        number = "integer" if name == "seed" else "number"
        kinds = [number, "null"] if isinstance(kind, UnionType) else number
        return {"type": kinds, "minimum": low, "maximum": high}
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    if cls is PresetSegment and name == "name":
        return {"enum": list(PRESETS)}
    assert kind in (str, Path), f"{cls.__name__}.{name} is of a kind that the schema does not know"
    return {"type": "string", "minLength": 1}
