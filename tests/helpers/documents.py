"""Reads the fenced blocks of the documentation."""

import dataclasses
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from pcavs import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples" / "README.md", *sorted(ROOT.glob("docs/*.md"))]

OUTPUTS = {"out", "run", "report", "journal", "log"}
"""Settings that name what a command writes; every other path is an input."""


def blocks(page: Path, language: str) -> list[str]:
    """Returns the contents of a page's fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """Returns the words of every command in a page's `sh` blocks, without comments; `a && b` are two commands."""
    found: list[list[str]] = []
    for line in "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines():
        found.append([])
        for word in shlex.split(line, comments=True):
            if word in ("&&", ";", "|"):
                found.append([])
            else:
                found[-1].append(word)
    return [words for words in found if words]


def pcavs_arguments(words: list[str]) -> list[str] | None:
    """Returns the arguments of `pcavs` in a command, which may be started by another; None if it is not called."""
    if "--" in words[1:] and Path(words[0]).name == "torchrun":
        words = words[words.index("--") + 1 :]
    if words[1:3] == ["-m", "pcavs"]:
        return words[3:]
    return words[1:] if Path(words[0]).name == "pcavs" else None


class ParsedError(Exception):
    """Carries options out of the command line: `stop` raises it in place of running a command."""

    def __init__(self, options: Any) -> None:
        super().__init__()
        self.options = options


def stop(options: Any, *_: object) -> None:
    raise ParsedError(options)


def parsed(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[str, Any]:
    """Parses a command line without running it; returns the command's name and options, None for a call of help."""
    name = max((name for name in cli.COMMANDS if arguments[: len(name.split())] == name.split()), key=len, default="")
    words = name.split()
    rest = arguments[len(words) :]
    if name and cli.COMMANDS[name].recipe and rest and not rest[0].startswith("-") and not (ROOT / rest[0]).exists():
        rest = rest[1:]  # a recipe or run of the reader's
    with monkeypatch.context() as patched:
        patched.chdir(ROOT)
        if name:
            patched.setitem(cli.COMMANDS, name, cli.COMMANDS[name]._replace(run=f"{__name__}:stop"))
        with pytest.raises((ParsedError, SystemExit)) as ended:
            cli.main([*words, *rest])
    if isinstance(ended.value, ParsedError):
        return name, ended.value.options
    assert ended.value.code == 0, f"pcavs {' '.join(arguments)}"
    return name, None


def inputs(options: Any) -> list[Path]:
    """Returns the paths of an options record that its command reads."""
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    flat = (each for name, value in values.items() if name not in OUTPUTS for each in _each(value))
    return [value for value in flat if isinstance(value, Path)]


def outputs(options: Any) -> list[Path]:
    """Returns the paths of an options record that its command writes."""
    return [value for name in OUTPUTS for value in _each(getattr(options, name, None)) if isinstance(value, Path)]


def _each(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
