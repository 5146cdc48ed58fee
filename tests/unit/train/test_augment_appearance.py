"""Appearance augmentation: pictures, landmarks, lip shapes and poses of a clip change together; speech stays."""

import numpy as np
import pytest
import torch

from pcavs.data.corpus import Batch
from pcavs.face.pose import canonical_face, pose_code, rotation_from_angles
from pcavs.face.regions import lips_shape, mirrored_points
from pcavs.train import augment_appearance as module
from pcavs.train.augment_appearance import augment_appearance

MOMENTS, SIDE = 2, 128
LANDMARK = 61


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def heads(count: int) -> np.ndarray:
    """Meshes of the canonical head, turned and placed at random in a crop; irises at the eyes' corners."""
    random = np.random.default_rng(7)
    vertices = canonical_face().vertices_cm.astype(np.float64)
    vertices = np.concatenate([vertices, vertices[list(mirrored_points()[[33] * 5 + [263] * 5])]])
    # An asymmetric mouth must come out mirrored.
    vertices[[61, 291], 1] += (-0.5, 0.3)
    turned = vertices @ rotation_from_angles(random.uniform(-30, 30, (count, 3))).transpose(0, 2, 1)
    place = np.concatenate([random.uniform(0.4, 0.6, (count, 1, 2)) * SIDE, np.zeros((count, 1, 1))], axis=2)
    return (turned * random.uniform(3, 4, (count, 1, 1)) + place).astype(np.float32)


def spotted(meshes: np.ndarray) -> torch.Tensor:
    """Black pictures with a soft white spot at one landmark."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    places = meshes[:, LANDMARK, :2]
    away = (columns - places[:, 0, None, None]) ** 2 + (rows - places[:, 1, None, None]) ** 2
    grey = np.exp(-away / 18).astype(np.float32) * 2 - 1
    return torch.from_numpy(grey)[:, None].repeat(1, 3, 1, 1)


def spots(faces: torch.Tensor) -> torch.Tensor:
    """Centres of the bright spots, the picture spanning [-1, 1]."""
    side = faces.shape[-1]
    line = (torch.arange(side) + 0.5) / side * 2 - 1
    bright = faces.mean(dim=1) - faces.mean(dim=1).amin(dim=(1, 2), keepdim=True)
    total = bright.sum(dim=(1, 2))
    return torch.stack([(bright * line).sum((1, 2)) / total, (bright * line[:, None]).sum((1, 2)) / total], dim=1)


def clips(count: int) -> Batch:
    meshes = heads(count * MOMENTS)
    flat = torch.from_numpy((meshes[:, :, :2] + 0.5) / SIDE * 2 - 1)
    return Batch(
        identity=spotted(meshes[::MOMENTS]),
        target=spotted(meshes),
        identity_mesh=flat[::MOMENTS],
        target_mesh=flat,
        lips=torch.from_numpy(lips_shape(meshes)),
        pose=torch.from_numpy(pose_code(meshes, SIDE)),
        speech=torch.rand(count * MOMENTS, 1, 80, 20, generator=seeded(1)),
        heard=torch.ones(count * MOMENTS),
        speaker=torch.arange(count),
        truth=torch.ones(count * MOMENTS),
        confidence=(spotted(meshes)[:, :1, 2::4, 2::4] + 1) / 2,
    )


def mirrored(before: Batch, after: Batch) -> torch.Tensor:
    """Which targets were mirrored: those whose yaw changed sign."""
    return (before.pose[:, 2] - after.pose[:, 2]).abs() > 1e-6


def test_landmarks_follow_their_pixels():
    before = clips(20)
    after = augment_appearance(before, seeded())
    flipped = mirrored(before, after)
    assert 0.2 < float(flipped.float().mean()) < 0.8
    followed = torch.where(flipped, int(mirrored_points()[LANDMARK]), LANDMARK)
    marked = after.target_mesh[torch.arange(len(followed)), followed]
    assert float((spots(after.target) - marked).abs().max()) < 0.02  # one pixel of 128 is 0.016
    half_a_cell = 0.04
    assert float((spots(after.confidence.repeat(1, 3, 1, 1)) - marked).abs().max()) < half_a_cell
    first = after.identity_mesh[torch.arange(20), followed[::MOMENTS]]
    assert float((spots(after.identity) - first).abs().max()) < 0.02
    assert float((marked - before.target_mesh[:, LANDMARK]).abs().max()) > 0.05


def test_the_identity_frame_changes_as_the_targets_do():
    before = clips(6)
    after = augment_appearance(before, seeded(2))
    assert torch.equal(after.identity, after.target[::MOMENTS])
    assert torch.equal(after.identity_mesh, after.target_mesh[::MOMENTS])


def test_pose_and_lips_are_those_of_the_changed_head(monkeypatch: pytest.MonkeyPatch):
    """Without a change of width, pose code and lip shape are those measured on the changed landmarks."""
    monkeypatch.setattr(module, "MAX_WIDENING", 0.0)
    before = clips(12)
    after = augment_appearance(before, seeded(3))
    flipped, points = mirrored(before, after).numpy(), mirrored_points()
    meshes = heads(12 * MOMENTS)
    zoom = (after.pose[:, 11] - before.pose[:, 11]).exp().numpy()
    made = np.where(flipped[:, None, None], meshes[:, points], meshes) * zoom[:, None, None]
    made[:, :, :2] = (after.target_mesh.numpy() + 1) * SIDE / 2 - 0.5
    np.testing.assert_allclose(pose_code(made, SIDE), after.pose.numpy(), atol=2e-3)
    np.testing.assert_allclose(lips_shape(made), after.lips.numpy(), atol=2e-2)
    assert flipped.any()
    assert not flipped.all()


def test_width_changes_lips_and_landmarks_equally(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_ZOOM", 0.0)
    before = clips(30)
    after = augment_appearance(before, seeded(4))
    lips = np.ptp(after.lips.numpy()[:, ::2], axis=1) / np.ptp(before.lips.numpy()[:, ::2], axis=1)
    face = np.ptp(after.target_mesh.numpy()[:, :, 0], axis=1) / np.ptp(before.target_mesh.numpy()[:, :, 0], axis=1)
    np.testing.assert_allclose(lips, face, rtol=1e-3)
    assert 1.02 < lips.max() <= np.exp(module.MAX_WIDENING / 2)
    assert np.exp(-module.MAX_WIDENING / 2) <= lips.min() < 0.98


def test_speech_and_labels_stay():
    before = clips(3)
    after = augment_appearance(before, seeded(5))
    for name in ("speech", "heard", "speaker", "truth"):
        assert getattr(after, name) is getattr(before, name)


def test_colours_differ_between_clips_and_stay_in_range():
    grey = clips(8)._replace(
        identity=torch.full((8, 3, SIDE, SIDE), -0.2), target=torch.full((16, 3, SIDE, SIDE), -0.2)
    )
    colours = augment_appearance(grey, seeded(6)).target.mean(dim=(2, 3))
    assert torch.equal(colours[::2], colours[1::2])
    assert float(colours[::2].std(dim=0).min()) > 0.05
    assert float(colours.std(dim=1).max()) > 0.03  # tints differ
    assert float(colours.abs().max()) <= 1


def test_the_seed_decides():
    before = clips(2)
    one, same, other = (augment_appearance(before, seeded(seed)).target for seed in (7, 7, 8))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
