"""How a picture looks: likeness to another, and sharpness without another."""

from typing import Final, TypeAlias

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64

from pcavs.types import Picture

Grey: TypeAlias = Float32[np.ndarray, "height width"]
"""Luminance (BT.601), 0 to 255."""

_PEAK: Final = 255.0
_SSIM_SIGMA: Final = 1.5
_SSIM_REACH: Final = 5
_SSIM_C1, _SSIM_C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2

_BLOCK_PX: Final = 64
_LEAST_EDGE_SHARE: Final = 0.002
_CANNY_SIGMA: Final = 2**0.5
_CANNY_FLAT_SHARE: Final = 70.0
"""Percentile of the gradient below which nothing is an edge."""
_CANNY_LOW: Final = 0.4
_LOW_CONTRAST: Final = 50
_LEVEL_DEG: Final = 22.5
_JUST_NOTICEABLE_PX: Final = (5, 3)
"""Edge width that is just noticeable as blur, in blocks of low and of high contrast."""


def psnr(made: Picture, truth: Picture) -> float:
    """Peak signal-to-noise ratio of RGB in dB; infinite for equal pictures, about 30 for a faithful one."""
    error = float(np.square(made.astype(np.float64) - truth.astype(np.float64)).mean())
    return float(10 * np.log10(_PEAK**2 / error)) if error else float("inf")


def ssim(made: Picture, truth: Picture) -> float:
    """Structural similarity of luminance, -1 to 1 (1: equal), with the original Gaussian window of 11 pixels.

    Averaged where the window lies wholly inside of the picture, which must be larger than it.

    Reference: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", IEEE TIP 2004.
    """
    x, y = (grey(picture).astype(np.float64) for picture in (made, truth))
    mean_x, mean_y = _blurred(x), _blurred(y)
    var_x, var_y = _blurred(x * x) - mean_x**2, _blurred(y * y) - mean_y**2
    covariance = _blurred(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    size = (mean_x**2 + mean_y**2 + _SSIM_C1) * (var_x + var_y + _SSIM_C2)
    return float((likeness / size).mean())


def _blurred(values: Float64[np.ndarray, "height width"]) -> Float64[np.ndarray, "low narrow"]:
    window = 2 * _SSIM_REACH + 1
    smooth = cv2.GaussianBlur(values, (window, window), _SSIM_SIGMA)
    return np.asarray(smooth[_SSIM_REACH:-_SSIM_REACH, _SSIM_REACH:-_SSIM_REACH], np.float64)


def grey(picture: Picture) -> Grey:
    """Luminance of a picture."""
    return np.asarray(picture, np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def laplacian_spread(picture: Picture, mask: Bool[np.ndarray, "height width"]) -> float:
    """Sharpness inside a mask: standard deviation of the Laplacian of luminance, in grey levels.

    Grows with noise as with detail: compare films of one encoder, and read it as a share of the truth's.

    Reference: Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000.
    """
    return float(cv2.Laplacian(grey(picture), cv2.CV_32F, ksize=1)[mask].std())


def cpbd(picture: Picture) -> float:
    """Cumulative probability of blur detection, 0 to 1: the share of edges too narrow to look blurred.

    Needs no reference picture. Only blocks of 64 x 64 that hold edges are looked at; 0 where there are none. An
    edge's probability of looking blurred is below that of the just noticeable width exactly where the edge is no
    wider than it, so the paper's exponent (3.6) drops out.

    Reference: Narvekar and Karam, "A no-reference image blur metric based on the cumulative probability of blur
    detection (CPBD)", IEEE TIP 2011; edge widths after Marziliano et al., ICIP 2002.
    """
    levels = np.round(grey(picture)).astype(np.int16)
    edges, widths = _upright_edges(levels), _edge_widths(levels)
    blocks = _canny(levels)
    narrow = total = 0
    height, width = levels.shape
    for top in range(0, height - _BLOCK_PX + 1, _BLOCK_PX):
        for left in range(0, width - _BLOCK_PX + 1, _BLOCK_PX):
            block = np.s_[top : top + _BLOCK_PX, left : left + _BLOCK_PX]
            if blocks[block].mean() <= _LEAST_EDGE_SHARE:
                continue
            contrast = int(levels[block].max()) - int(levels[block].min())
            found = widths[block][edges[block]]
            total += len(found)
            narrow += int((found <= _JUST_NOTICEABLE_PX[contrast > _LOW_CONTRAST]).sum())
    return narrow / total if total else 0.0


def _canny(levels: np.ndarray) -> Bool[np.ndarray, "height width"]:
    smooth = cv2.GaussianBlur(levels.astype(np.float32), (0, 0), _CANNY_SIGMA)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *axes).round().astype(np.int16) for axes in ((1, 0), (0, 1)))
    high = float(np.percentile(np.hypot(across.astype(np.float32), down.astype(np.float32)), _CANNY_FLAT_SHARE))
    high = max(high, 1.0)
    return cv2.Canny(across, down, _CANNY_LOW * high, high, L2gradient=True) > 0


def _upright_edges(levels: np.ndarray) -> Bool[np.ndarray, "height width"]:
    """Peaks of the Sobel gradient where it runs along the row, give or take 22.5 degrees.

    The limit is Octave's, which the package cpbd 1.0.7 follows too: squared strength above twice its root mean.
    MATLAB's is higher and keeps the boldest edges only, which gives half as much on soft films.
    """
    values = levels.astype(np.float64)
    across, down = (cv2.Sobel(values, cv2.CV_64F, *axes) / 8 for axes in ((1, 0), (0, 1)))
    strength = across**2 + down**2
    peak = np.zeros(levels.shape, bool)
    for axis, along in ((1, np.abs(across) >= np.abs(down)), (0, np.abs(across) < np.abs(down))):
        before, after = np.roll(strength, 1, axis), np.roll(strength, -1, axis)
        peak |= along & (strength >= before) & (strength > after)
    rise, slope = np.gradient(values)
    level_deg = np.degrees(np.arctan2(np.abs(rise), np.abs(slope)))
    edges = peak & (strength > 2 * np.sqrt(strength.mean())) & (level_deg < _LEVEL_DEG) & (slope != 0)
    edges[:, [0, -1]] = edges[[0, -1]] = False
    return edges


def _edge_widths(levels: np.ndarray) -> np.ndarray:
    """Pixels along the row from the nearest minimum to the nearest maximum, through each pixel."""
    rises = np.diff(levels, axis=1) > 0
    falls = np.diff(levels, axis=1) < 0
    going = [_runs(steps) for steps in (rises, falls)]
    return np.maximum(*going)


def _runs(steps: Bool[np.ndarray, "height steps"]) -> np.ndarray:
    """Length of the unbroken run of steps on both sides of each pixel together."""
    return _run_before(steps) + _run_before(steps[:, ::-1])[:, ::-1]


def _run_before(steps: Bool[np.ndarray, "height steps"]) -> np.ndarray:
    """Length of the unbroken run of steps that ends at each pixel."""
    height, count = steps.shape
    places = np.arange(1, count + 1, dtype=np.int32)
    broken = np.maximum.accumulate(np.where(steps, 0, places), axis=1)
    return np.concatenate([np.zeros((height, 1), np.int32), places - broken], axis=1)
