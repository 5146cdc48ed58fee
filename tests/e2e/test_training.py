"""Training on packs: exact resume, failures, and the overfit test that every generator must pass."""

import dataclasses
import itertools
import json
import logging
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from helpers.drawn import drawn_clip
from pcavs.animate.load import load_talker
from pcavs.data.augment import augment_colour
from pcavs.data.pack import write_packs
from pcavs.data.pack_corpus import PackCorpus
from pcavs.errors import DataError, OutputError, WeightsError
from pcavs.models.build import build_model
from pcavs.models.generator import Codes, compose
from pcavs.spec import TalkerSpec
from pcavs.train import run as train_run
from pcavs.train.checkpoint import RunFolder
from pcavs.train.generator import GeneratorStage
from pcavs.train.options import TrainOptions
from pcavs.train.reconstruction import mouth_masks, repeat_flow
from pcavs.train.run import run
from pcavs.train.stage import BatchSampler, StepBatch, TrainingHeads
from pcavs.train.sync import SyncStage
from pcavs.weights.bundle import load_bundle

OVERFIT_STEPS = 60
"""About 15 s on one core, after which the flow error is a fifth of what it was."""


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def tiny(packs: Path, folder: Path, **changes: object) -> TrainOptions:
    settings: dict[str, object] = {"size": "tiny", "steps": 4, "warmup_steps": 2, "decay_steps": 2, "clips": 2}
    settings |= {"moments": 2, "log_every": 1, "device": "cpu", "packs": (packs,), "run": folder}
    return TrainOptions(**(settings | changes))  # pyright: ignore[reportArgumentType]


def weights(checkpoint: Path) -> dict[str, np.ndarray]:
    return {
        f"{name}.{key}": value
        for name in sorted(file.stem for file in checkpoint.glob("*.safetensors"))
        for key, value in load_file(checkpoint / f"{name}.safetensors").items()
    }


def assert_same_weights(a: Path, b: Path):
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    different = [name for name, value in first.items() if not np.array_equal(value, second[name])]
    assert different == []


def journal(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


EXACT = {
    "identity": {"stage": "identity", "precision": "32-true", "margin": 0.2},
    "visual": {"stage": "visual", "precision": "32-true", "pose_head": "free", "pose_dim": 3},
    "sync": {"stage": "sync", "precision": "bf16-mixed"},
    "sync f32": {"stage": "sync", "precision": "32-true"},
    "generator": {
        "stage": "generator",
        "precision": "bf16-mixed",
        "discriminators": ("mouth", "face"),
        "sync_every": 2,
    },
    "generator f32": {"stage": "generator", "precision": "32-true"},
    "paper": {"stage": "generator", "kind": "paper", "precision": "32-true", "discriminators": ("mouth", "face")},
}


@pytest.mark.parametrize("chosen", EXACT.values(), ids=EXACT.keys())
def test_a_resumed_run_equals_an_uninterrupted_one(chosen, drawn_packs: Path, tmp_path: Path, monkeypatch):
    whole = run(tiny(drawn_packs, tmp_path / "whole", **chosen))
    with monkeypatch.context() as patched:
        step_of = train_run.train_step

        def killed(session: object, inputs: StepBatch, step: int, rate: float):
            if step == 3:
                raise KeyboardInterrupt
            return step_of(session, inputs, step, rate)  # pyright: ignore[reportArgumentType]

        patched.setattr(train_run, "train_step", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tiny(drawn_packs, tmp_path / "halves", save_minutes=0.0, **chosen))
    assert [place.name for place in sorted((tmp_path / "halves").glob("checkpoint-*"))][-1] == "checkpoint-00000002"
    assert_same_weights(run(tiny(drawn_packs, tmp_path / "halves", **chosen)), whole)
    steps = [row["step"] for row in journal(tmp_path / "halves") if "loss" in row]
    assert steps == [1, 2, 3, 4]


def test_a_run_stops_after_its_minutes_and_continues(drawn_packs: Path, tmp_path: Path, monkeypatch):
    """Saving does not postpone the stop, which was once measured from the last checkpoint."""
    ticks = itertools.count()
    monkeypatch.setattr("pcavs.train.run.time", SimpleNamespace(monotonic=lambda: 60.0 * next(ticks)))
    stopping = tiny(drawn_packs, tmp_path, steps=5, save_minutes=1.0, stop_minutes=8.0)
    first, second, third = (run(stopping).name for _ in range(3))
    assert "checkpoint-00000002" <= first < second == third == "checkpoint-00000005"
    seconds = json.loads((tmp_path / second / "position.json").read_text())["seconds"]
    assert seconds == pytest.approx(60 * 3 * 5, rel=0.2)


def test_a_run_writes_the_documented_files(drawn_packs: Path, tmp_path: Path):
    place = run(tiny(drawn_packs, tmp_path, stage="generator"))
    assert sorted(file.name for file in place.iterdir()) == [
        *("average.safetensors", "done", "heads.safetensors", "model.safetensors", "optimizers.pt", "position.json")
    ]
    assert (tmp_path / "previews" / "00000004.png").stat().st_size > 1000
    assert tomllib.loads((tmp_path / "options.toml").read_text())["stage"] == "generator"
    for name in ("best.safetensors", "latest.safetensors"):
        provenance = load_bundle(tmp_path / name).provenance
        assert provenance["steps"] == "4"
        assert (provenance["stages"], provenance.get("untrained")) == ("generator", None)
        assert provenance["data"].startswith("sha256:")
        assert len(json.loads(provenance["pose_probe"])["weights"]) == 13
        (entry,) = json.loads((tmp_path / "provenance.json").read_text())
        assert entry.items() <= (provenance | {"from_step": 0}).items()
    assert list((tmp_path / "tensorboard").iterdir())
    rows = journal(tmp_path)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 4]
    assert {"loss", "flow", "zero_flow", "seconds_per_step", "waited_s"} <= set(rows[0])
    assert {"lips_heard", "lips_shifted", "mouth_heard", "found_of_32"} <= set(rows[-1]["validation"])  # pyright: ignore


def test_a_contrast_at_the_chance_level_is_reported_once(drawn_packs: Path, tmp_path: Path, monkeypatch, caplog):
    monkeypatch.setattr("pcavs.train.journal.ALARM_STEP", 2)
    monkeypatch.setattr("pcavs.train.journal.CHANCE_FACTOR", 10.0)
    with caplog.at_level(logging.WARNING):
        run(tiny(drawn_packs, tmp_path, stage="sync"))
    assert caplog.text.count("is at the chance level, 0.500, after 2 steps") == 1
    assert [row["step"] for row in journal(tmp_path) if "alarm" in row] == [2]


def test_shards_without_a_ledger_are_one_line(tmp_path: Path):
    options = dataclasses.replace(tiny(tmp_path, tmp_path / "run"), packs=(), shards=(tmp_path,))
    with pytest.raises(DataError, match="no ledger in .*; give a folder that `pcavs prepare` wrote") as caught:
        run(options)
    assert "\n" not in str(caught.value)


def test_data_that_disappears_costs_no_checkpoint(drawn_packs: Path, tmp_path: Path, monkeypatch):
    """An error in the thread that draws ahead ends the run with its message."""
    sample = BatchSampler.sample

    def gone(sampler: BatchSampler, corpus: object, step: int) -> StepBatch:
        if step == 3:
            raise DataError("shard-000.tar is gone")
        return sample(sampler, corpus, step)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patched:
        patched.setattr(BatchSampler, "sample", gone)
        with pytest.raises(DataError, match="shard-000.tar is gone"):
            run(tiny(drawn_packs, tmp_path, save_minutes=0.0))
    assert RunFolder(tmp_path).checkpoints()[-1].name == "checkpoint-00000002"
    assert run(tiny(drawn_packs, tmp_path)).name == "checkpoint-00000004"


def test_a_full_disk_is_one_line_and_the_run_continues(drawn_packs: Path, tmp_path: Path, monkeypatch):
    before = run(tiny(drawn_packs, tmp_path, steps=2, decay_steps=0))
    with monkeypatch.context() as patched:

        def full(*_: object, **__: object):
            raise OSError(28, "No space left on device")

        patched.setattr("pcavs.media.files.save_file", full)
        with pytest.raises(OutputError, match="No space left on device") as caught:
            run(tiny(drawn_packs, tmp_path))
    assert "\n" not in str(caught.value)
    assert RunFolder(tmp_path).checkpoints() == [before]
    assert run(tiny(drawn_packs, tmp_path)).name == "checkpoint-00000004"


def test_a_stage_starts_from_the_run_before_it(drawn_packs: Path, tmp_path: Path):
    before = run(tiny(drawn_packs, tmp_path / "sync", steps=2, decay_steps=0))
    after = run(tiny(drawn_packs, tmp_path / "generator", stage="generator", start=tmp_path / "sync", lr=0.0))
    average, model = load_file(before / "average.safetensors"), load_file(after / "model.safetensors")
    assert all(np.array_equal(model[name], value) for name, value in average.items() if "running" not in name)
    # Nothing is said of the networks that stage `sync` leaves untrained.
    assert set(journal(tmp_path / "sync")[-1]["validation"]) == {"found_within", "found_of_32", "pose"}  # pyright: ignore
    assert not (tmp_path / "sync" / "previews").exists()
    with pytest.raises(WeightsError, match=r"best makes no films yet: .*\(sync\) leave identity and generator"):
        load_talker(tmp_path / "sync" / "best.safetensors", "cpu")
    parents = json.loads(load_bundle(tmp_path / "generator" / "best.safetensors").provenance["parents"])
    assert [parent.partition(" ")[0] for parent in parents] == ["sync/checkpoint-00000002"]


def test_the_moving_average_differs_from_the_weights(drawn_packs: Path, tmp_path: Path):
    place = run(tiny(drawn_packs, tmp_path, warmup_steps=0))
    name = "motion.content_head.0.weight"
    model, average = (load_file(place / f"{part}.safetensors")[name] for part in ("model", "average"))
    assert not np.array_equal(model, average)


@pytest.mark.parametrize("stage", ["sync", "generator"])
def test_a_batch_that_is_not_finite_is_skipped(stage: str, drawn_packs: Path, tmp_path: Path, monkeypatch, caplog):
    """Weights, their average and the running statistics stay finite."""
    kind = SyncStage if stage == "sync" else GeneratorStage
    batch = kind.batch

    def poisoned(self: object, step: int) -> StepBatch:
        good = batch(self, step)  # pyright: ignore[reportArgumentType]
        if step != 2:
            return good
        nan = float("nan")
        return good._replace(augmented=good.augmented * nan, batch=good.batch._replace(speech=good.batch.speech * nan))

    monkeypatch.setattr(kind, "batch", poisoned)
    with caplog.at_level(logging.WARNING):
        place = run(tiny(drawn_packs, tmp_path, stage=stage, steps=3, decay_steps=0))
    assert "step 2: the gradient is not finite; the step is skipped" in caplog.text
    assert all(np.isfinite(value).all() for value in weights(place).values())
    rows = journal(tmp_path)
    assert [row.get("skipped", 0) for row in rows if "lr" in row] == [0, 1, 0]
    assert "NaN" not in (tmp_path / "journal.jsonl").read_text()


def test_held_out_clips_without_speech_are_not_used(tmp_path: Path, caplog):
    """They once ended a run at its first validation."""
    clips = [drawn_clip("said", frames=4), drawn_clip("still", frames=4, heard=False)]
    clips += [drawn_clip("kept", frames=4, heard=False, split="val")]
    write_packs(clips, tmp_path / "packs", frame_px=64)
    with caplog.at_level(logging.WARNING):
        run(tiny(tmp_path / "packs", tmp_path / "run", stage="generator", steps=2, decay_steps=0))
    assert "no clip with speech is held out" in caplog.text


@pytest.mark.timeout(600)
def test_one_batch_is_overfitted(tmp_path: Path, tiny_spec: TalkerSpec):
    """On one batch of 20 pairs the flow error falls to a third, and the warped picture follows.

    Codes that do not reach the flow, a warp in the wrong direction, or landmarks of another frame would fail here.
    """
    clips = [drawn_clip(f"pair-{n}", frames=12) for n in range(5)]
    write_packs(clips, tmp_path / "packs", frame_px=64)
    corpus = PackCorpus.load([tmp_path / "packs" / "pack-000.safetensors"], "train")
    torch.manual_seed(0)
    options = tiny(tmp_path / "packs", tmp_path, stage="generator", clips=5, moments=4, sync_every=0)
    model, heads = build_model(tiny_spec), TrainingHeads(tiny_spec, 80)
    stage = GeneratorStage(model, heads, corpus, options)
    batch, reconstruct = stage.batch(1).batch, stage.phases[1]
    assert len(batch.target) == 20
    optimizer = torch.optim.AdamW(stage.modules.parameters(), lr=2e-3, betas=(0.9, 0.99))
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for step in range(OVERFIT_STEPS):
        optimizer.param_groups[0]["lr"] = 2e-3 * min(1.0, (step + 1) / 20)
        generator = torch.Generator().manual_seed(step)
        augmented = augment_colour(batch.target, generator)
        loss, terms = reconstruct.loss(StepBatch(batch, augmented, torch.rand(2, 20, generator=generator)), step, {})
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(stage.modules.parameters(), 5.0)
        optimizer.step()
        last = {name: float(value.detach()) for name, value in terms.items()}
        first = first or last
    assert first["flow"] > 0.9 * first["zero_flow"]
    assert last["flow"] < 0.35 * last["zero_flow"]
    # The displacement field alone, without colours, brings the mouth to the target's mouth.
    with torch.no_grad():
        picture, mouth = batch.identity.repeat_interleave(4, dim=0), mouth_masks(batch.target_mesh, 64)[1]
        driving = Codes(model.encode_lips(batch.target), batch.pose)
        fields = model.render(repeat_flow(model.encode_identity(batch.identity), 4), driving)
        moved = compose(picture, fields._replace(mask=torch.ones_like(fields.mask)))
        apart, before = (((made - batch.target).abs() * mouth).sum() for made in (moved, picture))
    assert apart < 0.6 * before
