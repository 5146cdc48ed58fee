"""Training from packs: exact resume, survival, and the overfit test that every generator must pass."""

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
from pcavs.data.augment import destroy_identity
from pcavs.data.library import Library
from pcavs.data.pack import write_packs
from pcavs.errors import DataError, OutputError
from pcavs.models.build import build_model
from pcavs.models.generator import Codes, compose
from pcavs.spec import TalkerSpec
from pcavs.train import run as train_run
from pcavs.train.checkpoint import RunFolder
from pcavs.train.generator import GeneratorStage
from pcavs.train.options import TrainOptions
from pcavs.train.rebuild import mouth_masks, repeat_flow
from pcavs.train.run import run
from pcavs.train.stage import Drawing, Drawn, TrainingHeads
from pcavs.train.sync import SyncStage
from pcavs.weights.bundle import load_bundle

OVERFIT_STEPS = 60
"""A quarter of a minute on one core; the flow error is then at a fifth."""


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
    "generator": {"stage": "generator", "precision": "bf16-mixed", "judges": ("mouth", "face"), "sync_every": 2},
    "generator f32": {"stage": "generator", "precision": "32-true"},
    "paper": {"stage": "generator", "kind": "paper", "precision": "32-true", "judges": ("mouth", "face")},
}


@pytest.mark.parametrize("chosen", EXACT.values(), ids=EXACT.keys())
def test_two_steps_and_two_more_are_four(chosen, drawn_packs: Path, tmp_path: Path, monkeypatch):
    whole = run(tiny(drawn_packs, tmp_path / "whole", **chosen))
    with monkeypatch.context() as patched:
        take = train_run._take

        def killed(session: object, drawn: Drawn, step: int, rate: float):
            if step == 3:
                raise KeyboardInterrupt
            return take(session, drawn, step, rate)  # pyright: ignore[reportArgumentType]

        patched.setattr(train_run, "_take", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tiny(drawn_packs, tmp_path / "halves", save_minutes=0.0, **chosen))
    assert [place.name for place in sorted((tmp_path / "halves").glob("checkpoint-*"))][-1] == "checkpoint-00000002"
    assert_same_weights(run(tiny(drawn_packs, tmp_path / "halves", **chosen)), whole)
    steps = [row["step"] for row in journal(tmp_path / "halves") if "loss" in row]
    assert steps == [1, 2, 3, 4]


def test_a_run_stops_when_it_is_told_to_and_goes_on(drawn_packs: Path, tmp_path: Path, monkeypatch):
    """Saving often must not put the stop off: it was once measured from the last checkpoint."""
    ticks = itertools.count()
    monkeypatch.setattr("pcavs.train.run.time", SimpleNamespace(monotonic=lambda: 60.0 * next(ticks)))
    stopping = tiny(drawn_packs, tmp_path, steps=5, save_minutes=1.0, stop_minutes=8.0)
    first, second, third = (run(stopping).name for _ in range(3))
    assert "checkpoint-00000002" <= first < second == third == "checkpoint-00000005"
    seconds = json.loads((tmp_path / second / "position.json").read_text())["seconds"]
    assert seconds == pytest.approx(60 * 3 * 5, rel=0.2)


def test_a_run_leaves_what_it_promises(drawn_packs: Path, tmp_path: Path):
    place = run(tiny(drawn_packs, tmp_path, stage="generator"))
    assert sorted(file.name for file in place.iterdir()) == [
        *("average.safetensors", "done", "heads.safetensors", "optimizers.pt", "position.json", "talker.safetensors")
    ]
    assert (tmp_path / "previews" / "00000004.png").stat().st_size > 1000
    assert tomllib.loads((tmp_path / "options.toml").read_text())["stage"] == "generator"
    for name in ("best.safetensors", "latest.safetensors"):
        provenance = load_bundle(tmp_path / name).provenance
        assert provenance["steps"] == "4"
        assert len(json.loads(provenance["pose_probe"])["weights"]) == 13
    assert list((tmp_path / "tensorboard").iterdir())
    rows = journal(tmp_path)
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 4]
    assert {"loss", "flow", "zero_flow", "seconds_a_step", "waited_s"} <= set(rows[0])
    assert {"lips_heard", "lips_shifted", "mouth_heard", "found_of_32"} <= set(rows[-1]["validation"])  # pyright: ignore


def test_a_contrast_at_the_chance_level_is_said_once(drawn_packs: Path, tmp_path: Path, monkeypatch, caplog):
    monkeypatch.setattr("pcavs.train.journal.ALARM_STEP", 2)
    monkeypatch.setattr("pcavs.train.journal.CHANCE_LEFT", 10.0)
    with caplog.at_level(logging.WARNING):
        run(tiny(drawn_packs, tmp_path, stage="sync"))
    assert caplog.text.count("is at the chance level, 0.500, after 2 steps") == 1
    assert [row["step"] for row in journal(tmp_path) if "alarm" in row] == [2]


def test_shards_without_a_ledger_are_one_line(tmp_path: Path):
    options = dataclasses.replace(tiny(tmp_path, tmp_path / "run"), packs=(), shards=(tmp_path,))
    with pytest.raises(DataError, match="no ledger in .*; `pcavs prepare` makes shards with one") as caught:
        run(options)
    assert "\n" not in str(caught.value)


def test_data_that_go_while_training_cost_no_checkpoint(drawn_packs: Path, tmp_path: Path, monkeypatch):
    """What a shard that was deleted says, in the thread that draws ahead, is what the run says."""
    whole = Drawing.draw

    def gone(drawing: Drawing, library: object, step: int) -> Drawn:
        if step == 3:
            raise DataError("shard-000.tar is gone")
        return whole(drawing, library, step)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patched:
        patched.setattr(Drawing, "draw", gone)
        with pytest.raises(DataError, match="shard-000.tar is gone"):
            run(tiny(drawn_packs, tmp_path, save_minutes=0.0))
    assert RunFolder(tmp_path).checkpoints()[-1].name == "checkpoint-00000002"
    assert run(tiny(drawn_packs, tmp_path)).name == "checkpoint-00000004"


def test_a_full_disk_is_one_line_and_costs_no_run(drawn_packs: Path, tmp_path: Path, monkeypatch):
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
    average, talker = load_file(before / "average.safetensors"), load_file(after / "talker.safetensors")
    assert all(np.array_equal(talker[name], value) for name, value in average.items() if "running" not in name)


def test_the_average_lags_behind_the_weights(drawn_packs: Path, tmp_path: Path):
    place = run(tiny(drawn_packs, tmp_path, warmup_steps=0))
    name = "motion.content_head.0.weight"
    talker, average = (load_file(place / f"{part}.safetensors")[name] for part in ("talker", "average"))
    assert not np.array_equal(talker, average)


@pytest.mark.parametrize("stage", ["sync", "generator"])
def test_a_batch_that_is_not_finite_is_skipped(stage: str, drawn_packs: Path, tmp_path: Path, monkeypatch, caplog):
    """Weights, their average and the running statistics of the normalisations stay as they were."""
    kind = SyncStage if stage == "sync" else GeneratorStage
    drawn = kind.batch

    def poisoned(self: object, step: int) -> Drawn:
        good = drawn(self, step)  # pyright: ignore[reportArgumentType]
        if step != 2:
            return good
        nan = float("nan")
        return good._replace(augmented=good.augmented * nan, batch=good.batch._replace(mel=good.batch.mel * nan))

    monkeypatch.setattr(kind, "batch", poisoned)
    with caplog.at_level(logging.WARNING):
        place = run(tiny(drawn_packs, tmp_path, stage=stage, steps=3, decay_steps=0))
    assert "step 2: the gradient is not finite; the step is skipped" in caplog.text
    assert all(np.isfinite(value).all() for value in weights(place).values())
    rows = journal(tmp_path)
    assert [row.get("skipped", 0) for row in rows if "lr" in row] == [0, 1, 0]
    assert "NaN" not in (tmp_path / "journal.jsonl").read_text()


def test_pictures_alone_train_the_generator(tmp_path: Path, caplog):
    """Held-out clips without speech once ended such a run at its first validation."""
    clips = [drawn_clip("said", frames=4), drawn_clip("still", frames=4, heard=False)]
    clips += [drawn_clip("kept", frames=4, heard=False, split="val")]
    write_packs(clips, tmp_path / "packs", frame_px=64)
    with caplog.at_level(logging.WARNING):
        run(tiny(tmp_path / "packs", tmp_path / "run", stage="generator", steps=2, decay_steps=0))
    assert "no clip with speech is held out" in caplog.text


@pytest.mark.timeout(600)
def test_one_batch_is_learnt_by_heart(tmp_path: Path, tiny_spec: TalkerSpec):
    """The overfit test: on one batch of 20 pairs the flow error more than halves, and the picture moves with it.

    Codes that do not reach the flow, a warp that points the wrong way, or landmarks of another frame fail here.
    """
    clips = [drawn_clip(f"pair-{n}", frames=12) for n in range(5)]
    write_packs(clips, tmp_path / "packs", frame_px=64)
    library = Library.load([tmp_path / "packs" / "pack-000.safetensors"], "train")
    torch.manual_seed(0)
    options = tiny(tmp_path / "packs", tmp_path, stage="generator", clips=5, moments=4, sync_every=0)
    talker, heads = build_model(tiny_spec), TrainingHeads(tiny_spec, 80)
    stage = GeneratorStage(talker, heads, library, options)
    batch, rebuild = stage.batch(1).batch, stage.phases[1]
    assert len(batch.target) == 20
    optimizer = torch.optim.AdamW(stage.modules.parameters(), lr=2e-3, betas=(0.9, 0.99))
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for step in range(OVERFIT_STEPS):
        optimizer.param_groups[0]["lr"] = 2e-3 * min(1.0, (step + 1) / 20)
        generator = torch.Generator().manual_seed(step)
        augmented = destroy_identity(batch.target, generator)
        loss, terms = rebuild.loss(Drawn(batch, augmented, torch.rand(2, 20, generator=generator)), step, {})
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(stage.modules.parameters(), 5.0)
        optimizer.step()
        last = {name: float(value.detach()) for name, value in terms.items()}
        first = first or last
    assert first["flow"] > 0.9 * first["zero_flow"]
    assert last["flow"] < 0.35 * last["zero_flow"]
    # The picture follows: the flow alone, no colours, lays the mouth on the target's mouth.
    with torch.no_grad():
        picture, mouth = batch.identity.repeat_interleave(4, dim=0), mouth_masks(batch.target_mesh, 64)[1]
        driving = Codes(talker.encode_lips(batch.target), batch.pose)
        fields = talker.render(repeat_flow(talker.encode_identity(batch.identity), 4), driving)
        moved = compose(picture, fields._replace(mask=torch.ones_like(fields.mask)))
        apart, before = (((made - batch.target).abs() * mouth).sum() for made in (moved, picture))
    assert apart < 0.6 * before
