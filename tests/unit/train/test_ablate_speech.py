"""benchmarks/ablate_speech.py and measure_voices.py: their features, scores and tables."""

import argparse
import dataclasses
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from helpers.drawn import drawn_clip
from pcavs.data.pack import STATE_MARGIN_FRAMES
from pcavs.models.motion import Codes
from pcavs.spec import SAMPLES_PER_FRAME, STATES_PER_FRAME, TINY_FLOW, FeatureSpec
from pcavs.train.options import TrainOptions

FLOW = dataclasses.replace(TINY_FLOW, features=FeatureSpec())


@pytest.fixture
def tool(root: Path) -> Callable[[str], ModuleType]:
    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, root / "benchmarks" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        return module

    yield load
    sys.modules.pop("ablate_speech", None)
    sys.modules.pop("measure_voices", None)


class MouthReader(nn.Module):
    """Stands for a trained motion encoder: content turns with the darkness of the mouth's area."""

    def __init__(self) -> None:
        super().__init__()
        base, turn = torch.randn(2, FLOW.content_dim, generator=torch.Generator().manual_seed(3))
        self.register_buffer("base", base)
        self.register_buffer("turn", turn)

    def forward(self, face: torch.Tensor) -> Codes:
        darkness = -face[:, :, 34:52, 24:40].mean(dim=(1, 2, 3))[:, None]
        return Codes(self.base + 10 * (darkness - 0.03) * self.turn, torch.zeros(len(face), 12))


def test_mel_lies_where_its_frame_s_states_lie(tool):
    waveform = np.zeros(20 * SAMPLES_PER_FRAME, np.float32)
    waveform[12 * SAMPLES_PER_FRAME : 13 * SAMPLES_PER_FRAME] = np.random.default_rng(0).normal(
        0, 0.3, SAMPLES_PER_FRAME
    )
    states = tool("ablate_speech").mel_states(waveform, 20)
    assert states.shape == ((20 + 2 * STATE_MARGIN_FRAMES) * STATES_PER_FRAME, 160)
    loud = states.astype(np.float32).mean(axis=1)
    middle = float((loud * np.arange(len(loud))).sum() / loud.sum())
    assert middle == pytest.approx((STATE_MARGIN_FRAMES + 12.5) * STATES_PER_FRAME, abs=0.5)


@pytest.mark.parametrize("dim", [FeatureSpec().dim, 40], ids=["states", "mel"])
def test_what_is_learnt_is_scored_on_others(tool, dim: int, tmp_path: Path):
    def clip(key: str, **facts: str):
        whole = drawn_clip(key, frames=48, **facts)
        return whole._replace(states=whole.states[:, :dim])

    bench = tool("ablate_speech")
    options = TrainOptions(
        run=tmp_path, packs=(tmp_path,), stage="speech", features="whisper", size="tiny", clips=4, moments=2, lr=3e-3,
        steps=80, warmup_steps=5, decay_steps=40,
    )  # fmt: skip
    motion, learnt = MouthReader(), [clip(f"face-{number}") for number in range(3)]
    encoder, heads = bench.trained(FLOW, learnt, motion, options, None)
    unseen = clip("unseen", split="val")
    late = unseen._replace(lips=np.roll(unseen.lips, 3, axis=0))
    found, shifted = (bench.score(encoder, heads, FLOW, [each]) for each in (unseen, late))
    assert found["opening"] > 0.8
    assert shifted["opening"] < found["opening"] - 0.3
    assert shifted["lagged"] > 0.7


def test_variants_are_those_that_the_arguments_allow(tool, tmp_path: Path):
    (tmp_path / "base-2").mkdir()
    (tmp_path / "base-2" / "MANIFEST.json").write_text("{}")
    given = argparse.Namespace(networks=tmp_path, voices=None, synthetic=tmp_path)
    found = tool("ablate_speech").variants(given)
    assert list(found) == ["package", "mel", "base-2", "0 s", "0.1 s", "0.2 s", "synthetic tracks"]
    futures = {name: sum(after for _, after in found[name].context) for name in ("0 s", "0.1 s", "0.2 s")}
    assert futures == {"0 s": 0, "0.1 s": 5, "0.2 s": 10}


def test_the_table_shows_the_spread_over_seeds(tool):
    runs = [{"opening": value, "width": 0.5, "others": 0.4} for value in (0.7, 0.8)]
    assert tool("ablate_speech").table({"mel": runs}).splitlines()[-1] == (
        "| mel | 2 | 0.750 (0.700 to 0.800) | 0.500 (0.500 to 0.500) | 0.400 (0.400 to 0.400) |"
    )


def test_voices_are_counted_by_language(tool):
    rows = [
        {"voice": "de_a", "language": "de", "own": 0.3, "late": 0.1, "other": 0.4, "opening": 0.06},
        {"voice": "en_b", "language": "en", "own": 0.2, "late": 0.1, "other": 0.0, "opening": 0.04},
    ]
    german, english, rest = tool("measure_voices").table(rows).splitlines()[2:]
    assert german == "| de | 1 | 0.300 | 0.100 | 0.400 | 1 of 1 | 0 of 1 | 0.060 |"
    assert english.startswith("| en | 1 | 0.200 |")
    assert rest == german.replace("| de |", "| all but English |")
