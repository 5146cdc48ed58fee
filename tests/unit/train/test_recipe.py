"""Recipes: settings in TOML, overridden by words, with mistakes named."""

from pathlib import Path

import pytest

from pcavs.cli import _parse
from pcavs.errors import InputError
from pcavs.train.options import TrainOptions, verify
from pcavs.train.recipe import expand, load_options, options_from, write_recipe

ROOT = Path(__file__).resolve().parents[3]
RECIPES = sorted((ROOT / "recipes").rglob("*.toml"))


def recipe(folder: Path, text: str) -> str:
    path = folder / "some.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_that_ships_agrees_with_itself(path: Path):
    verify(_parse("train", [str(path), "--packs", "p", "--run", "r"]))
    verify(load_options(path, packs=["p"], run="r"))


def test_words_override_a_recipe(tmp_path: Path):
    place = recipe(
        tmp_path, 'stage = "generator"\nclips = 7\nsteps = 900\njudges = ["mouth"]\nfrozen_statistics = true'
    )
    words = [place, "--packs", "a", "b", "--run", "r", "--steps", "1000", "--judges", "mouth", "face"]
    options = _parse("train", words)
    assert (options.stage, options.clips, options.steps) == ("generator", 7, 1000)
    assert options.judges == ("mouth", "face")
    assert options.packs == (Path("a"), Path("b"))
    assert options.frozen_statistics


def test_a_run_is_its_own_recipe(tmp_path: Path):
    options = options_from(
        {
            "packs": ["p"],
            "run": str(tmp_path),
            "stage": "generator",
            "start": "before",
            "source_weights": [["GRID", 1.0], ["photos", 0.5]],
            "term_weights": [["mouth_adversarial", 0.3]],
            "judges": ["mouth"],
            "lr": 1e-4,
        }
    )
    write_recipe(options, tmp_path / "options.toml")
    for words in ([str(tmp_path)], ["--resume", str(tmp_path)]):
        again = _parse("train", words)
        assert again == options_from(
            {**vars(options), "packs": [Path("p").absolute()], "start": Path("before").absolute()}
        )


def test_a_misspelt_key_is_named_and_the_right_one_said(tmp_path: Path):
    place = recipe(tmp_path, "stepz = 3")
    with pytest.raises(InputError, match=r"some\.toml has a setting stepz, which there is not; did you mean steps\?"):
        expand([place])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = = 3", r"some\.toml is not TOML: "),
        ("[steps]\nmany = 3", r"some\.toml: steps is a table"),
        ("zzz = 3", "has a setting zzz, which there is not; there are "),
    ],
)
def test_a_recipe_that_is_none_is_one_line(text: str, message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message) as caught:
        expand([recipe(tmp_path, text)])
    assert "\n" not in str(caught.value)


def test_a_recipe_that_is_not_there_is_one_line(tmp_path: Path):
    with pytest.raises(InputError, match="no recipe at .*; give a TOML file, or the folder of a run"):
        expand(["--resume", str(tmp_path)])


def test_settings_without_a_recipe_stay_as_they_are():
    words = ["--packs", "p", "--run", "r"]
    assert expand(words) == words


def test_the_default_needs_data():
    with pytest.raises(InputError, match="of packs and shards, neither are given"):
        verify(TrainOptions(run=Path("r")))
    with pytest.raises(InputError, match="of packs and shards, both are given"):
        verify(TrainOptions(run=Path("r"), packs=(Path("p"),), shards=(Path("s"),)))
