"""Recipes: settings of `pcavs train` in a TOML file, which words on the command line override.

A run folder's `options.toml` is a recipe too, so a run is continued by naming its folder.
"""

import dataclasses
import difflib
import json
import tomllib
from pathlib import Path
from typing import Any

from pcavs.errors import InputError
from pcavs.train.options import TrainOptions

OPTIONS = "options.toml"


def expand(words: list[str]) -> list[str]:
    """Replaces a recipe or a run's folder, first or after `--resume`, by its settings; given ones override them.

    Raises:
        InputError: No such recipe, not TOML, or a setting that there is not.
    """
    place = None
    if words and not words[0].startswith("-"):
        place, words = words[0], words[1:]
    elif "--resume" in words[:-1]:
        at = words.index("--resume")
        place, words = words[at + 1], words[:at] + words[at + 2 :]
    if place is None:
        return words
    given = {word.partition("=")[0][2:].replace("-", "_") for word in words if word.startswith("--")}
    settings = {name: value for name, value in read_recipe(Path(place)).items() if name not in given}
    flags = [f"--{name.replace('_', '-')}" for name, value in settings.items() if value is True]
    others = {name: value for name, value in settings.items() if not isinstance(value, bool)}
    spoken = [word for name, value in others.items() for word in (f"--{name.replace('_', '-')}", *_words(value))]
    return [*flags, *spoken, *words]


def load_options(place: Path, **changes: Any) -> TrainOptions:
    """Reads a recipe's settings, with changes, into a record; for callers other than the command line.

    Raises:
        InputError: As `expand`.
    """
    return options_from({**read_recipe(place), **changes})


def options_from(fields: dict[str, Any]) -> TrainOptions:
    """Makes a record of settings as JSON and TOML have them: paths as text, pairs as lists."""
    made = dict(fields)
    for name in ("run", "start", "vgg"):
        if made.get(name) is not None:
            made[name] = Path(made[name])
    for name in ("packs", "shards"):
        made[name] = tuple(Path(each) for each in made.get(name, ()))
    for name in ("source_weights", "term_weights"):
        made[name] = tuple((key, float(value)) for key, value in made.get(name, ()))
    made["judges"] = tuple(made.get("judges", ()))
    return TrainOptions(**made)


def read_recipe(place: Path) -> dict[str, Any]:
    """Reads a recipe's settings, by the names of `TrainOptions`.

    Raises:
        InputError: As `expand`.
    """
    path = place / OPTIONS if place.is_dir() else place
    try:
        fields = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"no recipe at {path}; give a TOML file, or the folder of a run") from error
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    known = {field.name for field in dataclasses.fields(TrainOptions)}
    settings = {name.replace("-", "_"): value for name, value in fields.items()}
    for name in settings:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"
            raise InputError(f"{path} has a setting {name}, which there is not; {meant}")
        if isinstance(settings[name], dict):
            raise InputError(f"{path}: {name} is a table; write pairs as [['a', 1.0], ['b', 2.0]]")
    return settings


def write_recipe(options: TrainOptions, path: Path) -> None:
    """Writes all settings of a run, so that the file alone can continue it."""
    rows = [
        f"{name} = {json.dumps(_plain(value))}"
        for name, value in dataclasses.asdict(options).items()
        if value is not None and value != ()
    ]
    path.write_text("\n".join(rows) + "\n")


def _words(value: Any) -> list[str]:
    if isinstance(value, list):
        return [word for each in value for word in _words(each)]
    return [str(value)]


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value
