"""The documentation's commands: each one parses, and those whose inputs exist are run.

A command of a page's `sh` blocks is run, in a copy of what the repository ships, if every file that it reads is in that
copy or was written by an earlier command of the page. Other commands name the reader's files; they are only parsed. Nor
are commands run that take minutes or need another machine.
"""

import ast
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.documents import PAGES, ROOT, blocks, commands, inputs, outputs, parsed, pcavs_arguments
from pcavs.pose.presets import PRESET_NAMES
from pcavs.pose.timeline import FORMAT, timeline_from

SHIPPED = ("examples", "recipes")
"""What the copy holds."""
NOT_RUN = {"train", "adapt", "evaluate", "synth", "serve", "worker", "live"}
"""Commands that take minutes, or run until they are stopped."""
FILM_S = "0.4"
"""Films are cut to this length unless their command gives an end."""
CALLS = {page: [each for words in commands(page) if (each := pcavs_arguments(words)) is not None] for page in PAGES}
"""Arguments of every call of `pcavs`, by page."""


def can_run(name: str, options: Any, folder: Path) -> bool:
    if options is None or name in NOT_RUN:
        return False
    pose = str(getattr(options, "pose", None))
    given = [path for path in inputs(options) if str(path) != pose or not (pose in PRESET_NAMES or "=" in pose)]
    is_inside = not any(path.is_absolute() or str(path).startswith("~") for path in (*given, *outputs(options)))
    return is_inside and all((folder / path).exists() for path in given)


def test_every_call_parses(monkeypatch: pytest.MonkeyPatch):
    assert sum(map(len, CALLS.values())) > 10
    for arguments in [arguments for calls in CALLS.values() for arguments in calls]:
        parsed(arguments, monkeypatch)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", [page for page in PAGES if CALLS[page]], ids=lambda page: page.name)
def test_calls_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property):
    for folder in SHIPPED:
        shutil.copytree(ROOT / folder, tmp_path / folder)
    ran: list[str] = []
    for arguments in CALLS[page]:
        name, options = parsed(arguments, monkeypatch)
        if can_run(name, options, tmp_path):
            short = ["--end", FILM_S] if name == "animate" and options.end is None else []
            command = [sys.executable, "-m", "pcavs", *arguments, *short]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"pcavs {' '.join(arguments)}: {done.stderr}"
            ran.append(" ".join(arguments))
    record_property("ran", ran)
    assert ran or page != ROOT / "README.md", "a reader of the README can try no command"


def test_scripts_exist_and_have_the_named_flags():
    for words in [words for page in PAGES for words in commands(page)]:
        if Path(words[0]).name.startswith("python") and words[1].endswith(".py"):
            source = (ROOT / words[1]).read_text()
            flags = [word.partition("=")[0] for word in words[2:] if word.startswith("--")]
            assert [flag for flag in flags if f'"{flag}"' not in source] == [], words


def test_python_compiles_and_its_imports_exist():
    for block in [block for page in PAGES for block in blocks(page, "python")]:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)
            elif isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == [], node.module


def test_json_is_valid_and_timelines_are_accepted():
    for block in [block for page in PAGES for block in blocks(page, "json")]:
        value = json.loads(block)
        if isinstance(value, dict) and value.get("format") == FORMAT:
            timeline_from(value, "a documented timeline", ROOT)
