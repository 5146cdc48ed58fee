"""docs/pose.schema.json accepts what the reader of timelines accepts."""

import contextlib
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from make_pose_schema import SCHEMA_FILE, timeline_schema
from pcavs.errors import InputError
from pcavs.pose.presets import PRESETS
from pcavs.pose.timeline import FORMAT, KINDS, RANGES, timeline_from

SCHEMA = timeline_schema()
TYPES = {"object": dict, "array": list, "string": str, "number": (int, float), "integer": int, "null": type(None)}


def fits(value, schema):
    """Validates a value; knows only the keywords that this schema uses."""
    if "$ref" in schema:
        return fits(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    if "oneOf" in schema:
        return sum(fits(value, one) for one in schema["oneOf"]) == 1
    if "const" in schema:
        return value == schema["const"]
    if "enum" in schema:
        return value in schema["enum"]
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if isinstance(value, bool) or not any(isinstance(value, TYPES[kind]) for kind in kinds):
        return False
    if isinstance(value, dict):
        known = schema["properties"]
        has_all = set(schema["required"]) <= value.keys() <= known.keys()
        return has_all and all(fits(each, known[name]) for name, each in value.items())
    if isinstance(value, list):
        return schema["minItems"] <= len(value) <= schema["maxItems"] and all(fits(x, schema["items"]) for x in value)
    if isinstance(value, str):
        return len(value) >= schema.get("minLength", 0)
    return value is None or (math.isfinite(value) and schema["minimum"] <= value <= schema["maximum"])


def is_read(value):
    with contextlib.suppress(InputError):
        timeline_from(value, "poses.json", Path())
        return True
    return False


def test_the_published_file_is_current():
    """If not, run `python scripts/make_pose_schema.py`."""
    assert json.loads(SCHEMA_FILE.read_text()) == SCHEMA


EVERY_KIND = {
    "$schema": "pose.schema.json",
    "format": FORMAT,
    "mode": "relative",
    "segments": [
        {"kind": "video", "path": "a.mp4", "start_s": 1, "end_s": None, "extrapolation": "loop"},
        {"kind": "track", "path": "b.npz"},
        {"kind": "keys", "keys": [{"at_s": 0, "yaw": 10}, {"at_s": 2, "scale": 1.1, "ease": "linear"}]},
        {"kind": "mix", "parts": [{"kind": "preset", "name": "lively", "seed": 7}], "duration_s": 3},
    ],
}


def test_every_kind_of_segment_is_accepted():
    assert is_read(EVERY_KIND)
    assert fits(EVERY_KIND, SCHEMA)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "video"},
        {"kind": "keys", "keys": []},
        {"kind": "keys", "keys": [{"at_s": 0, "yaw": 91}]},
        {"kind": "preset", "name": "livelyy"},
        {"kind": "preset", "name": "lively", "seed": 1.5},
        {"kind": "preset", "name": "lively", "path": "a"},
        {"kind": "dance"},
        {"kind": "track", "path": "a", "duration_s": True},
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(wrong):
    value = {"format": FORMAT, "segments": [wrong]}
    assert not is_read(value)
    assert not fits(value, SCHEMA)


texts = st.sampled_from(["a.mp4", "lively", "loop", "hold", "smooth", "relative", *PRESETS, *KINDS])
simple = st.none() | st.booleans() | st.integers(-3, 5) | st.floats(-100, 100) | texts
names = st.sampled_from([*RANGES, "path", "name", "extrapolation", "keys", "parts"])
records = st.dictionaries(names, simple | st.lists(st.dictionaries(names, simple, max_size=3), max_size=2), max_size=3)


@given(st.sampled_from([*KINDS]), records)
@settings(max_examples=300)
def test_the_schema_accepts_what_the_reader_accepts(kind, record):
    value = {"format": FORMAT, "segments": [{"kind": kind, **record}]}
    assert fits(value, SCHEMA) or not is_read(value)
