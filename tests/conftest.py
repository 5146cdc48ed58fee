"""Fixtures for all tests: the shipped examples, a tiny spec, drawn packs and, where a machine has them, real clips."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from helpers.drawn import write_drawn_packs
from pcavs.spec import TINY_FLOW, TalkerSpec

ROOT = Path(__file__).resolve().parents[1]

# Examples have no deadline, since a busy machine is slow; in CI they are the same in every run.
settings.register_profile("pcavs", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("pcavs")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--repin", action="store_true", help="write tests/contract/pinned.txt again")


@pytest.fixture(scope="session", autouse=True)
def signing_keys(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keeps keys, voices and compiled networks of the user out of tests and of commands that they start."""
    os.environ["PCAVS_DATA"] = str(tmp_path_factory.mktemp("data"))
    os.environ["PCAVS_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ.pop("PCAVS_VOICES", None)


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of the shipped inputs: face.jpg, speech.wav, pose.mp4."""
    return ROOT / "examples"


@pytest.fixture(scope="session")
def composite() -> Path:
    """A rendered face, 512 px, frontal and evenly lit, of nobody who exists."""
    return ROOT / "tests" / "data" / "composite.jpg"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips and recorded arrays; tests that use it are skipped where it is missing."""
    folder = Path(os.environ.get("PCAVS_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip("no shared clips; PCAVS_SHARED can name their folder")
    return folder


@pytest.fixture(scope="session")
def tiny_spec() -> TalkerSpec:
    """Spec of a talker with under a million parameters."""
    return TalkerSpec(flow=TINY_FLOW)


@pytest.fixture(scope="session")
def drawn_packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training packs of drawn talking faces, 64 px: five clips with speech, one without, two for validation."""
    return write_drawn_packs(tmp_path_factory.mktemp("packs"))
