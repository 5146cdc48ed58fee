"""Recipes: settings in TOML, overridden by the command line; mistakes are named."""

from pathlib import Path

import pytest

from pcavs.cli import _parse
from pcavs.errors import InputError
from pcavs.train.distributed import settle_precision
from pcavs.train.options import TrainOptions, verify
from pcavs.train.pipeline import read_pipeline
from pcavs.train.recipe import (
    RUN_RECIPE,
    expand,
    load_options,
    options_from,
    write_recipe,
)

ROOT = Path(__file__).resolve().parents[3]
RECIPES = sorted(path for path in (ROOT / "recipes").rglob("*.toml") if path.stem != "pipeline")
PIPELINES = sorted((ROOT / "recipes").rglob("pipeline.toml"))


def recipe(folder: Path, text: str) -> str:
    path = folder / "some.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_is_valid(path: Path):
    verify(_parse("train", [str(path), "--packs", "p", "--run", "r"]))
    verify(load_options(path, packs=["p"], run="r"))


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.parent.name)
def test_every_shipped_pipeline_is_valid(path: Path):
    stages = read_pipeline(_parse("train", ["--pipeline", str(path), "--packs", "p", "--run", "r"]))
    assert [stage.options.start for stage in stages] == [None, *(stage.options.run for stage in stages[:-1])]


def test_the_command_line_overrides_a_recipe(tmp_path: Path):
    place = recipe(
        tmp_path, 'stage = "generator"\nclips = 7\nsteps = 900\ndiscriminators = ["mouth"]\nfrozen_statistics = true'
    )
    words = [place, "--packs", "a", "b", "--run", "r", "--steps", "1000", "--discriminators", "mouth", "face"]
    options = _parse("train", words)
    assert (options.stage, options.clips, options.steps) == ("generator", 7, 1000)
    assert options.discriminators == ("mouth", "face")
    assert options.packs == (Path("a"), Path("b"))
    assert options.frozen_statistics


@pytest.mark.parametrize("text", ["augment_audio = true", "augment_audio = false", ""])
def test_the_command_line_drops_a_recipes_flag(text: str, tmp_path: Path):
    words = [recipe(tmp_path, text), "--packs", "p", "--run", "r", "--no-augment-audio"]
    assert not _parse("train", words).augment_audio
    assert _parse("train", [*words[:-1], "--augment-audio"]).augment_audio


def test_a_run_of_another_version_is_refused(tmp_path: Path):
    (tmp_path / "options.toml").write_text('stage = "sync"\nvoices = "kept"\n')
    with pytest.raises(InputError, match="unknown setting voices; another version wrote this run"):
        expand([str(tmp_path)])


def test_a_run_is_its_own_recipe(tmp_path: Path):
    options = options_from(
        {
            "packs": ["p"],
            "run": str(tmp_path),
            "stage": "generator",
            "start": "before",
            "source_weights": [["GRID", 1.0], ["photos", 0.5]],
            "term_weights": [["mouth_adversarial", 0.3]],
            "discriminators": ["mouth"],
            "lr": 1e-4,
        }
    )
    write_recipe(options, tmp_path / "options.toml")
    for words in ([str(tmp_path)], ["--resume", str(tmp_path)]):
        again = _parse("train", words)
        assert again == options_from(
            {**vars(options), "packs": [Path("p").absolute()], "start": Path("before").absolute()}
        )


def test_a_misspelt_setting_is_named_with_a_suggestion(tmp_path: Path):
    place = recipe(tmp_path, "stepz = 3")
    with pytest.raises(InputError, match=r"some\.toml has an unknown setting stepz; did you mean steps\?"):
        expand([place])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = = 3", r"some\.toml is not TOML: "),
        ("[steps]\nmany = 3", r"some\.toml: steps is a table"),
        ("zzz = 3", "has an unknown setting zzz; the settings are "),
    ],
)
def test_an_invalid_recipe_is_one_line(text: str, message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message) as caught:
        expand([recipe(tmp_path, text)])
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_is_one_line(tmp_path: Path):
    with pytest.raises(InputError, match="no recipe at .*; give a TOML file, or the folder of a run"):
        expand(["--resume", str(tmp_path)])


def test_settings_without_a_recipe_stay_as_they_are():
    words = ["--packs", "p", "--run", "r"]
    assert expand(words) == words


def test_the_default_needs_data():
    with pytest.raises(InputError, match="neither packs nor shards are given"):
        verify(TrainOptions(run=Path("r")))
    with pytest.raises(InputError, match="both packs and shards are given"):
        verify(TrainOptions(run=Path("r"), packs=(Path("p"),), shards=(Path("s"),)))


@pytest.mark.parametrize(("has_bf16", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_the_processor_decides_the_precision(has_bf16: bool, precision: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("pcavs.train.distributed.cpu_has_bf16", lambda: has_bf16)

    assert settle_precision(TrainOptions(run=tmp_path, device="cpu")).precision == precision


def test_a_gpu_trains_in_bf16_whatever_the_processor(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("pcavs.train.distributed.cpu_has_bf16", lambda: False)

    assert settle_precision(TrainOptions(run=tmp_path, device="cuda")).precision == "bf16-mixed"


def test_a_run_keeps_its_precision_on_another_machine(tmp_path: Path, monkeypatch):
    write_recipe(TrainOptions(run=tmp_path, precision="bf16-mixed"), tmp_path / RUN_RECIPE)
    monkeypatch.setattr("pcavs.train.distributed.cpu_has_bf16", lambda: False)

    assert settle_precision(TrainOptions(run=tmp_path, device="cpu")).precision == "bf16-mixed"
