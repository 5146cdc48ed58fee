"""Recipes: settings of `pcavs train` in a TOML file, which the command line overrides.

A run stores its settings as a recipe, `options.toml`, so that a run is continued by naming its folder.
"""

import dataclasses
import difflib
import json
import tomllib
from pathlib import Path
from typing import Any, Final

from pcavs.errors import InputError
from pcavs.media.files import write_text
from pcavs.train.options import TrainOptions
from pcavs.weights.locate import is_default

RUN_RECIPE: Final = "options.toml"
"""File of a run's folder that holds its settings."""


def expand(words: list[str]) -> list[str]:
    """Replaces a recipe among the words of a command line by its settings.

    The recipe is a TOML file or the folder of a run; it is the first word, or follows `--resume`. Settings that the
    other words give override it; `--no-NAME` drops a recipe's flag.

    Raises:
        InputError: The recipe does not exist, is not TOML, or has an unknown setting.
    """
    place = None
    if words and not words[0].startswith("-"):
        place, words = words[0], words[1:]
    elif "--resume" in words[:-1]:
        at = words.index("--resume")
        place, words = words[at + 1], words[:at] + words[at + 2 :]
    if place is None:
        return words
    settings = read_recipe(Path(place))
    switches = [field.name for field in dataclasses.fields(TrainOptions) if field.type is bool]
    dropped = {f"--no-{name.replace('_', '-')}" for name in switches}
    given = {
        word.partition("=")[0].removeprefix("--no-" if word in dropped else "--").replace("-", "_")
        for word in words
        if word.startswith("--")
    }
    settings = {name: value for name, value in settings.items() if name not in given}
    flags = [f"--{name.replace('_', '-')}" for name, value in settings.items() if value is True]
    others = {name: value for name, value in settings.items() if not isinstance(value, bool)}
    spelled = [word for name, value in others.items() for word in (f"--{name.replace('_', '-')}", *_words(value))]
    return [*flags, *spelled, *(word for word in words if word not in dropped)]


def load_options(place: Path, **changes: Any) -> TrainOptions:
    """Reads a recipe into options, with changes; for callers other than the command line.

    Raises:
        InputError: As `expand`.
    """
    return options_from({**read_recipe(place), **changes})


def options_from(fields: dict[str, Any]) -> TrainOptions:
    """Builds options from settings as JSON and TOML write them: paths as text, pairs as lists."""
    values = dict(fields)
    for name in ("run", "pipeline", "start", "vgg"):
        if values.get(name) is not None:
            values[name] = Path(values[name])
    for name in ("packs", "shards"):
        values[name] = tuple(Path(each) for each in values.get(name, ()))
    for name in ("source_weights", "term_weights"):
        values[name] = tuple((key, float(value)) for key, value in values.get(name, ()))
    values["discriminators"] = tuple(values.get("discriminators", ()))
    return TrainOptions(**values)


def read_recipe(place: Path) -> dict[str, Any]:
    """Reads the settings of a recipe or of a run's folder, by the names of `TrainOptions`.

    Raises:
        InputError: As `expand`.
    """
    path = place / RUN_RECIPE if place.is_dir() else place
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
            raise InputError(f"{path} has an unknown setting {name}; {_hint(name, known, place)}")
        if isinstance(settings[name], dict):
            raise InputError(f"{path}: {name} is a table; write pairs as [['a', 1.0], ['b', 2.0]]")
    return settings


def _hint(name: str, known: set[str], place: Path) -> str:
    if place.is_dir():
        return "another version wrote this run, so it cannot be continued: give it as --start of a new run"
    close = difflib.get_close_matches(name, known, 1)
    return f"did you mean {close[0]}?" if close else f"the settings are {', '.join(sorted(known))}"


def write_recipe(options: TrainOptions, path: Path) -> None:
    """Writes all settings of a run, with absolute paths, so that the file alone can continue it.

    Raises:
        OutputError: It cannot be written.
    """
    rows = [f"{name} = {json.dumps(value)}" for name, value in plain_settings(options).items()]
    write_text(path, "\n".join(rows) + "\n")


def plain_settings(options: TrainOptions) -> dict[str, Any]:
    """Returns the settings of a run as JSON and TOML write them, without those that are not set."""
    settings = dataclasses.asdict(options)
    return {name: _plain(value) for name, value in settings.items() if value is not None and value != ()}


def changed_settings(options: TrainOptions) -> dict[str, tuple[Any, Any]]:
    """Compares settings with those that a run was begun with.

    Returns:
        Begun and present value of each setting that differs, as JSON writes them; empty where the run has no settings.

    Raises:
        InputError: Another version wrote the run.
    """
    if not (options.run / RUN_RECIPE).exists():
        return {}
    begun = options_from({"run": options.run, **read_recipe(options.run)})
    pairs = {
        field.name: (_plain(getattr(begun, field.name)), _plain(getattr(options, field.name)))
        for field in dataclasses.fields(TrainOptions)
    }
    return {name: (old, new) for name, (old, new) in pairs.items() if old != new and name != "run"}


def _words(value: Any) -> list[str]:
    if isinstance(value, list):
        return [word for each in value for word in _words(each)]
    return [str(value)]


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value) if is_default(value) else str(value.absolute())
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value
