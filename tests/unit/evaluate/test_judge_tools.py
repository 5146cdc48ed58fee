"""The scripts that train the sync judge and compare judges."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from helpers.drawn import drawn_clip
from pcavs.data.pack import write_packs
from pcavs.metrics.sync import SyncJudge, shipped_judge


@pytest.fixture
def trainer(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(root / "scripts"))
    return importlib.import_module("train_judge")


@pytest.fixture
def measurer(trainer: ModuleType) -> ModuleType:
    return importlib.import_module("measure_judge")


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    """Packs of four training clips, two held-out clips, and one shorter than a step's segment."""
    facts = {"speaker": "somebody", "source": "GRID", "split": "train"}
    clips = [drawn_clip(f"train-{n}", frames=36, speaker=f"s{n}", source="GRID", split="train") for n in range(4)]
    clips += [drawn_clip(f"val-head-000{n}", frames=36, speaker="x", source="GRID", split="val") for n in range(2)]
    clips.append(drawn_clip("short", frames=12, **facts))
    write_packs(clips, tmp_path / "packs", frame_px=64)
    return tmp_path / "packs"


def test_clips_shorter_than_a_segment_are_skipped(trainer, packs: Path, tmp_path: Path):
    clips = trainer.load([packs], "train", tmp_path)
    assert sorted(clip.key for clip in clips) == ["train-0", "train-1", "train-2", "train-3"]
    kept = trainer.load([packs], "train", tmp_path)
    assert [clip.speaker for clip in kept] == [clip.speaker for clip in clips]
    assert np.array_equal(kept[0].crops, clips[0].crops)


def test_judge_is_trained_exported_and_compared_with_the_shipped_one(
    trainer, measurer, packs: Path, tmp_path: Path, monkeypatch, capsys
):
    monkeypatch.setattr(trainer, "BATCH_CLIPS", 3)
    new, cache = tmp_path / "new", tmp_path / "cache"
    words = [
        "train_judge",
        "--packs",
        packs,
        "--out",
        cache,
        "--minutes",
        0.02,
        "--export",
        new,
        "--name",
        "judge-t",
    ]
    monkeypatch.setattr("sys.argv", [str(word) for word in [*words, "--trained-on", "drawings"]])
    trainer.main()
    facts = SyncJudge(new).facts
    assert facts["trained_on"] == "drawings"
    assert json.dumps(facts["held_out"]).count("window 5") == 1, "one group is held out"
    words = ["measure_judge", "--judges", shipped_judge(), new, "--packs", packs, "--out", cache, "--known", "x"]
    monkeypatch.setattr("sys.argv", [str(word) for word in words])
    measurer.main()
    head, _, old_row, new_row, *_, gain = capsys.readouterr().out.splitlines()
    assert head.startswith("| held out | judge |")
    for row, name in ((old_row, "pcavs-judge-v"), (new_row, "judge-t |")):
        assert row.startswith(f"| GRID, trained on | {name}")
        assert len(row.split("|")) == len(head.split("|"))
    assert gain.endswith("over 2 clips")


def test_both_scripts_score_a_clip_alike(trainer, measurer, packs: Path, tmp_path: Path):
    clip = trainer.load([packs], "val", tmp_path)[0]
    judge = SyncJudge()
    embedded = judge.embed_sound(measurer.windows(clip))
    assert embedded.shape == judge.embed_mouth(clip.crops, clip.lips).shape == (32, 128)
    (row,) = measurer.measured(judge, [clip])
    assert row["matched"] == pytest.approx(
        trainer.score_sync(judge.embed_mouth(clip.crops, clip.lips), embedded).confidence
    )


def test_renders_are_grouped_by_language(trainer, measurer, packs: Path, tmp_path: Path):
    clip = trainer.load([packs], "val", tmp_path)[0]
    truth = tmp_path / "renders" / "val" / "head" / "0000.json"
    truth.parent.mkdir(parents=True)
    truth.write_text(json.dumps({"language": "sv"}))
    assert measurer.group_of(clip, tmp_path / "renders", []) == "renders, sv"
    assert measurer.group_of(clip._replace(key="val-head-0000@1"), tmp_path / "renders", []) == "renders, sv"
    truth.write_text(json.dumps({"language": "en", "speech": "recording"}))
    assert measurer.group_of(clip, tmp_path / "renders", []) == "renders, en, recorded"
    assert measurer.group_of(clip, None, []) == "GRID, never seen"
    assert measurer.group_of(clip, None, ["x"]) == "GRID, trained on"
