"""A render's exact rotations replace those fitted to its landmarks."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from pcavs.data.shard import AlignedClip, read_ledger, read_shard
from pcavs.face.pose import angles_deg, rotation_from_angles
from pcavs.prepare import run as prepare
from pcavs.prepare.clip import exact_pose
from pcavs.prepare.options import PrepareOptions


def only_clip(out: Path) -> AlignedClip:
    (clip,) = read_shard(out / "shard-00000-0.tar")
    return clip


def test_exact_angles_become_the_pose(write_film, tmp_path: Path):
    write_film(tmp_path / "in" / "told.mp4")
    angles = np.column_stack([np.linspace(-60, 60, 12), np.zeros(12), np.full(12, 5.0)])
    (tmp_path / "in" / "told.json").write_text(json.dumps({"yaw_pitch_roll_deg": angles.tolist()}))
    prepare.run(PrepareOptions(source=tmp_path / "in", out=tmp_path / "out", workers=1))
    clip = only_clip(tmp_path / "out")
    assert clip.facts["truth"] is True
    assert next(read_ledger(tmp_path / "out"))["truth"] is True
    turned = clip.pose[:, :9].reshape(-1, 3, 3)
    between = [np.degrees(np.arccos((np.trace(a @ b.T) - 1) / 2)) for a, b in itertools.pairwise(turned)]
    np.testing.assert_allclose(between, 120 / 11, atol=0.1)


@pytest.mark.parametrize(
    "text",
    ["[" * 5000, "{", '{"yaw_pitch_roll_deg": 3}', f'{{"yaw_pitch_roll_deg": [[NaN, 0, 0]{", [0, 0, 0]" * 11}]}}'],
)
def test_an_invalid_truth_file_is_ignored(write_film, tmp_path: Path, text: str):
    """A NaN used to break the fit of rotations, and the clip was rejected as a fault."""
    write_film(tmp_path / "in" / "told.mp4")
    (tmp_path / "in" / "told.json").write_text(text)
    prepare.run(PrepareOptions(source=tmp_path / "in", out=tmp_path / "out", workers=1))
    assert only_clip(tmp_path / "out").facts["truth"] is False


def test_a_truth_of_another_length_is_ignored(write_film, tmp_path: Path):
    write_film(tmp_path / "in" / "told.mp4")
    (tmp_path / "in" / "told.json").write_text(json.dumps({"yaw_pitch_roll_deg": [[0, 0, 0]] * 5}))
    prepare.run(PrepareOptions(source=tmp_path / "in", out=tmp_path / "out", workers=1))
    assert only_clip(tmp_path / "out").facts["truth"] is False


def test_exact_angles_are_brought_into_the_crops_frame():
    """The crop is rolled by 7 degrees, and landmarks see a quarter too little yaw beyond 35 degrees."""
    rng = np.random.default_rng(0)
    truth = np.column_stack([np.linspace(-60, 60, 25), rng.normal(0, 5, 25), rng.normal(0, 3, 25)])
    level = rotation_from_angles(np.array([[0.0, 0.0, 7.0]]))[0]
    wanted = level @ rotation_from_angles(truth)
    seen = truth.copy()
    far = np.abs(seen[:, 0]) > 34
    seen[far, 0] *= 0.75
    fitted = level @ rotation_from_angles(seen)
    far = np.abs(angles_deg(fitted)[:, 0]) > 35
    code = np.concatenate([fitted.reshape(-1, 9), np.ones((25, 3))], axis=1).astype(np.float32)
    exact = exact_pose(code, truth)
    errors = np.degrees(np.linalg.norm(exact[:, :9].reshape(-1, 3, 3) - wanted, axis=(1, 2)) / np.sqrt(2))
    assert errors.max() < 4
    np.testing.assert_array_equal(exact[:, 9:], code[:, 9:])


def test_without_trusted_frames_all_frames_are_used():
    truth = np.column_stack([np.linspace(50, 60, 5), np.zeros(5), np.zeros(5)])
    code = np.concatenate([rotation_from_angles(truth).reshape(-1, 9), np.ones((5, 3))], axis=1).astype(np.float32)
    np.testing.assert_allclose(exact_pose(code, truth), code, atol=1e-6)
