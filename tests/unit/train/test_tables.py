"""The benchmarks that read training runs."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from pcavs.train.options import TrainOptions
from pcavs.train.run import run


@pytest.fixture
def tool(root: Path) -> Callable[[str], ModuleType]:
    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, root / "benchmarks" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_what_a_code_explains_is_found_on_frames_that_were_not_fitted(tool):
    rng = np.random.default_rng(0)
    code, noise = rng.normal(size=(640, 4)), rng.normal(size=(640, 3))
    explained = tool("ablation_table").explained
    assert explained(code, code @ rng.normal(size=(4, 3))) > 0.99
    assert explained(code, noise) < 0.05


def test_the_table_scores_finished_runs_alone(tool, drawn_packs: Path, tmp_path: Path, monkeypatch, capsys):
    settings = {"packs": (drawn_packs,), "size": "tiny", "clips": 2, "moments": 2, "device": "cpu"}
    short = {"stage": "generator", "steps": 1, "warmup_steps": 0, "decay_steps": 0, "precision": "32-true"}
    for seed in (0, 1):
        run(TrainOptions(run=tmp_path / "base" / str(seed), seed=seed, **settings, **short))
    (tmp_path / "base" / "2").mkdir()
    table = tool("ablation_table")
    monkeypatch.setattr(table, "DRAWS", 2)
    monkeypatch.setattr("sys.argv", ["ablation_table", str(tmp_path)])
    table.main()
    head, _, row = capsys.readouterr().out.splitlines()
    assert row.startswith("| base | 2 | ")
    assert row.count("±") == len(table.COLUMNS) == head.count("|") - 3
    lips = float(row.split("|")[3].split("±")[0])
    assert lips == pytest.approx(1, abs=0.3), "an untrained flow is none"


def test_the_table_leaves_out_what_a_stage_does_not_train(tool, drawn_packs: Path, tmp_path: Path, monkeypatch, capsys):
    settings = {"packs": (drawn_packs,), "kind": "paper", "size": "tiny", "pose_head": "free", "device": "cpu"}
    short = {"stage": "visual", "clips": 2, "moments": 2, "steps": 1, "warmup_steps": 0, "decay_steps": 0}
    run(TrainOptions(run=tmp_path / "base" / "0", **settings, **short))
    table = tool("ablation_table")
    monkeypatch.setattr(table, "DRAWS", 2)
    monkeypatch.setattr("sys.argv", ["ablation_table", str(tmp_path)])
    table.main()
    *_, row = capsys.readouterr().out.splitlines()
    cells = dict(zip(table.COLUMNS, row.split(" | ")[2:], strict=True))
    assert cells["found of 32"] == cells["lips in speech"] == "-", "no speech was heard"
    assert float(cells["lips in content"]) <= 1


def test_journals_become_a_picture(tool, tmp_path: Path, monkeypatch):
    rows = [{"step": step, "loss": 1.0, "named": step / 100} for step in (20, 40, 60)]
    rows.insert(2, {"step": 40, "validation": {"recognised": 0.5}})
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    plot = tool("plot_journals")
    words = ["title", str(tmp_path), "named", "validation.recognised", "chance=0.1"]
    panel = plot.read_panel(words)
    assert panel.curves == {"named": [(20, 0.2), (40, 0.4), (60, 0.6)], "validation.recognised": [(40, 0.5)]}
    assert panel.chance == 0.1
    assert [plot.round_up(value) for value in (0.6, 1.2, 8.0, 0.051)] == pytest.approx([0.75, 1.5, 10, 0.075])
    out = tmp_path / "curves.png"
    monkeypatch.setattr(
        "sys.argv", ["plot_journals", str(out), *(word for _ in range(3) for word in ["--panel", *words])]
    )
    plot.main()
    picture = cv2.imread(str(out))
    assert picture is not None
    assert picture.shape == (2 * plot.HEIGHT_PX, 2 * plot.WIDTH_PX, 3)
    assert picture[-plot.HEIGHT_PX :, plot.WIDTH_PX :].min() == 255, "the fourth panel is empty"
    assert picture[: plot.HEIGHT_PX, : plot.WIDTH_PX].min() < 60
