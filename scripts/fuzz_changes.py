"""Damages valid files at random, for `fuzz_readers.py`."""

import copy
import json
import struct
from collections.abc import Callable
from typing import Any, Final

import numpy as np

_TREE_SHARE: Final = 0.6
"""Probability that a JSON file keeps its syntax and gets other values instead."""
_BINARY_SHARE: Final = 0.3
"""Probability that a change to a text file is one for binary files."""
_MOST_CHANGES: Final = 8
_MOST_VALUES: Final = 4
"""Largest number of values that are changed in a JSON document."""
_DEEPER_SHARE: Final = 0.8
"""Probability that a change to a list or record is made inside it."""
_RENAME_SHARE: Final = 0.2
"""Probability that a change to a record renames a field."""
_HEADER_BYTES: Final = (512, 4096)
"""Half of the changes are within one of these distances from the start or the end, where headers are."""
_MOST_REMOVED, _MOST_REPEATED, _MOST_EXCHANGED = 200, 500, 2000
"""Upper bounds of the number of bytes, exclusive."""

_ODD_BYTES: Final = (0, 1, 0x7F, 0x80, 0xFE, 0xFF, 0x20, 0x0A, 0x22, 0x2C)
_ODD_WORDS: Final = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE, 1 << 20)
_ODD_VALUES: Final = (
    *(None, True, False, 0, -1, 1, 0.5, 1e308, -1e-320, float("nan"), float("inf"), 10**400, 2**63),
    *("", " ", "a\0b", "\ud800", "../..", "/", ".", "a\nb", "a" * 5000, "\u202e", "film", "mix", "keys", "lively"),
    *("yaw=1", "yaw=nan", "1e9", "nan", "NaN", "-inf", "0x10", "true", "-1", "999999999999"),
    *([], [[]], {}, {"kind": "mix"}, [None]),
)
_ODD_TEXTS: Final = (
    *('"', '""', ",", ";", "'", "=", "=1+1", "-", "/", "//", "{", "}", "[" * 3000, '{"a":' * 1500),
    *("\n", "\r", "\r\n", "\t", "\0", "\x1a", "\x85", "\ufeff", "\u2028", "\\", "\\ud800"),
    *("1" * 5000, "1e999", "nan", "null"),
)


def damaged(data: bytes, other: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """Returns a file with one to `_MOST_CHANGES` random changes.

    Args:
        data: The file.
        other: Another valid file, whose parts may be copied in.
        kind: `json`, `csv` or `media`.
        rng: Decides everything.
    """
    if kind == "json" and rng.random() < _TREE_SHARE:
        return _other_values(data, rng)
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, _MOST_CHANGES + 1))):
        is_binary = kind == "media" or rng.random() < _BINARY_SHARE
        change = _CHANGES[int(rng.integers(len(_CHANGES)))] if is_binary else _insert_text
        changed = change(changed, other, rng) or bytearray(b"\0")
    return bytes(changed)


def _place(data: bytearray, rng: np.random.Generator) -> int:
    """Returns a random position: anywhere, near the start, or near the end."""
    near = min(len(data), _HEADER_BYTES[int(rng.random() >= 0.5)])
    return int(rng.choice([rng.integers(len(data)), rng.integers(near), len(data) - 1 - rng.integers(near)]))


def _flip(data: bytearray, _: bytes, rng: np.random.Generator) -> bytearray:
    data[_place(data, rng)] ^= 1 << int(rng.integers(8))
    return data


def _set_byte(data: bytearray, _: bytes, rng: np.random.Generator) -> bytearray:
    data[_place(data, rng)] = int(rng.choice(_ODD_BYTES))
    return data


def _set_word(data: bytearray, _: bytes, rng: np.random.Generator) -> bytearray:
    at, order = _place(data, rng), "<>"[int(rng.integers(2))]
    size = "HIQ"[int(rng.integers(3))]
    packed = struct.pack(order + size, int(rng.choice(_ODD_WORDS)) & ((1 << 8 * struct.calcsize(size)) - 1))
    data[at : at + len(packed)] = packed
    return data


def _cut_end(data: bytearray, _: bytes, rng: np.random.Generator) -> bytearray:
    return data[: _place(data, rng)]


def _remove(data: bytearray, _: bytes, rng: np.random.Generator) -> bytearray:
    at = _place(data, rng)
    del data[at : at + int(rng.integers(1, _MOST_REMOVED))]
    return data


def _repeat(data: bytearray, _: bytes, rng: np.random.Generator) -> bytearray:
    at = _place(data, rng)
    data[at:at] = data[at : at + int(rng.integers(1, _MOST_REPEATED))]
    return data


def _exchange(data: bytearray, other: bytes, rng: np.random.Generator) -> bytearray:
    start, length = int(rng.integers(len(other))), int(rng.integers(1, _MOST_EXCHANGED))
    at = _place(data, rng)
    data[at : at + length] = other[start : start + length]
    return data


def _insert_text(data: bytearray, _: bytes, rng: np.random.Generator) -> bytearray:
    at = int(rng.integers(len(data) + 1))
    data[at : at + int(rng.integers(3))] = _ODD_TEXTS[int(rng.integers(len(_ODD_TEXTS)))].encode(
        "utf-8", "surrogatepass"
    )
    return data


_CHANGES: Final[tuple[Callable[[bytearray, bytes, np.random.Generator], bytearray], ...]] = (
    _flip, _set_byte, _set_word, _set_word, _set_word, _cut_end, _remove, _repeat, _exchange,
)  # fmt: skip


def _other_values(data: bytes, rng: np.random.Generator) -> bytes:
    """Returns a JSON or JSON-lines file with some values and field names replaced."""
    lines = []
    for line in data.decode().splitlines() if data.count(b"\n{") else [data.decode()]:
        tree = [json.loads(line)]
        for _ in range(int(rng.integers(1, _MOST_VALUES + 1))):
            _change_inside(tree, rng)
        lines.append(json.dumps(tree[0]))
    return "\n".join(lines).encode()


def _change_inside(tree: Any, rng: np.random.Generator) -> None:
    names = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
    if not names:
        return
    name = names[int(rng.integers(len(names)))]
    if isinstance(tree[name], dict | list) and rng.random() < _DEEPER_SHARE:
        _change_inside(tree[name], rng)
    elif isinstance(tree, dict) and rng.random() < _RENAME_SHARE:
        tree[str(_ODD_VALUES[int(rng.integers(len(_ODD_VALUES)))])] = tree.pop(name)
    else:
        tree[name] = copy.deepcopy(_ODD_VALUES[int(rng.integers(len(_ODD_VALUES)))])
