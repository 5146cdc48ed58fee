"""Pipelines of stages: run through, killed and continued, estimated; settings that do not fit are named."""

import itertools
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from pcavs import cli
from pcavs.errors import InputError
from pcavs.models.build import build_model
from pcavs.models.state import tensors_of
from pcavs.train import run as train_run
from pcavs.train.checkpoint import load_start
from pcavs.train.options import TrainOptions
from pcavs.train.pipeline import read_pipeline, run_training
from pcavs.train.recipe import write_recipe
from pcavs.weights.bundle import load_bundle
from pcavs.weights.locate import find_weights

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "recipes/tiny/pipeline.toml"
STAGES = ["1-identity", "2-visual", "3-sync", "4-generator"]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def called(packs: Path, folder: Path, *words: object, pipeline: Path = TINY) -> TrainOptions:
    fixed = ["--pipeline", str(pipeline), "--packs", str(packs), "--run", str(folder), "--device", "cpu"]
    return cli._parse("train", [*fixed, "--precision", "32-true", *map(str, words)])


def weights(place: Path) -> dict[str, np.ndarray]:
    return load_file(place / "average.safetensors")


@pytest.fixture(scope="module")
def whole(drawn_packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pipeline that was run without a break."""
    folder = tmp_path_factory.mktemp("pipeline") / "whole"
    last = run_training(called(drawn_packs, folder))
    assert last == folder / "4-generator/checkpoint-00000004"
    return folder


def test_a_pipeline_that_is_killed_ends_with_the_same_weights(
    whole: Path, drawn_packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    step_of, count = train_run.train_step, itertools.count(1)

    def killed(*arguments: object):
        if next(count) % 6 == 0:
            raise KeyboardInterrupt
        return step_of(*arguments)  # pyright: ignore[reportArgumentType]

    kills = 0
    monkeypatch.setattr(train_run, "train_step", killed)
    while True:
        try:
            again = run_training(called(drawn_packs, tmp_path / "killed", "--save-minutes", "0"))
            break
        except KeyboardInterrupt:
            kills += 1
    assert kills >= 3
    assert isinstance(again, Path)
    first, second = weights(whole / "4-generator/checkpoint-00000004"), weights(again)
    assert [name for name in first if not np.array_equal(first[name], second[name])] == []
    for name in STAGES:
        rows = [json.loads(line) for line in (tmp_path / "killed" / name / "journal.jsonl").read_text().splitlines()]
        assert {2, 4} == {row["step"] for row in rows if "loss" in row}


def test_stages_start_from_the_one_before_and_are_not_repeated(
    whole: Path, drawn_packs: Path, monkeypatch: pytest.MonkeyPatch
):
    assert sorted(place.name for place in whole.iterdir()) == STAGES
    stages = read_pipeline(called(drawn_packs, whole))
    assert [stage.name for stage in stages] == STAGES
    assert all(stage.is_done for stage in stages)
    assert [stage.options.start for stage in stages] == [None, *(whole / name for name in STAGES[:-1])]
    # The speech encoder is trained by `sync` alone, so that what `generator` begins with is what it left.
    visual, sync = (weights(whole / name / "checkpoint-00000004") for name in STAGES[1:3])
    names = [name for name in visual if name.startswith("speech.") and visual[name].dtype == np.float32]
    assert any(not np.array_equal(visual[name], sync[name]) for name in names)

    def never(*_: object):
        raise AssertionError("a stage was repeated")

    monkeypatch.setattr(train_run, "train_step", never)
    assert run_training(called(drawn_packs, whole)) == whole / "4-generator/checkpoint-00000004"


def test_stages_tell_what_trained_them_and_validate_what_is_trained(whole: Path):
    scores, chains, rows = {}, {}, []
    for name in STAGES:
        rows = [json.loads(line) for line in (whole / name / "journal.jsonl").read_text().splitlines()]
        scores[name] = set(rows[-1]["validation"])
        chains[name] = load_bundle(whole / name / "best.safetensors").provenance
    recognised, found = {"recognised", "recognised_by_chance"}, {"found_within", "found_of_32"}
    assert scores["1-identity"] == recognised
    assert scores["2-visual"] - {"pose"} == recognised | {"mouth_seen"}
    assert scores["3-sync"] - {"pose"} == recognised | found | {"mouth_heard", "mouth_shifted", "mouth_seen"}
    assert [(whole / name / "previews").exists() for name in STAGES] == [False, True, True, True]
    assert [each.get("untrained") for each in chains.values()] == ["motion speech generator", "speech", None, None]
    assert chains["4-generator"]["stages"] == "identity > visual > sync > generator"
    assert len(json.loads(chains["4-generator"]["parents"])) == 3
    # Without VGG19 weights the substitute is named.
    assert "in place of VGG19" in chains["4-generator"]["perceptual"]
    assert "in place of VGG19" in rows[0]["perceptual"]


def test_a_dry_run_times_each_stage_and_writes_nothing(drawn_packs: Path, tmp_path: Path):
    lines = run_training(called(drawn_packs, tmp_path / "run", "--dry-run"))
    assert isinstance(lines, list)
    assert [line.partition(":")[0] for line in lines] == [*STAGES, "all"]
    assert all("4 of 4 steps" in line and "s a step" in line and "MiB" in line for line in lines[:-1])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[stage]]\n", "unknown entry stage"),
        ("settings = {steps = 3}\n", r"no \[\[stages\]\]"),
        ("[[stages]]\nrecipe = 'none.toml'\n", "no recipe at"),
        ("[[stages]]\nstag = 'sync'\n", "no such setting: stag; did you mean stage"),
        ("[[stages]]\nstage = 'sync'\nmoments = 1\n", "stage 1-sync: stage sync needs moments"),
        ("[[stages]]\nstage = 'sync'\n[[stages]]\nstage = 'generator'\nkind = 'paper'\n", "differ in kind"),
        ("[[stages]", "not TOML"),
    ],
)
def test_a_pipeline_that_cannot_be_run_is_refused_before_it_starts(text: str, message: str, tmp_path: Path):
    (tmp_path / "pipeline.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        run_training(called(tmp_path, tmp_path / "run", pipeline=tmp_path / "pipeline.toml"))
    assert not (tmp_path / "run").exists()


def test_settings_of_a_stage_are_not_taken_from_the_command(tmp_path: Path):
    with pytest.raises(InputError, match=r"--lr belongs to a stage: set lr in .*pipeline.toml"):
        run_training(called(tmp_path, tmp_path / "run", "--lr", "0.1"))


def test_a_run_is_not_continued_with_settings_that_make_it_another_one(
    drawn_packs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    words = ["--packs", str(drawn_packs), "--run", str(tmp_path / "run"), "--device", "cpu", "--log-every", "1"]
    recipe = [str(ROOT / "recipes/tiny.toml"), *words, "--warmup-steps", "1", "--decay-steps", "1"]
    run_training(cli._parse("train", [*recipe, "--steps", "2"]))
    begun = (tmp_path / "run/options.toml").read_text()
    with pytest.raises(InputError, match=r"was begun with lr 0.0005, not 0.01; leave --lr out, or give a new --run"):
        run_training(cli._parse("train", [*recipe, "--steps", "3", "--lr", "0.01"]))
    assert (tmp_path / "run/options.toml").read_text() == begun
    run_training(cli._parse("train", [*recipe, "--steps", "3"]))
    assert "steps is 3 from now on; the run was begun with 2" in caplog.text
    rows = [json.loads(line) for line in (tmp_path / "run/journal.jsonl").read_text().splitlines()]
    assert {"step": 2, "changed_settings": {"steps": [2, 3]}} in rows


def test_a_run_starts_from_the_talker_in_the_package_by_its_name(drawn_packs: Path, tmp_path: Path):
    shipped = find_weights().bundle
    assert shipped is not None
    bundle = load_bundle(shipped)
    model = build_model(bundle.spec)
    load_start(Path("default"), torch.nn.ModuleDict({"model": model}), bundle.spec)
    made = tensors_of(model)
    assert all(np.array_equal(made[name], value) for name, value in bundle.tensors.items() if name in made)
    options = TrainOptions(run=tmp_path / "run", packs=(drawn_packs,), start=Path("default"))
    write_recipe(options, tmp_path / "options.toml")
    assert tomllib.loads((tmp_path / "options.toml").read_text())["start"] == "default"
