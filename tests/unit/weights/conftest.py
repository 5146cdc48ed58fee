"""A release of tiny networks in the published layout, written once per session."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from helpers.release import Release, write_release
from pcavs.spec import TINY_PAPER, TalkerSpec

TINY = TalkerSpec(kind="paper", paper=TINY_PAPER)


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny() -> TalkerSpec:
    return TINY


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Release]:
    folder = tmp_path_factory.mktemp("release")
    return folder, write_release(folder, TINY_PAPER)


@pytest.fixture
def release(_made: tuple[Path, Release], tmp_path: Path) -> Path:
    """Returns a fresh folder with the four files, and `forward.npz` with what they compute."""
    folder = tmp_path / "release"
    folder.mkdir()
    for file in _made[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture
def change(release: Path) -> Callable[[str, Callable[[dict[str, torch.Tensor]], object]], None]:
    """Returns a function that changes the tensors of one file: (label, change)."""

    def rewrite(label: str, alter: Callable[[dict[str, torch.Tensor]], object]) -> None:
        path = release / f"latest_net_{label}.pth"
        tensors = torch.load(path, weights_only=True)
        alter(tensors)
        torch.save(tensors, path)

    return rewrite
