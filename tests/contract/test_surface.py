"""What users hold on to: commands, their settings, public names. Meant changes: `pytest tests/contract --repin`."""

import dataclasses
import importlib
import inspect
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pcavs import cli

ROOT = Path(__file__).resolve().parents[2]
PINNED = Path(__file__).with_name("pinned.txt")
PUBLIC = {
    "pcavs": ["load", "__version__"],
    "pcavs.animate.talker": ["Talker.animate"],
    "pcavs.animate.film": [
        f"Film.{name}" for name in ("frames", "save", "num_frames", "offset", "side_px", "size_px", "notes", "tags")
    ],
    "pcavs.errors": ["PcavsError", "InputError", "FaceError", "OutputError", "WeightsError", "DataError"],
}
HELP_CPU_S = 0.6
"""Aim: 0.2 s. Processor time, so that a busy machine does not fail it; loading OpenVINO or torch would."""


def record_of(command: str) -> Any:
    module, _, name = cli.COMMANDS[command].options.partition(":")
    return getattr(importlib.import_module(module), name)


def flags(command: str) -> list[str]:
    return sorted(f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(record_of(command)))


def public(module: str, dotted: str) -> str:
    found: Any = importlib.import_module(module)
    for name in dotted.split("."):
        fields = {field.name: field for field in dataclasses.fields(found)} if dataclasses.is_dataclass(found) else {}
        found = fields.get(name) or getattr(found, name)
    if isinstance(found, type):
        return f"class({', '.join(base.__name__ for base in found.__bases__)})"
    if callable(found):
        return re.sub(r"pathlib\._local\.|pathlib\.", "", str(inspect.signature(found)))
    return type(found).__name__


def surface() -> list[str]:
    settings = [f"pcavs {command} {flag}" for command in cli.COMMANDS for flag in flags(command)]
    return [*settings, *(f"{module}.{name}: {public(module, name)}" for module in PUBLIC for name in PUBLIC[module])]


def test_commands_and_names_are_those_that_were_promised(request: pytest.FixtureRequest):
    now = surface()
    if request.config.getoption("--repin"):
        PINNED.write_text("\n".join(now) + "\n")
    promised = PINNED.read_text().splitlines()
    assert [line for line in promised if line not in now] == [], "gone"
    assert [line for line in now if line not in promised] == [], "new"


def test_animate_has_what_was_asked_for():
    media = {"--identity", "--audio", "--pose", "--out", "--size", "--start", "--end"}
    assert media | {"--seed", "--device", "--quiet", "--json", "--overwrite"} <= set(flags("animate"))


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_help_is_quick_and_light(command: str):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    words = [sys.executable, "-m", "pcavs", *command.split(), "--help"]
    wide = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    ran = subprocess.run(words, capture_output=True, text=True, check=False, env=wide)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ran.returncode == 0, ran.stderr
    asked = flags(command) if command else [name.split()[0] for name in cli.COMMANDS]
    assert [each for each in asked if each not in ran.stdout] == []
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < HELP_CPU_S


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_setting_is_explained(command: str):
    """A setting without a docstring would stand in the help with nothing beside it."""
    record = record_of(command)
    source = inspect.getsource(sys.modules[record.__module__])
    for field in dataclasses.fields(record):
        assert re.search(rf'^    {field.name}: .*(?:\n(?!    """).*)*\n    """', source, re.MULTILINE), field.name


def test_commands_in_the_docs_exist_with_their_settings():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = "\n".join(block for page in pages for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL))
    lines = re.findall(r"^(?:\S*/)?pcavs (.*?)(?:\s+#.*)?$", blocks.replace("\\\n", " "), re.MULTILINE)
    assert lines
    for line in lines:
        command = max((name for name in cli.COMMANDS if line.startswith(name)), key=len, default=None)
        assert command, f"no such command: pcavs {line}"
        assert set(re.findall(r"--[a-z][a-z-]*", line)) <= {*flags(command), "--help"}, line
