"""What every test may ask for: the examples, a tiny spec and, where a machine has them, the shared clips."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from helpers.drawn import write_drawn_packs
from pcavs.spec import TINY_FLOW, TalkerSpec

ROOT = Path(__file__).resolve().parents[1]

# A busy machine is no fault of the code, so no example has a deadline; CI draws the same examples each time.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--repin", action="store_true", help="write tests/contract/pinned.txt anew: a meant change")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def examples() -> Path:
    """The inputs that the project made and ships: face.jpg, speech.wav, pose.mp4."""
    return ROOT / "examples"


@pytest.fixture(scope="session")
def composite() -> Path:
    """A rendered face of nobody, 512 px, frontal, evenly lit: what tests measure."""
    return ROOT / "tests" / "data" / "composite.jpg"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real clips for looking and measuring; a test that asks for them is skipped where they are missing."""
    folder = Path(os.environ.get("PCAVS_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip("no shared clips here: set PCAVS_SHARED to their folder")
    return folder


@pytest.fixture(scope="session")
def tiny_spec() -> TalkerSpec:
    """A talker of under a million parameters."""
    return TalkerSpec(flow=TINY_FLOW)


@pytest.fixture(scope="session")
def drawn_packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packs of a drawn talking face, 64 px: clips with speech, one without, two held out."""
    return write_drawn_packs(tmp_path_factory.mktemp("packs"))
