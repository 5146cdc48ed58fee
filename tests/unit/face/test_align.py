import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcavs.face.align import apply_transform, clip_transform, crop_picture, invert, three_points
from pcavs.spec import CropSpec


def _similarity(scale, angle, x, y):
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cos, -sin, x], [sin, cos, y]])


def test_the_average_face_lands_on_the_template(pose_head):
    crop = CropSpec()
    meshes = pose_head([(0, 0, 0), (0, 0, 0)])
    transform = clip_transform(meshes, crop, 256)
    landed = three_points(apply_transform(transform, meshes)).mean(axis=0)
    wanted = np.array([crop.left_eye, crop.right_eye, crop.mouth]) * 256 - 0.5
    # Four numbers cannot meet six: the person's own proportions remain.
    assert np.abs(landed - wanted).max() < 5
    np.testing.assert_allclose(landed.mean(axis=0), wanted.mean(axis=0), atol=1e-2)


def test_one_transform_a_clip_keeps_the_heads_own_movement(pose_head):
    left, right = pose_head([(0, 0, 0)], place=(100, 100)), pose_head([(0, 0, 0)], place=(140, 100))
    transform = clip_transform(np.concatenate([left, right]), CropSpec(), 256)
    scale = np.sqrt(np.linalg.det(transform[:, :2]))
    moved = apply_transform(transform, right)[0, 4] - apply_transform(transform, left)[0, 4]
    np.testing.assert_allclose(moved, [40 * scale, 0, 0], atol=1e-2)


def test_the_same_template_at_any_size(pose_head):
    meshes = pose_head([(5, 0, 3)])
    small, large = (apply_transform(clip_transform(meshes, CropSpec(), side), meshes) for side in (64, 256))
    np.testing.assert_allclose((small[..., :2] + 0.5) * 4, large[..., :2] + 0.5, atol=1e-2)
    np.testing.assert_allclose(small[..., 2] * 4, large[..., 2], atol=1e-2)


@given(scale=st.floats(0.05, 20), angle=st.floats(-3, 3), x=st.floats(-500, 500), y=st.floats(-500, 500))
def test_invert_undoes(scale, angle, x, y):
    transform = _similarity(scale, angle, x, y)
    meshes = np.random.default_rng(0).uniform(-300, 300, (2, 478, 3)).astype(np.float32)
    back = apply_transform(invert(transform), apply_transform(transform, meshes))
    np.testing.assert_allclose(back, meshes, atol=0.05)


@pytest.mark.parametrize("scale", [0.13, 0.31, 0.7, 1.0, 2.3])
def test_a_spot_lands_where_the_transform_says(scale):
    y, x = np.mgrid[:400, :500]
    spot = 255 * np.exp(-((x - 300) ** 2 + (y - 170) ** 2) / (2 * (4 / scale) ** 2))
    picture = np.repeat(spot[..., None], 3, axis=2).astype(np.uint8)
    transform = _similarity(scale, 0.2, 0, 0)
    transform[:, 2] = np.array([61.3, 66.8]) - transform[:, :2] @ [300, 170]
    crop = crop_picture(picture, transform, 128)[..., 0].astype(float)
    weights = crop / crop.sum()
    y, x = np.mgrid[:128, :128]
    np.testing.assert_allclose([(weights * x).sum(), (weights * y).sum()], [61.3, 66.8], atol=0.1)


def test_shrinking_averages_instead_of_skipping():
    checks = (np.indices((800, 800)).sum(axis=0) % 2 * 255).astype(np.uint8)
    picture = np.repeat(checks[..., None], 3, axis=2)
    crop = crop_picture(picture, _similarity(0.21, 0.3, 20, -10), 64).astype(float)
    assert crop.std() < 8
    assert crop.mean() == pytest.approx(127.5, abs=2)


def test_the_edge_is_repeated_outside_of_the_picture():
    picture = np.full((40, 40, 3), (10, 200, 90), np.uint8)
    for scale in (0.2, 1.0):
        crop = crop_picture(picture, _similarity(scale, 0, 30, 30), 64)
        assert (crop == picture[0, 0]).all()
    assert crop_picture(picture, _similarity(0.2, 0, -500, 30), 64).shape == (64, 64, 3)  # all of it outside


def test_no_shrinking_is_a_plain_warp():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    np.testing.assert_array_equal(crop_picture(picture, _similarity(1, 0, 0, 0), 64), picture)
    assert cv2.absdiff(crop_picture(picture, _similarity(1, 0, -8, 0), 64)[:, :56], picture[:, 8:]).max() == 0
