"""Toy voices with the interfaces of Piper and Kokoro, whose sound and times can be computed by hand."""

import ctypes.util
import json
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from pcavs.voices import kokoro

SYMBOLS = "#;:,.!? abmp\u02b0\u02c8\u02d0AI\u02a7t"


@pytest.fixture(scope="session")
def espeak() -> None:
    """Skips where eSpeak NG is not installed."""
    if ctypes.util.find_library("espeak-ng") is None:
        pytest.skip("eSpeak NG is not installed: apt install espeak-ng")


@pytest.fixture
def toy_piper(tmp_path: Path) -> Path:
    """A stand-in for a Piper voice: each symbol's duration is its number, and the sound is the numbers themselves."""
    ids = ops.parameter([-1, -1], np.int64, "input")
    lengths, scales = ops.parameter([-1], np.int64, "lengths"), ops.parameter([3], np.float32, "scales")
    numbers = ops.convert(ids, "f32")
    steps = ops.ceiling(ops.multiply(numbers, ops.gather(scales, np.array(1), np.array(0))))
    used = ops.multiply(ops.convert(lengths, "f32"), np.float32(0))
    path = tmp_path / "toy.xml"
    ov.save_model(ov.Model([ops.result(ops.add(numbers, used)), ops.result(steps)], [ids, lengths, scales]), path)
    symbols = {symbol: [number] for number, symbol in enumerate("_^$ aːˈmp.", start=0)}
    config = {"audio": {"sample_rate": 25_600}, "espeak": {"voice": "en-us"}, "phoneme_id_map": symbols}
    path.with_name("toy.xml.json").write_text(json.dumps(config | {"inference": {"length_scale": 1.0}}))
    return path


@pytest.fixture
def toy_kokoro(tmp_path: Path) -> Path:
    """A stand-in for Kokoro: each symbol lasts as many units as its number; the sound is the style of that length."""
    tokens, style = ops.parameter([1, -1], np.int64, "tokens"), ops.parameter([1, 256], np.float32, "style")
    speed = ops.parameter([1], np.float32, "speed")
    lengths = ops.maximum(ops.divide(ops.convert(tokens, "f32"), speed), np.float32(1))
    lengths.output(0).set_names({"/encoder/Clip_output_0"})
    model = ov.Model([ops.result(ops.add(style, ops.reduce_sum(lengths, np.array([1]), True)))], [tokens, style, speed])
    ov.save_model(model, tmp_path / "kokoro.xml", compress_to_fp16=False)
    (tmp_path / "vocab.json").write_text(json.dumps({"vocab": {s: i for i, s in enumerate(SYMBOLS) if i}}))
    np.repeat(np.arange(40, dtype="<f4")[:, None], 256, axis=1).tofile(tmp_path / "af_toy.bin")
    return tmp_path / "af_toy.bin"


@pytest.fixture
def toy_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kokoro, "NETWORK", "kokoro.xml")
    monkeypatch.setattr("pcavs.voices.espeak.transcribe", lambda clauses, _language: ["mˈaɪpʰ tʃ" for _ in clauses])
