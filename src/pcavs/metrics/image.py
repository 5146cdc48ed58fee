"""Picture quality: PSNR and SSIM against a reference, sharpness and CPBD without one."""

from typing import Final, TypeAlias

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64

from pcavs.types import Picture

Grey: TypeAlias = Float32[np.ndarray, "height width"]
"""Luminance (BT.601), 0 to 255."""

_PEAK: Final = 255.0
_LUMINANCE_WEIGHTS: Final = np.array([0.299, 0.587, 0.114], np.float32)
"""Of red, green and blue (ITU-R BT.601)."""

_SSIM_SIGMA_PX: Final = 1.5
"""Standard deviation of the Gaussian window, as published."""
_SSIM_RADIUS_PX: Final = 5
"""The window is 11 pixels wide, as published."""
_SSIM_C1, _SSIM_C2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
"""Stabilising constants, as published (K1 = 0.01, K2 = 0.03)."""

_BLOCK_PX: Final = 64
"""Side of CPBD's blocks, as published."""
_MIN_EDGE_SHARE: Final = 0.002
"""Share of edge pixels above which a block counts, as published."""
_JUST_NOTICEABLE_PX: Final = (5, 3)
"""Edge width at which blur is just noticeable, in blocks of low and of high contrast, as published."""
_LOW_CONTRAST: Final = 50
"""Largest difference of grey levels in a block of low contrast, as published."""
_CANNY_SIGMA_PX: Final = 2**0.5
"""Smoothing before the Canny detector: the default of MATLAB's `edge`, which the published code calls."""
_CANNY_FLAT_PERCENTILE: Final = 70.0
"""Percentile of the gradient that is the detector's upper threshold, also from MATLAB's `edge`."""
_CANNY_LOW_SHARE: Final = 0.4
"""Lower threshold as a share of the upper one, also from MATLAB's `edge`."""
_SOBEL_THRESHOLD: Final = 2.0
"""Squared gradient of an edge, as a multiple of the root of the mean squared gradient: Octave's limit."""
_SOBEL_SCALE: Final = 8
"""Divisor that makes the Sobel filter's response to a ramp its slope, as MATLAB and Octave scale it."""
_MAX_TILT_DEG: Final = 22.5
"""Largest angle between the gradient of an upright edge and the row: half of a sector of 45 degrees, as published."""


def psnr(made: Picture, truth: Picture) -> float:
    """Computes the peak signal-to-noise ratio of RGB pictures, 10 log10(255² / MSE), in dB.

    Higher is better: about 30 for a faithful picture, infinite for equal pictures.
    """
    error = float(np.square(made.astype(np.float64) - truth.astype(np.float64)).mean())
    return float(10 * np.log10(_PEAK**2 / error)) if error else float("inf")


def ssim(made: Picture, truth: Picture) -> float:
    """Computes the structural similarity of luminance, -1 to 1 (1: equal), with a Gaussian window of 11 pixels.

    Averages over the places where the window lies inside the picture. Pictures must be larger than the window.

    Reference: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", IEEE TIP 2004.
    """
    x, y = (luminance(picture).astype(np.float64) for picture in (made, truth))
    mean_x, mean_y = _windowed_mean(x), _windowed_mean(y)
    var_x, var_y = _windowed_mean(x * x) - mean_x**2, _windowed_mean(y * y) - mean_y**2
    covariance = _windowed_mean(x * y) - mean_x * mean_y
    numerator = (2 * mean_x * mean_y + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    denominator = (mean_x**2 + mean_y**2 + _SSIM_C1) * (var_x + var_y + _SSIM_C2)
    return float((numerator / denominator).mean())


def _windowed_mean(values: Float64[np.ndarray, "height width"]) -> Float64[np.ndarray, "low narrow"]:
    radius = _SSIM_RADIUS_PX
    smooth = cv2.GaussianBlur(values, (2 * radius + 1, 2 * radius + 1), _SSIM_SIGMA_PX)
    return np.asarray(smooth[radius:-radius, radius:-radius], np.float64)


def luminance(picture: Picture) -> Grey:
    """Computes the luminance (BT.601) of an RGB picture, 0 to 255."""
    return np.asarray(picture, np.float32) @ _LUMINANCE_WEIGHTS


def laplacian_std(picture: Picture, mask: Bool[np.ndarray, "height width"]) -> float:
    """Measures sharpness inside a mask: the standard deviation of the Laplacian of luminance, in grey levels.

    Noise raises it as detail does, so compare only films of one encoder, and relate it to the ground truth's value.

    Reference: Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR 2000.
    """
    return float(cv2.Laplacian(luminance(picture), cv2.CV_32F, ksize=1)[mask].std())


def cpbd(picture: Picture) -> float:
    """Computes the cumulative probability of blur detection: the share of edges too narrow to look blurred, 0 to 1.

    Needs no reference picture; sharper pictures score higher. Only whole blocks of 64 x 64 pixels with enough edges
    count; 0 where there are none. The published probability 1 - exp(-(width / just noticeable width)^3.6) is at most
    63 % exactly where the width is at most the just noticeable one, so widths are compared directly.

    Reference: Narvekar and Karam, "A no-reference image blur metric based on the cumulative probability of blur
    detection (CPBD)", IEEE TIP 2011; edge widths after Marziliano et al., ICIP 2002.
    """
    levels = np.round(luminance(picture)).astype(np.int16)
    upright, widths = _upright_edges(levels), _edge_widths(levels)
    edges = _canny(levels)
    narrow = total = 0
    height, width = levels.shape
    for top in range(0, height - _BLOCK_PX + 1, _BLOCK_PX):
        for left in range(0, width - _BLOCK_PX + 1, _BLOCK_PX):
            block = np.s_[top : top + _BLOCK_PX, left : left + _BLOCK_PX]
            if edges[block].mean() <= _MIN_EDGE_SHARE:
                continue
            contrast = int(levels[block].max()) - int(levels[block].min())
            found = widths[block][upright[block]]
            total += len(found)
            narrow += int((found <= _JUST_NOTICEABLE_PX[contrast > _LOW_CONTRAST]).sum())
    return narrow / total if total else 0.0


def _canny(levels: np.ndarray) -> Bool[np.ndarray, "height width"]:
    smooth = cv2.GaussianBlur(levels.astype(np.float32), (0, 0), _CANNY_SIGMA_PX)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, *axes).round().astype(np.int16) for axes in ((1, 0), (0, 1)))
    gradient = np.hypot(across.astype(np.float32), down.astype(np.float32))
    high = max(float(np.percentile(gradient, _CANNY_FLAT_PERCENTILE)), 1.0)
    return cv2.Canny(across, down, _CANNY_LOW_SHARE * high, high, L2gradient=True) > 0


def _upright_edges(levels: np.ndarray) -> Bool[np.ndarray, "height width"]:
    """Finds local maxima of the Sobel gradient whose gradient runs along the row, within 22.5 degrees.

    The threshold is Octave's, like that of the package cpbd 1.0.7, with which `cpbd` agrees to 0.008 on average.
    MATLAB's threshold is higher and keeps only the strongest edges, which halves the score of soft videos.
    """
    values = levels.astype(np.float64)
    across, down = (cv2.Sobel(values, cv2.CV_64F, *axes) / _SOBEL_SCALE for axes in ((1, 0), (0, 1)))
    strength = across**2 + down**2
    peak = np.zeros(levels.shape, bool)
    for axis, along in ((1, np.abs(across) >= np.abs(down)), (0, np.abs(across) < np.abs(down))):
        before, after = np.roll(strength, 1, axis), np.roll(strength, -1, axis)
        peak |= along & (strength >= before) & (strength > after)
    rise, slope = np.gradient(values)
    tilt_deg = np.degrees(np.arctan2(np.abs(rise), np.abs(slope)))
    strong = strength > _SOBEL_THRESHOLD * np.sqrt(strength.mean())
    edges = peak & strong & (tilt_deg < _MAX_TILT_DEG) & (slope != 0)
    edges[:, [0, -1]] = edges[[0, -1]] = False
    return edges


def _edge_widths(levels: np.ndarray) -> np.ndarray:
    """Measures for each pixel the distance along the row from the nearest minimum to the nearest maximum, in pixels."""
    rises = np.diff(levels, axis=1) > 0
    falls = np.diff(levels, axis=1) < 0
    return np.maximum(_run_lengths(rises), _run_lengths(falls))


def _run_lengths(steps: Bool[np.ndarray, "height steps"]) -> np.ndarray:
    """Returns for each pixel the length of the unbroken run of steps on both of its sides together."""
    return _run_before(steps) + _run_before(steps[:, ::-1])[:, ::-1]


def _run_before(steps: Bool[np.ndarray, "height steps"]) -> np.ndarray:
    """Returns for each pixel the length of the unbroken run of steps that ends at it."""
    height, count = steps.shape
    places = np.arange(1, count + 1, dtype=np.int32)
    broken = np.maximum.accumulate(np.where(steps, 0, places), axis=1)
    return np.concatenate([np.zeros((height, 1), np.int32), places - broken], axis=1)
