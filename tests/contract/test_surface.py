"""The public interface: commands, their settings, public names.

After an intended change, `pytest tests/contract --repin` writes pinned.txt again.
"""

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
        f"Film.{name}"
        for name in ("frames", "save", "num_frames", "offset", "side_px", "size_px", "is_transparent", "notes", "tags")
    ],
    "pcavs.errors": ["PcavsError", "InputError", "FaceError", "OutputError", "WeightsError", "DataError"],
}
HELP_CPU_S = 1.0
"""Limit of the processor time of `--help`, which needs 0.2 to 0.7 s by processor; importing OpenVINO would add as much,
torch more."""


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


def interface() -> list[str]:
    settings = [f"pcavs {command} {flag}" for command in cli.COMMANDS for flag in flags(command)]
    names = [f"{module}.{name}: {public(module, name)}" for module in PUBLIC for name in PUBLIC[module]]
    return [*sorted(settings), *names]


def test_commands_and_names_are_those_of_the_pinned_list(request: pytest.FixtureRequest):
    current = interface()
    if request.config.getoption("--repin"):
        PINNED.write_text("\n".join(current) + "\n")
    pinned = PINNED.read_text().splitlines()
    assert [line for line in pinned if line not in current] == [], "removed"
    assert [line for line in current if line not in pinned] == [], "added"


def test_animate_has_its_main_settings():
    media = {"--identity", "--audio", "--pose", "--out", "--size", "--start", "--end"}
    assert media | {"--seed", "--device", "--quiet", "--json", "--overwrite"} <= set(flags("animate"))


@pytest.mark.parametrize("command", ["", *cli.COMMANDS])
def test_help_names_every_setting_and_loads_no_network_library(command: str):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    arguments = [sys.executable, "-m", "pcavs", *command.split(), "--help"]
    wide = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    ran = subprocess.run(arguments, capture_output=True, text=True, check=False, env=wide)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ran.returncode == 0, ran.stderr
    expected = flags(command) if command else [name.split()[0] for name in cli.COMMANDS]
    assert [each for each in expected if each not in ran.stdout] == []
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < HELP_CPU_S


def test_every_setting_has_a_docstring():
    """`--help` prints it."""
    for command in cli.COMMANDS:
        record = record_of(command)
        source = inspect.getsource(sys.modules[record.__module__])
        for field in dataclasses.fields(record):
            pattern = rf'^    {field.name}: .*(?:\n(?!    """).*)*\n    """'
            assert re.search(pattern, source, re.MULTILINE), f"{command} --{field.name}"
