"""Parity with the published code: its recorded results where available, otherwise those of `helpers.published`."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.release import record, write_release
from pcavs import cli
from pcavs.errors import InputError
from pcavs.spec import TINY_PAPER, PaperSpec, TalkerSpec
from pcavs.weights.options import ParityOptions
from pcavs.weights.parity import LIMIT, Parity, run

TINY = TalkerSpec(kind="paper", paper=TINY_PAPER)

RECORDED = {
    "wav_norm",
    "mel",
    "id_vec",
    "id_map",
    "audio_feat",
    "mouth_embed",
    "ref_pose_code",
    "drv_noid",
    "drv_headpose",
    "drv_pose_code",
    "drv_mouth_visual",
    "style",
    "pre_tanh_driven",
    "out_driven",
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    write_release(folder, TINY_PAPER, seed=3)
    return folder


def parity(folder: Path, **choices) -> Parity:
    return run(ParityOptions(checkpoints=folder, arrays=folder / "forward.npz", **choices), TINY)


def test_both_runtimes_equal_the_reference(release: Path):
    table = parity(release)
    assert table.columns == ("sound", "torch f32", "openvino f32")
    assert {row.name for row in table.rows} == RECORDED - {"wav_norm", "mel"}
    for row in table.rows:
        assert row.ok, row
        assert row.limit == 1e-4
        assert row.differences[0] is None
    assert table.lines[-1] == "all arrays within limits"


def test_bf16_has_wider_limits(release: Path):
    table = parity(release, precision="bf16", runtime="torch")
    assert table.columns == ("sound", "torch bf16")
    assert {row.limit for row in table.rows} == {LIMIT["bf16"]}
    assert max(row.differences[1] for row in table.rows) > 1e-4


@pytest.mark.parametrize("name", ["id_map", "audio_feat", "drv_pose_code", "pre_tanh_driven"])
def test_a_difference_is_found_and_printed(release: Path, tmp_path: Path, monkeypatch, capsys, name):
    arrays = dict(np.load(release / "forward.npz"))
    arrays[name] = arrays[name].copy()
    arrays[name].flat[7] += 1e-3 * max(1, np.abs(arrays[name]).max())
    np.savez(tmp_path / "forward.npz", **arrays)
    monkeypatch.setattr("pcavs.weights.parity.run", lambda options: run(options, TINY))
    words = ["weights", "parity", "--checkpoints", str(release), "--runtime", "torch"]
    with pytest.raises(SystemExit) as end:
        cli.main([*words, "--arrays", str(tmp_path / "forward.npz")])
    assert end.value.code == 1
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed if line.endswith("FAULT")] == [name]
    assert printed[-1] == "1 of 12 arrays exceed their limits"
    with pytest.raises(SystemExit) as end:
        cli.main([*words, "--arrays", str(release / "forward.npz")])
    assert end.value.code == 0


def test_nan_exceeds_every_limit(release: Path, tmp_path: Path):
    arrays = dict(np.load(release / "forward.npz"))
    arrays["style"] = np.full_like(arrays["style"], np.nan)
    np.savez(tmp_path / "a.npz", **arrays)
    table = run(ParityOptions(checkpoints=release, arrays=tmp_path / "a.npz", runtime="torch"), TINY)
    assert [row.name for row in table.rows if not row.ok] == ["style"]


def test_sound_is_compared_if_it_was_recorded(release: Path, tmp_path: Path, shared: Path):
    recorded = np.load(shared / "oracle" / "forward_seed0.npz")
    arrays = dict(np.load(release / "forward.npz")) | {name: recorded[name] for name in ("wav", "wav_norm", "mel")}
    np.savez(tmp_path / "a.npz", **arrays)
    table = run(ParityOptions(checkpoints=release, arrays=tmp_path / "a.npz", runtime="torch"), TINY)
    assert {row.name for row in table.rows} == RECORDED
    sound = {row.name: row for row in table.rows if row.name in ("wav_norm", "mel")}
    assert all(row.ok and row.limit == 1e-6 and row.differences[1] is None for row in sound.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("in_pose"), "has no in_pose; it must hold in_id, in_pose, in_spec"),
        (
            lambda arrays: arrays.update(in_id=np.zeros((2, 1, 3, 224, 224), np.float32)),
            r"in_id has shape \(2, 1, 3, 224, 224",
        ),
        (
            lambda arrays: arrays.update(style=np.zeros((2, 5), np.float32)),
            "the recorded style has 10 numbers, but its inputs give 192",
        ),
        (lambda arrays: [arrays.pop(name) for name in RECORDED & set(arrays)], "holds inputs but no results"),
    ],
    ids=["no input", "other side", "other size", "no result"],
)
def test_wrong_arrays_are_named(release: Path, tmp_path: Path, change, message):
    arrays = dict(np.load(release / "forward.npz"))
    change(arrays)
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message) as caught:
        run(ParityOptions(checkpoints=release, arrays=tmp_path / "a.npz", runtime="torch"), TINY)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"words"])
def test_a_file_without_arrays_is_refused(release: Path, tmp_path: Path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"is no \.npz file of arrays"):
        run(ParityOptions(checkpoints=release, arrays=tmp_path / "a.npz"), TINY)


def test_recorded_arrays_are_never_unpickled(release: Path, tmp_path: Path):
    np.savez(tmp_path / "a.npz", in_id=np.array([{}], dtype=object))
    with pytest.raises(InputError, match=r"is no \.npz file of arrays"):
        run(ParityOptions(checkpoints=release, arrays=tmp_path / "a.npz"), TINY)


@pytest.fixture(scope="module", params=[0, 7])
def checkpoints(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Random checkpoints of the published size, 0.6 GB."""
    folder = tmp_path_factory.mktemp(f"seed{request.param}")
    maker = shared / "oracle" / "make_checkpoint.py"
    subprocess.run([sys.executable, str(maker), "--seed", str(request.param), "--out", str(folder)], check=True)
    yield folder
    for file in folder.iterdir():
        file.unlink()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_checkpoints_of_the_published_size(checkpoints: Path, shared: Path, tmp_path: Path):
    """Seed 0 against what the published code recorded, another seed against the plain reference of the tests."""
    arrays = shared / "oracle" / "forward_seed0.npz"
    if "seed0" not in checkpoints.name:
        arrays = tmp_path / "forward.npz"
        np.savez(arrays, **record(checkpoints, PaperSpec()))
    table = run(ParityOptions(checkpoints=checkpoints, arrays=arrays))
    assert {row.name for row in table.rows} == RECORDED - ({"wav_norm", "mel"} if arrays.parent == tmp_path else set())
    assert table.ok, "\n".join(table.lines)
