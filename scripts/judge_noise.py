"""What the sync judge must not listen to or look at: other voices, rooms, faces, lights and cameras."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_MIRROR = np.array([10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 19, 18, 17, 16, 15, 14, 13, 12, 11])


def flipped(lips: np.ndarray) -> np.ndarray:
    """Lip shapes as a mirror shows them."""
    points = lips.reshape(len(lips), 2, 20, 2)[:, :, _MIRROR] * np.array([-1, 1], np.float32)
    return points.reshape(len(lips), 80).astype(np.float32)


def altered_mel(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another voice, room and microphone: warped and tilted spectrum, another level, noise."""
    channels = np.arange(80)
    warp = rng.uniform(0.85, 1.15)
    bend = channels * warp + rng.uniform(-3, 3)
    low = np.clip(np.floor(bend), 0, 78).astype(int)
    share = np.clip(bend - low, 0, 1)[:, None].astype(np.float32)
    mel = mel[low] * (1 - share) + mel[low + 1] * share
    waves = np.sin(np.outer(channels / 80, [2, 4, 7]) * np.pi + rng.uniform(0, 6, 3)) @ rng.normal(0, 0.03, 3)
    tilt = rng.normal(0, 0.06) * (channels / 40 - 1) + waves + rng.normal(0, 0.05)
    mel = (mel - 0.5) * rng.uniform(0.8, 1.2) + 0.5 + tilt[:, None]
    floor = rng.uniform(-0.2, 0.5)
    return np.clip(np.maximum(mel, floor) + rng.normal(0, 0.02, mel.shape), 0, 1).astype(np.float32)


def altered_crops(crops: Tensor, rng: np.random.Generator) -> Tensor:
    """Another place, size, lean, light and sharpness, one for each clip; jitter and noise for each frame."""
    count, time_, side = crops.shape[:3]
    uniform = lambda low, high, *shape: torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))  # noqa: E731
    scale, turn = uniform(0.85, 1.2, count), uniform(-0.2, 0.2, count)
    theta = torch.zeros(count, time_, 2, 3)
    stretch = uniform(0.85, 1.15, count)
    theta[..., 0, 0], theta[..., 0, 1] = (scale * turn.cos())[:, None], -(scale * turn.sin())[:, None]
    theta[..., 1, 0], theta[..., 1, 1] = (
        (scale * stretch * turn.sin())[:, None],
        (scale * stretch * turn.cos())[:, None],
    )
    theta[..., 2] = uniform(-0.15, 0.15, count, 1, 2) + torch.from_numpy(
        rng.normal(0, 0.01, (count, time_, 2)).astype(np.float32)
    )
    grid = functional.affine_grid(theta.flatten(0, 1), [count * time_, 1, side, side], align_corners=False)
    moved = functional.grid_sample(crops.flatten(0, 1)[:, None], grid, padding_mode="border", align_corners=False)
    moved = moved.view(count, time_, side, side) / 255
    blurred = functional.avg_pool2d(moved.flatten(0, 1)[:, None], 3, 1, 1).view_as(moved)
    moved = moved.lerp(blurred, uniform(0, 1.0, count, 1, 1, 1) * (uniform(0, 1, count, 1, 1, 1) < 0.5))
    moved = moved.clamp(1e-3, 1) ** uniform(0.6, 1.6, count, 1, 1, 1)
    noise = torch.from_numpy(rng.normal(0, 1, moved.shape).astype(np.float32)) * uniform(0, 0.04, count, 1, 1, 1)
    moved = moved + noise
    # As `metrics.crops.without_light` does it for a clip.
    mean, spread = moved.mean(dim=(1, 2, 3), keepdim=True), moved.std(dim=(1, 2, 3), keepdim=True)
    return (moved - mean) / (spread + 1 / 255)


def altered_lips(lips: Tensor, rng: np.random.Generator) -> Tensor:
    """Another face's size and offset, the tracker's jitter; nothing at all for one clip in four."""
    count, time_ = lips.shape[:2]
    scale = torch.from_numpy(rng.uniform(0.7, 1.4, (count, 1, 1)).astype(np.float32))
    offset = torch.from_numpy(rng.normal(0, 0.08, (count, 1, 80)).astype(np.float32))
    jitter = torch.from_numpy(rng.normal(0, 0.02, (count, time_, 80)).astype(np.float32))
    return lips * scale + offset + jitter
