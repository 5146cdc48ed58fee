"""Reads binary glTF files whose buffers are packed with EXT_meshopt_compression; needs `meshoptimizer` from PyPI.

Reference: the glTF 2.0 specification and its extension EXT_meshopt_compression (Khronos Group).
"""

import json
import struct
from pathlib import Path
from typing import Any, Final

import meshoptimizer
import numpy as np

_DTYPES: Final = {5120: np.int8, 5121: np.uint8, 5122: np.int16, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
"""Number types by glTF's component type."""

_WIDTHS: Final = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
"""Numbers in an element by glTF's element type."""

_HEADER_BYTES, _CHUNK_HEADER_BYTES = 12, 8
"""Bytes before the first chunk, and before the data of each chunk. The chunks are JSON, then binary."""

_MIN_LENGTH: Final = 1e-6
"""Keeps vectors of length 0 from dividing by zero."""


class Glb:
    """A binary glTF file; its buffer views are decoded once.

    Raises:
        SystemExit: The file is not binary glTF, or uses a compression that is not supported.
    """

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        if data[:4] != b"glTF":
            raise SystemExit(f"{path} is not a binary glTF file (.glb)")
        (json_bytes,) = struct.unpack_from("<I", data, _HEADER_BYTES)
        json_start = _HEADER_BYTES + _CHUNK_HEADER_BYTES
        self.tree: dict[str, Any] = json.loads(data[json_start : json_start + json_bytes])
        self._binary = data[json_start + json_bytes + _CHUNK_HEADER_BYTES :]
        self._views = [self._decode_view(view) for view in self.tree["bufferViews"]]

    def _decode_view(self, view: dict[str, Any]) -> bytes:
        packed = view.get("extensions", {}).get("EXT_meshopt_compression")
        if packed is None:
            start = view.get("byteOffset", 0)
            return self._binary[start : start + view["byteLength"]]
        start, count, stride = packed.get("byteOffset", 0), packed["count"], packed["byteStride"]
        source = self._binary[start : start + packed["byteLength"]]
        if packed["mode"] == "TRIANGLES":
            indices = meshoptimizer.decode_index_buffer(count, 4, source)
            return indices.astype(np.uint16 if stride == 2 else np.uint32).tobytes()
        rows = meshoptimizer.decode_vertex_buffer(count, stride, source, np.dtype((np.void, stride)))
        raw = rows.tobytes()
        match packed.get("filter", "NONE"):
            case "NONE":
                return raw
            case "OCTAHEDRAL":
                return _decode_octahedral(raw)
            case other:
                raise SystemExit(f"meshopt filter {other} is not supported; save the file without it")

    def view(self, index: int) -> bytes:
        """Returns the decoded bytes of a buffer view."""
        return self._views[index]

    def accessor(self, index: int) -> np.ndarray:
        """Reads an accessor as (count, width); normalised integers become floats in [-1, 1] or [0, 1]."""
        accessor = self.tree["accessors"][index]
        dtype, width, count = np.dtype(_DTYPES[accessor["componentType"]]), _WIDTHS[accessor["type"]], accessor["count"]
        view = self.tree["bufferViews"][accessor["bufferView"]]
        stride = view.get("byteStride") or dtype.itemsize * width
        packed = view.get("extensions", {}).get("EXT_meshopt_compression")
        if packed is not None and packed["mode"] == "ATTRIBUTES":
            stride = packed["byteStride"]
        values = np.ndarray(
            (count, width),
            dtype,
            self._views[accessor["bufferView"]],
            offset=accessor.get("byteOffset", 0),
            strides=(stride, dtype.itemsize),
        )
        if not accessor.get("normalized"):
            return values
        return np.maximum(values.astype(np.float32) / np.iinfo(dtype).max, -1.0)


def _decode_octahedral(raw: bytes) -> bytes:
    """Decodes octahedral int8 unit vectors (filter OCTAHEDRAL, byteStride 4)."""
    packed = np.frombuffer(raw, np.int8).reshape(-1, 4)
    x, y, one = (packed[:, axis].astype(np.float32) for axis in range(3))
    z = one - np.abs(x) - np.abs(y)
    fold = np.maximum(-z, 0.0)
    unit = np.stack([x - np.copysign(fold, x), y - np.copysign(fold, y), z], axis=1)
    unit *= 127.0 / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), _MIN_LENGTH)
    return np.concatenate([np.round(unit).astype(np.int8), packed[:, 3:]], axis=1).tobytes()
