"""Checkpoints: complete or ignored, the newest two kept, and read strictly."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pcavs.errors import OutputError, WeightsError
from pcavs.models.build import build_model
from pcavs.models.state import tensors_of
from pcavs.spec import TINY_PAPER, TalkerSpec
from pcavs.train import checkpoint
from pcavs.train.checkpoint import Position, RunFolder, load_checkpoint, load_start
from pcavs.train.stage import TrainingHeads
from pcavs.weights.bundle import load_bundle


class Parts:
    """A tiny model after one step of its optimiser."""

    def __init__(self, spec: TalkerSpec, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.spec, self.facts = spec, {"stages": "identity > sync"}
        self.model, self.heads = build_model(spec), TrainingHeads(spec, 80)
        self.modules = nn.ModuleDict({"model": self.model, "heads": self.heads})
        self.optimizer = torch.optim.AdamW(self.modules.parameters(), lr=1e-3)
        torch.stack([parameter.sum() for parameter in self.modules.parameters()]).sum().backward()
        self.optimizer.step()
        self.average = {name: torch.from_numpy(value) * 0.5 for name, value in tensors_of(self.model).items()}

    def save(self, folder: Path, step: int) -> Path:
        return RunFolder(folder).save(
            Position(step, 12.5), self.spec, self.modules, self.average, {"model": self.optimizer}, self.facts
        )


@pytest.fixture(scope="module")
def parts(tiny_spec: TalkerSpec) -> Parts:
    return Parts(tiny_spec)


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]):
    assert a.keys() == b.keys()
    for name, value in a.items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(value, b[name]), name


def test_everything_is_restored(parts: Parts, tiny_spec: TalkerSpec, tmp_path: Path):
    place, other = parts.save(tmp_path, 7), Parts(tiny_spec, seed=1)
    position, average = load_checkpoint(place, other.modules, {"model": other.optimizer})
    assert position == Position(7, 12.5)
    assert_equal(other.modules.state_dict(), parts.modules.state_dict())
    assert_equal(average, parts.average)
    for a, b in zip(other.optimizer.state.values(), parts.optimizer.state.values(), strict=True):
        assert_equal(a, b)


def test_the_newest_two_are_kept(parts: Parts, tmp_path: Path):
    for step in (10, 9000, 200_000):
        parts.save(tmp_path, step)
    names = ["checkpoint-00009000", "checkpoint-00200000"]
    assert [place.name for place in RunFolder(tmp_path).checkpoints()] == names
    assert sorted(place.name for place in tmp_path.iterdir()) == names


@pytest.mark.parametrize("name", ["model", "average", "heads", "optimizer", "position"])
def test_a_run_killed_between_two_files_resumes_from_the_checkpoint_before(
    name: str, parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    before = parts.save(tmp_path, 10)

    def killed(*arguments: object, **_: object):
        if name in str(arguments):
            raise KeyboardInterrupt
        return

    with monkeypatch.context() as patched:
        if name in ("model", "average", "heads"):
            patched.setattr(checkpoint, "save_bundle", killed)
        else:
            patched.setattr(torch, "save", killed)
            patched.setattr(Path, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            parts.save(tmp_path, 20)
    assert (tmp_path / "checkpoint-00000020").exists()
    assert RunFolder(tmp_path).checkpoints() == [before]
    parts.save(tmp_path, 30)
    assert not (tmp_path / "checkpoint-00000020").exists()


def test_a_full_disk_is_one_line_and_costs_no_checkpoint(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = parts.save(tmp_path, 10)

    def full_disk(*_: object):
        raise RuntimeError("PytorchStreamWriter failed writing file data/0")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OutputError, match="cannot save .*free some space, then resume the run") as caught:
        parts.save(tmp_path, 20)
    assert "\n" not in str(caught.value)
    assert RunFolder(tmp_path).checkpoints() == [before]


@pytest.mark.parametrize("name", ["optimizers.pt", "position.json", "model.safetensors", "average.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "empty", "other"])
def test_a_damaged_file_is_one_line(name: str, damage: str, parts: Parts, tmp_path: Path):
    place = parts.save(tmp_path, 10)
    if damage == "missing":
        (place / name).unlink()
    else:
        (place / name).write_bytes(b"" if damage == "empty" else b"something else altogether")
    with pytest.raises(WeightsError, match="checkpoint-00000010") as caught:
        load_checkpoint(place, parts.modules, {"model": parts.optimizer})
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_stage_is_one_line(parts: Parts, tmp_path: Path):
    place = parts.save(tmp_path, 10)
    fewer = torch.optim.AdamW(parts.heads.parameters())
    with pytest.raises(
        WeightsError, match="was saved by another version or stage sync .*; give this stage a --run of its own"
    ) as caught:
        load_checkpoint(place, parts.modules, {"model": fewer})
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_version_is_one_line(parts: Parts, tmp_path: Path):
    place = parts.save(tmp_path, 10)
    (place / "model.safetensors").rename(place / "talker.safetensors")
    message = (
        r"has no model\.safetensors: it is damaged, or another version or stage sync saved it; .* a --run of its own"
    )
    with pytest.raises(WeightsError, match=message) as caught:
        load_checkpoint(place, parts.modules, {"model": parts.optimizer})
    assert "\n" not in str(caught.value)


def test_a_start_is_a_run_a_checkpoint_or_a_bundle(parts: Parts, tiny_spec: TalkerSpec, tmp_path: Path):
    """All three give the moving average."""
    parts.save(tmp_path, 10)
    place = parts.save(tmp_path, 20)
    for start in (tmp_path, place, place / "average.safetensors"):
        other = Parts(tiny_spec, seed=1)
        load_start(start, other.modules, tiny_spec)
        for name, value in tensors_of(other.model).items():
            assert torch.equal(torch.from_numpy(value), parts.average[name]), name
        assert torch.equal(other.heads.lips.weight, parts.heads.lips.weight) == start.is_dir()


def test_a_start_without_heads_is_one_line(parts: Parts, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    place = parts.save(tmp_path, 10)
    (place / "heads.safetensors").unlink()
    with caplog.at_level("INFO"):
        load_start(tmp_path, parts.modules, parts.spec)
    assert [line for line in caplog.messages if "heads" in line] == [
        f"{tmp_path} has no heads of training (readout of the lips, temperature of the contrast): they start untrained"
    ]


def test_a_start_of_another_kind_is_one_line(parts: Parts, tmp_path: Path):
    place = parts.save(tmp_path, 10)
    paper = TalkerSpec(kind="paper", paper=TINY_PAPER)
    with pytest.raises(WeightsError, match="is a flow talker, and the run trains a paper talker; add --kind flow"):
        load_start(place, nn.ModuleDict({"model": build_model(paper)}), paper)


def test_a_start_without_weights_is_one_line(parts: Parts, tmp_path: Path):
    with pytest.raises(WeightsError, match="no weights and no complete checkpoint in .*; give a run, a checkpoint"):
        load_start(tmp_path / "none", parts.modules, parts.spec)


def test_a_start_of_another_size_is_one_line(parts: Parts, tmp_path: Path):
    place = parts.save(tmp_path, 10)
    large = build_model(TalkerSpec())
    with pytest.raises(WeightsError, match=r"average\.safetensors is a talker of 64 px, .* one of 128 px; ") as caught:
        load_start(place, nn.ModuleDict({"model": large}), TalkerSpec())
    assert "\n" not in str(caught.value)


def test_a_checkpoint_has_spec_and_step(parts: Parts, tmp_path: Path):
    bundle = load_bundle(parts.save(tmp_path, 10) / "average.safetensors")
    assert bundle.spec == parts.spec
    assert bundle.provenance == {"steps": "10", "stages": "identity > sync"}
