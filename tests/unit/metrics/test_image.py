"""PSNR, SSIM, CPBD and sharpness: worked cases, and other packages where they are installed."""

import cv2
import numpy as np
import pytest

from pcavs.metrics.image import cpbd, laplacian_std, luminance, psnr, ssim


def flat(level, side=64):
    return np.full((side, side, 3), level, np.uint8)


def textured(side=128, seed=0):
    noise = np.random.default_rng(seed).uniform(0, 255, (side // 8, side // 8, 3)).astype(np.float32)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def ramp(width, side=128, low=40, high=200):
    """An upright edge every 32 pixels that rises over `width` pixels, mirrored in every second column."""
    column = np.full(32, low, np.float64)
    column[8 : 8 + width + 1] = np.linspace(low, high, width + 1)
    column[8 + width :] = high
    back = column[::-1]
    row = np.tile(np.concatenate([column, back]), side // 64)
    return np.repeat(np.repeat(row.round().astype(np.uint8)[None, :, None], side, axis=0), 3, axis=2)


@pytest.mark.parametrize("step", [1, 10, 255])
def test_psnr_of_a_flat_difference_is_twenty_logs(step):
    assert psnr(flat(255), flat(255 - step)) == pytest.approx(20 * np.log10(255 / step))


def test_psnr_of_equal_pictures_is_infinite():
    assert psnr(flat(7), flat(7)) == float("inf")


def test_ssim_of_equal_pictures_is_one():
    assert ssim(textured(), textured()) == pytest.approx(1)


def test_ssim_of_flat_pictures_is_the_luminance_term():
    c1 = (0.01 * 255) ** 2
    assert ssim(flat(100), flat(150)) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1), abs=1e-6)


def test_ssim_equals_that_of_scikit_image():
    """By scikit-image 0.26: Gaussian window of sigma 1.5, data_range 255, without sample covariance."""
    rng = np.random.default_rng(3)
    picture = rng.integers(0, 256, (40, 48, 3)).astype(np.uint8)
    noisy = np.clip(picture.astype(int) + rng.integers(-60, 61, picture.shape), 0, 255).astype(np.uint8)
    assert ssim(noisy, picture) == pytest.approx(0.9063343566852768, abs=1e-7)


def test_ssim_falls_with_noise_and_blur():
    picture = textured()
    noisy = (picture + np.random.default_rng(1).normal(0, 20, picture.shape)).clip(0, 255).astype(np.uint8)
    assert ssim(noisy, picture) < 0.8
    assert ssim(cv2.GaussianBlur(picture, (0, 0), 4), picture) < 0.95


def test_ssim_and_psnr_agree_with_torchmetrics():
    functional = pytest.importorskip("torchmetrics.functional.image")
    torch = pytest.importorskip("torch")
    made, truth = textured(seed=1), cv2.GaussianBlur(textured(seed=1), (0, 0), 3)
    tensors = [torch.from_numpy(luminance(each).astype(np.float64))[None, None] for each in (made, truth)]
    _, theirs = functional.structural_similarity_index_measure(*tensors, data_range=255.0, return_full_image=True)
    # torchmetrics also averages over the border, where the window is not inside the picture.
    assert ssim(made, truth) == pytest.approx(float(theirs[..., 5:-5, 5:-5].mean()), abs=1e-6)
    colours = [torch.from_numpy(each.astype(np.float64)) for each in (made, truth)]
    assert psnr(made, truth) == pytest.approx(
        float(functional.peak_signal_noise_ratio(*colours, data_range=255.0)), abs=1e-4
    )


@pytest.mark.parametrize(("width", "share"), [(1, 1.0), (3, 1.0), (6, 0.0)])
def test_cpbd_counts_edges_that_are_too_narrow_to_look_blurred(width, share):
    assert cpbd(ramp(width)) == pytest.approx(share)


def test_cpbd_allows_five_pixels_where_contrast_is_low():
    assert cpbd(ramp(5, low=100, high=140)) == pytest.approx(1)
    assert cpbd(ramp(5, low=40, high=200)) == pytest.approx(0)


def test_cpbd_falls_with_blur_and_is_zero_without_edges():
    picture = ((np.indices((128, 128)) // 16).sum(axis=0) % 2 * 200).astype(np.uint8)
    sharp = np.repeat(picture[..., None], 3, axis=2)
    assert cpbd(sharp) > cpbd(cv2.GaussianBlur(sharp, (0, 0), 3))
    assert cpbd(flat(90, 128)) == 0


def test_laplacian_std_is_zero_on_a_slope_and_falls_with_blur():
    everywhere = np.ones((128, 128), bool)
    inside = np.zeros((128, 128), bool)
    inside[2:-2, 2:-2] = True
    slope = np.repeat(np.tile(np.arange(128, dtype=np.uint8), (128, 1))[..., None], 3, axis=2)
    assert laplacian_std(slope, inside) == pytest.approx(0, abs=1e-3)
    picture = textured()
    assert laplacian_std(cv2.GaussianBlur(picture, (0, 0), 2), everywhere) < laplacian_std(picture, everywhere)
