"""Training that is killed, and training in several processes."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from pcavs.data.corpus import Batch
from pcavs.train.options import TrainOptions
from pcavs.train.recipe import write_recipe
from pcavs.train.run import run
from pcavs.train.stage import BatchSampler, StepBatch

SETTINGS = ("--size", "tiny", "--warmup-steps", "1", "--decay-steps", "1", "--moments", "2", "--device", "cpu")
ALONE = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def train(*words: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pcavs", "train", *(str(word) for word in words)]
    environment = os.environ | ALONE | (env or {})
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for(path: Path, pattern: str, process: subprocess.Popen[str]) -> None:
    for _ in range(3000):
        if list(path.glob(pattern)):
            return
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    raise AssertionError(f"no {pattern} in {path}")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", ["step", "save"])
def test_a_killed_run_continues_from_its_last_complete_checkpoint(moment: str, drawn_packs: Path, tmp_path: Path):
    words = (
        *SETTINGS,
        "--packs",
        drawn_packs,
        "--run",
        tmp_path,
        "--clips",
        "2",
        "--save-minutes",
        "0",
        "--log-every",
        "1",
    )
    process = train(*words, "--steps", "100000")
    # While the second checkpoint is written, its folder exists and its file `done` does not.
    wait_for(tmp_path, "checkpoint-*/done" if moment == "step" else "checkpoint-00000002", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    whole = sorted(int(done.parent.name[-8:]) for done in tmp_path.glob("checkpoint-*/done"))
    assert whole
    again = train(*words, "--steps", whole[-1] + 2)
    out, errors = again.communicate()
    assert again.returncode == 0, errors
    assert out.strip() == str(tmp_path / f"checkpoint-{whole[-1] + 2:08d}")
    steps = [json.loads(line)["step"] for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert steps[-1] == whole[-1] + 2


@pytest.mark.timeout(600)
def test_a_run_saves_on_sigterm(drawn_packs: Path, tmp_path: Path):
    words = (*SETTINGS, "--packs", drawn_packs, "--run", tmp_path, "--clips", "2", "--save-minutes", "1000")
    process = train(*words, "--steps", "100000", "--log-every", "1")
    wait_for(tmp_path, "journal.jsonl", process)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate()
    assert process.returncode == 143, errors
    assert not out
    (done,) = tmp_path.glob("checkpoint-*/done")
    rows = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert int(done.parent.name[-8:]) == max(row["step"] for row in rows)


def doubled(sampler: BatchSampler, corpus: object, step: int) -> StepBatch:
    """The batches of two processes, as one batch."""
    parts = [SAMPLE(sampler._replace(rank=rank), corpus, step) for rank in range(2)]  # pyright: ignore
    batch = Batch(*(torch.cat(pair) for pair in zip(*(part.batch for part in parts), strict=True)))
    augmented = torch.cat([part.augmented for part in parts])
    return StepBatch(batch, augmented, torch.cat([part.uniform for part in parts], dim=1))


SAMPLE = BatchSampler.sample


AS_ONE: dict[str, dict[str, object]] = {
    "sync": {"stage": "sync", "joined_frames": 2},
    "identity": {"stage": "identity", "margin": 0.2},
    "visual": {"stage": "visual", "pose_head": "free"},
    "generator": {
        "stage": "generator",
        "discriminators": ("mouth", "face"),
        "sync_every": 3,
        "term_weights": (("perceptual", 1.0), ("identity", 0.1)),
    },
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("settings", AS_ONE.values(), ids=AS_ONE.keys())
def test_two_processes_equal_one_with_the_doubled_batch(
    settings: dict[str, object], drawn_packs: Path, tmp_path: Path, monkeypatch
):
    """With frozen statistics: codes of a contrast and the sizes of areas are gathered over processes."""
    chosen = TrainOptions(
        packs=(drawn_packs,),
        run=tmp_path / "two",
        size="tiny",
        steps=3,
        warmup_steps=1,
        decay_steps=1,
        clips=2,
        moments=2,
        device="cpu",
        precision="32-true",
        log_every=1,
        frozen_statistics=True,
        **settings,  # pyright: ignore[reportArgumentType]
    )
    write_recipe(dataclasses.replace(chosen, devices=2), tmp_path / "two.toml")
    process = train(tmp_path / "two.toml")
    errors = process.communicate()[1]
    assert process.returncode == 0, errors[-2000:]
    torch.set_num_threads(1)
    monkeypatch.setattr(BatchSampler, "sample", doubled)
    run(dataclasses.replace(chosen, run=tmp_path / "one"))
    two, one = (rows(tmp_path / name) for name in ("two", "one"))
    assert [row["step"] for row in two] == [1, 2, 3]
    for a, b in zip(two, one, strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() - TIMES:
            # Gradient norms are tens; and Adam turns the rounding of a nearly zero gradient into a full step.
            near = pytest.approx(b[name], abs=1e-4, rel=1e-4 if "gradient" in name or a["step"] > 1 else 0)
            assert a[name] == near, (a["step"], name)
    if chosen.stage == "sync":
        weights = [load_file(tmp_path / name / "checkpoint-00000003" / "model.safetensors") for name in ("two", "one")]
        for name, value in weights[0].items():
            np.testing.assert_allclose(value, weights[1][name], atol=1e-4, err_msg=name)


TIMES = {"seconds_per_step", "waited_s", "frames_shown"}


def rows(folder: Path) -> list[dict[str, float]]:
    lines = (json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines())
    return [row for row in lines if "lr" in row]
