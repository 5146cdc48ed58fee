import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pcavs.face.align import (
    alignment_points,
    apply_transform,
    clip_transform,
    crop_picture,
    invert,
    published_crop,
    published_mesh_transforms,
    published_transforms,
)
from pcavs.spec import CropSpec


def _similarity(scale, angle, x, y):
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cos, -sin, x], [sin, cos, y]])


def test_the_average_face_lands_on_the_template(pose_head):
    crop = CropSpec()
    meshes = pose_head([(0, 0, 0), (0, 0, 0)])
    transform = clip_transform(meshes, crop, 256)
    landed = alignment_points(apply_transform(transform, meshes)).mean(axis=0)
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


TEMPLATE = np.array([[87.0, 59.0], [137.0, 59.0], [112.0, 120.0]])
GROUPS = (slice(36, 42), slice(42, 48), slice(60, 68))


def sixty_eight(three, spread=0.0, seed=0):
    """68 points whose three groups have these means; the others are far off and must not matter."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-900, 900, (len(three), 68, 2))
    for number, group in enumerate(GROUPS):
        around = rng.normal(0, spread, (len(three), group.stop - group.start, 2))
        points[:, group] = three[:, number, None] + around - around.mean(axis=1, keepdims=True)
    return points


def moved(transforms, three):
    return three @ transforms[:, :, :2].swapaxes(1, 2) + transforms[:, None, :, 2]


def test_published_points_on_the_template_stay():
    transforms = published_transforms(sixty_eight(TEMPLATE[None], spread=3.0))
    np.testing.assert_allclose(transforms, [[[1, 0, 0], [0, 1, 0]]], atol=1e-9)


def test_published_transform_by_hand():
    """Twice as large, turned by a quarter and moved: undone exactly."""
    turned = TEMPLATE @ np.array([[0.0, 2.0], [-2.0, 0.0]]) + [300, 40]
    transform = published_transforms(sixty_eight(turned[None]))[0]
    np.testing.assert_allclose(transform, [[0, 0.5, -20], [-0.5, 0, 150]], atol=1e-9)


def test_published_mouth_shift_by_hand():
    """A mouth that jumps by 10 px once: the clip's transform is 5 px off, the shift is 1/5 old and 4/5 new."""
    three = np.repeat(TEMPLATE[None], 4, axis=0) + np.array([0.0, 0, 10, 10])[:, None, None] * [1, 0]
    transforms = published_transforms(sixty_eight(three))
    np.testing.assert_allclose(transforms[:, :, :2], np.broadcast_to(np.eye(2), (4, 2, 2)), atol=1e-9)
    # Shifts wanted: 5, 5, -5, -5 on top of the clip's -5.
    np.testing.assert_allclose(transforms[:, 0, 2], [0, 0, -5 + 1 - 4, -5 - 0.6 - 4], atol=1e-9)
    np.testing.assert_allclose(transforms[:, 1, 2], 0, atol=1e-9)


@given(seed=st.integers(0, 1000), frames=st.integers(1, 12))
def test_published_transforms_equal_a_search_for_the_least_squares(seed, frames):
    rng = np.random.default_rng(seed)
    three = TEMPLATE * rng.uniform(0.3, 4) + rng.uniform(-200, 900, 2) + rng.normal(0, 15, (frames, 3, 2))
    transforms = published_transforms(sixty_eight(three, spread=8.0, seed=seed))
    mean = three.mean(axis=0)
    rows = [[x, -y, 1, 0] for x, y in mean] + [[y, x, 0, 1] for x, y in mean]
    a, b, x, y = np.linalg.lstsq(np.array(rows), TEMPLATE.T.ravel(), rcond=None)[0]
    linear, place, kept = np.array([[a, -b], [b, a]]), np.array([x, y]), None
    for t in range(frames):
        shift = TEMPLATE[2] - linear @ three[t, 2] - place
        kept = shift if kept is None else 0.2 * kept + 0.8 * shift
        wanted = np.column_stack([linear, place + kept])
        # In pixels, where it matters: at the points.
        np.testing.assert_allclose(
            moved(transforms[t : t + 1], three[t : t + 1]), moved(wanted[None], three[t : t + 1]), atol=1e-3
        )


def test_meshes_stand_in_for_the_68_points(pose_head):
    meshes = pose_head([(0, 0, 0), (10, 5, -8), (-20, 0, 3)])
    three = alignment_points(meshes).astype(np.float64)
    np.testing.assert_allclose(published_mesh_transforms(meshes), published_transforms(sixty_eight(three)), atol=1e-6)
    landed = moved(published_mesh_transforms(meshes), three)
    np.testing.assert_allclose(landed[0, 2], TEMPLATE[2], atol=1e-3)


def test_the_published_crop_is_cut_twice():
    picture = np.random.default_rng(0).integers(0, 256, (260, 240, 3), dtype=np.uint8)
    shift = np.array([[1.0, 0, -7], [0, 1, 5]])
    crop = published_crop(picture, shift, 192)
    np.testing.assert_array_equal(crop[5:], picture[:187, 23:215])
    assert not crop[:5].any(), "black outside of the picture"
    # A point (x, y) of the 224 comes to 7/6 (x - 16 + 1/2) - 1/2, 7/6 (y + 1/2) - 1/2.
    spot = np.zeros((224, 224, 3), np.float32)
    cv2.circle(spot, (112, 120), 5, (255, 255, 255), -1)
    seen = published_crop(spot.astype(np.uint8), np.eye(3)[:2], 224)[..., 0].astype(float)
    y, x = np.mgrid[:224, :224]
    np.testing.assert_allclose(
        [(seen * x).sum() / seen.sum(), (seen * y).sum() / seen.sum()],
        [96.5 * 7 / 6 - 0.5, 120.5 * 7 / 6 - 0.5],
        atol=0.02,
    )
