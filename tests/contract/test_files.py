"""Rules about the tree that no linter setting covers."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("src", "tests", "benchmarks", "scripts")
PYTHON_FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
MAX_FUNCTION_LINES = 60

# Written in pieces, so that this file does not hold what it forbids.
REGISTRY_HOSTS = re.compile(
    "|".join(("pypi" + r"\.org", "python" + r"hosted\.org", "npm" + r"js\.(org|com)", "download" + r"\.pytorch\.org"))
)


def tracked_text() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in found if path.is_file() and b"\0" not in path.read_bytes()[:4096]]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Counts the lines of a function's statements, without its signature and its docstring."""
    first, *rest = function.body
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    statements = rest if is_docstring else function.body
    assert function.end_lineno is not None
    return function.end_lineno - statements[0].lineno + 1 if statements else 0


def test_functions_fit_a_screen():
    long = [
        f"{path.relative_to(ROOT)}: {node.name} has {body_lines(node)} lines"
        for path in PYTHON_FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and body_lines(node) > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_annotations_stay_visible_to_the_shape_checker():
    """Postponed annotations would hide array shapes from jaxtyping."""
    pattern = re.compile(r"^from __future__ import .*annotations", re.MULTILINE)
    assert [str(path.relative_to(ROOT)) for path in PYTHON_FILES if pattern.search(path.read_text())] == []


def test_no_file_names_a_package_index():
    named = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in tracked_text()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if REGISTRY_HOSTS.search(line)
    ]
    assert named == []


def test_constraints_are_names_and_versions_only():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", line)] == []
    assert "torch==2.13.0" in lines


def test_nothing_swallows_every_error():
    """`except Exception` may stand at the door and in prepare's worker, nowhere else."""
    allowed = {"src/pcavs/cli.py", "src/pcavs/prepare/worker.py"}
    broad = {
        str(path.relative_to(ROOT))
        for path in PYTHON_FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) == "Exception")
    }
    assert broad <= allowed
