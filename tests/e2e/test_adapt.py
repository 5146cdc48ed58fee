"""`pcavs adapt`: refusals, and that it changes generator and identity encoder only, and little."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.talkers import write_bundle
from pcavs.errors import DataError, InputError
from pcavs.train import adapt as adapt_run
from pcavs.train.options import AdaptOptions, TrainOptions
from pcavs.train.run import run as train
from pcavs.weights.bundle import load_bundle


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_a_missing_video_is_one_line(tmp_path: Path):
    with pytest.raises(InputError, match="no video at .*; give a video of the person speaking"):
        adapt_run.run(AdaptOptions(video=tmp_path / "me.mp4", out=tmp_path / "me.safetensors"))


def test_an_existing_result_is_kept(examples: Path, tmp_path: Path):
    (tmp_path / "me.safetensors").write_text("mine")
    with pytest.raises(InputError, match="exists; choose another --out or add --overwrite"):
        adapt_run.run(AdaptOptions(video=examples / "pose.mp4", out=tmp_path / "me.safetensors"))


def test_a_video_without_sound_is_refused_with_the_reason(examples: Path, tmp_path: Path):
    with pytest.raises(DataError, match=r"no clip of .*pose\.mp4 can be used \(sound: .*\); .*report\.html") as caught:
        adapt_run.run(AdaptOptions(video=examples / "pose.mp4", out=tmp_path / "me.safetensors"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "me.safetensors").exists()


def test_only_generator_and_identity_encoder_change_and_little(
    drawn_packs: Path, tmp_path: Path, examples: Path, monkeypatch
):
    start = write_bundle(tmp_path / "tiny.safetensors")
    monkeypatch.setattr(adapt_run, "_prepare", lambda video, folder: tmp_path)

    def on_packs(options: TrainOptions) -> Path:
        small = {"shards": (), "packs": (drawn_packs,), "size": "tiny", "device": "cpu", "clips": 2, "moments": 2}
        return train(dataclasses.replace(options, **small))

    monkeypatch.setattr(adapt_run, "train", on_packs)
    out = tmp_path / "me.safetensors"
    options = AdaptOptions(video=examples / "pose.mp4", out=out, weights=start, steps=3)
    assert adapt_run.run(options) == out
    before, after = load_bundle(start), load_bundle(out)
    assert after.provenance["adapted_from"] == "tiny.safetensors"
    assert after.licence == before.licence
    moved = {name for name, value in before.tensors.items() if not np.allclose(after.tensors[name], value, atol=2e-3)}
    assert all(name.startswith(("identity.", "generator.")) for name in moved), sorted(moved)
    changed = [name for name, value in before.tensors.items() if np.abs(after.tensors[name] - value).max() > 1e-4]
    assert any(name.startswith("generator.") for name in changed)
    assert all(np.abs(after.tensors[name] - value).max() < 0.05 for name, value in before.tensors.items())
