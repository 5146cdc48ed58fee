"""Augmentation for training the sync judge: other voices, rooms, faces, lighting and cameras.

All ranges were tuned by hand and not measured.
"""

from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pcavs.models.judge import LIPS_DIM
from pcavs.spec import MelSpec

_MEL_CHANNELS: Final = MelSpec().mel_channels

_LIP_POINTS: Final = 20
"""Points of each lip contour; the outer contour comes before the inner one."""
_MIRRORED: Final = np.array([10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 19, 18, 17, 16, 15, 14, 13, 12, 11])
"""Index of each contour point in a mirrored face."""

_MEL_WARP: Final = (0.85, 1.15)
"""Factor on the channel index: another length of the vocal tract."""
_MEL_SHIFT_CHANNELS: Final = 3.0
_RIPPLE_HALF_WAVES: Final = [2, 4, 7]
"""Half waves of the random frequency response over all channels: another microphone."""
_RIPPLE_STD, _TILT_STD, _LEVEL_STD = 0.03, 0.06, 0.05
"""In units of the mel, in which 1 is 100 dB."""
_MEL_CONTRAST: Final = (0.8, 1.2)
_MEL_FLOOR: Final = (-0.2, 0.5)
"""Level to which quieter parts are raised: background noise."""
_MEL_NOISE_STD: Final = 0.02

_CROP_SCALE: Final = (0.85, 1.2)
_CROP_TURN_RAD: Final = (-0.2, 0.2)
_CROP_STRETCH: Final = (0.85, 1.15)
"""Height relative to width."""
_CROP_SHIFT: Final = (-0.15, 0.15)
_CROP_JITTER_STD: Final = 0.01
"""Shift of each clip and jitter of each frame, in halves of the crop's side."""
_BLUR_SHARE: Final = 0.5
"""Share of clips that are blurred."""
_GAMMA: Final = (0.6, 1.6)
_MAX_NOISE_STD: Final = 0.04
"""In units of the full range of grey levels."""
_DARKEST: Final = 1e-3
"""Keeps the power of gamma correction finite."""

_LIP_SCALE: Final = (0.7, 1.4)
_LIP_OFFSET_STD_CM, _LIP_JITTER_STD_CM = 0.08, 0.02
"""Another person's lip shape, and noise of the landmarks."""


def mirrored_lips(lips: np.ndarray) -> np.ndarray:
    """Mirrors lip shapes (time, 80) left to right."""
    points = lips.reshape(len(lips), 2, _LIP_POINTS, 2)[:, :, _MIRRORED] * np.array([-1, 1], np.float32)
    return points.reshape(len(lips), LIPS_DIM).astype(np.float32)


def augment_mel(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Simulates another voice, room and microphone: warps and tilts the spectrum, changes the level, adds noise.

    Args:
        mel: (80, bins) in [0, 1].
        rng: Source of randomness.
    """
    channels = np.arange(_MEL_CHANNELS)
    warp = rng.uniform(*_MEL_WARP)
    places = channels * warp + rng.uniform(-_MEL_SHIFT_CHANNELS, _MEL_SHIFT_CHANNELS)
    low = np.clip(np.floor(places), 0, _MEL_CHANNELS - 2).astype(int)
    share = np.clip(places - low, 0, 1)[:, None].astype(np.float32)
    mel = mel[low] * (1 - share) + mel[low + 1] * share
    phases = np.outer(channels / _MEL_CHANNELS, _RIPPLE_HALF_WAVES) * np.pi + rng.uniform(0, 6, 3)
    ripple = np.sin(phases) @ rng.normal(0, _RIPPLE_STD, 3)
    tilt = rng.normal(0, _TILT_STD) * (channels / (_MEL_CHANNELS / 2) - 1)
    response = tilt + ripple + rng.normal(0, _LEVEL_STD)
    mel = (mel - 0.5) * rng.uniform(*_MEL_CONTRAST) + 0.5 + response[:, None]
    floor = rng.uniform(*_MEL_FLOOR)
    return np.clip(np.maximum(mel, floor) + rng.normal(0, _MEL_NOISE_STD, mel.shape), 0, 1).astype(np.float32)


def augment_crops(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Changes place, size, roll, gamma and sharpness of each clip, and adds jitter and noise to each frame.

    Args:
        crops: (clips, time, side, side), 0 to 255.
        rng: Source of randomness.

    Returns:
        Crops with zero mean and unit standard deviation over each clip, as `metrics.crops.standardised` gives them.
    """
    count, time, side = crops.shape[:3]

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))

    def normal(std: float, *shape: int) -> Tensor:
        return torch.from_numpy(rng.normal(0, std, shape).astype(np.float32))

    scale, turn = uniform(*_CROP_SCALE, count), uniform(*_CROP_TURN_RAD, count)
    height = scale * uniform(*_CROP_STRETCH, count)
    theta = torch.zeros(count, time, 2, 3)
    theta[..., 0, 0], theta[..., 0, 1] = (scale * turn.cos())[:, None], -(scale * turn.sin())[:, None]
    theta[..., 1, 0], theta[..., 1, 1] = (height * turn.sin())[:, None], (height * turn.cos())[:, None]
    theta[..., 2] = uniform(*_CROP_SHIFT, count, 1, 2) + normal(_CROP_JITTER_STD, count, time, 2)
    grid = functional.affine_grid(theta.flatten(0, 1), [count * time, 1, side, side], align_corners=False)
    moved = functional.grid_sample(crops.flatten(0, 1)[:, None], grid, padding_mode="border", align_corners=False)
    moved = moved.view(count, time, side, side) / 255
    blurred = functional.avg_pool2d(moved.flatten(0, 1)[:, None], 3, 1, 1).view_as(moved)
    moved = moved.lerp(blurred, uniform(0, 1, count, 1, 1, 1) * (uniform(0, 1, count, 1, 1, 1) < _BLUR_SHARE))
    moved = moved.clamp(_DARKEST, 1) ** uniform(*_GAMMA, count, 1, 1, 1)
    moved = moved + normal(1, *moved.shape) * uniform(0, _MAX_NOISE_STD, count, 1, 1, 1)
    mean, std = moved.mean(dim=(1, 2, 3), keepdim=True), moved.std(dim=(1, 2, 3), keepdim=True)
    return (moved - mean) / (std + 1 / 255)


def augment_lips(lips: Tensor, rng: np.random.Generator) -> Tensor:
    """Changes size and mean of each clip's lip shapes (clips, time, 80), in cm, and adds noise to each frame."""
    count, time = lips.shape[:2]
    scale = torch.from_numpy(rng.uniform(*_LIP_SCALE, (count, 1, 1)).astype(np.float32))
    offset = torch.from_numpy(rng.normal(0, _LIP_OFFSET_STD_CM, (count, 1, LIPS_DIM)).astype(np.float32))
    jitter = torch.from_numpy(rng.normal(0, _LIP_JITTER_STD_CM, (count, time, LIPS_DIM)).astype(np.float32))
    return lips * scale + offset + jitter
