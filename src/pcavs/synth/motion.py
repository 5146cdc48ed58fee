"""Seeded, smooth movement of head, eyes, lids and brows; pure numpy."""

import dataclasses

import numpy as np
from jaxtyping import Float, Float32

from pcavs.spec import FRAME_RATE

_BLINK_DOWN_S, _BLINK_SHUT_S, _BLINK_UP_S = 0.08, 0.03, 0.14


@dataclasses.dataclass(frozen=True, kw_only=True)
class MotionStyle:
    """How lively a head is."""

    reach_deg: tuple[float, float, float] = (60.0, 30.0, 25.0)
    """Largest yaw, pitch and roll."""
    liveliness: float = 0.5
    """0 holds nearly still, 1 sweeps through the whole reach within a clip."""
    shift_m: tuple[float, float, float] = (0.03, 0.015, 0.06)
    """Largest sideways, upward and forward movement."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Motion:
    """Movement of one clip, one row a frame."""

    angles_deg: Float32[np.ndarray, "time 3"]
    """Yaw, pitch, roll."""
    shift_m: Float32[np.ndarray, "time 3"]
    gaze_deg: Float32[np.ndarray, "time 2"]
    blink: Float32[np.ndarray, " time"]
    """0 open, 1 shut."""
    brow: Float32[np.ndarray, " time"]
    """-1 lowered, 1 raised."""


def random_style(random: np.random.Generator) -> MotionStyle:
    """Draws a style: a third of the clips nearly still, the others up to very lively."""
    liveliness = random.uniform(0.02, 0.12) if random.random() < 0.3 else random.uniform(0.2, 1.0)
    return MotionStyle(liveliness=float(liveliness))


def random_motion(
    num_frames: int, style: MotionStyle, emphasis: Float32[np.ndarray, " time"], random: np.random.Generator
) -> Motion:
    """Draws the movement of a clip.

    The head drifts about a resting direction and nods a little with the speech's emphasis; the eyes stay partly on
    the camera while the head turns away.

    Args:
        emphasis: Loudness of the speech a frame, 0 to 1; its length is num_frames.
    """
    reach = np.asarray(style.reach_deg)
    rest = np.clip(random.normal(0, 0.3, 3), -0.8, 0.8) * reach * min(1.0, 0.25 + style.liveliness)
    drift = np.stack([wandering(num_frames, random) for _ in range(3)], axis=1) * style.liveliness
    tremor = np.stack([wandering(num_frames, random, slowest_s=0.9) for _ in range(3)], axis=1) * 0.012
    angles = rest + (drift + tremor) * reach * np.array([0.9, 0.75, 0.75])
    angles[:, 1] -= 3.0 * style.liveliness * _smoothed(emphasis, 5)
    angles = reach * np.tanh(angles / reach * 1.1) / np.tanh(1.1)
    shift = np.stack([wandering(num_frames, random) for _ in range(3)], axis=1)
    shift *= np.asarray(style.shift_m) * (0.15 + 0.85 * style.liveliness)
    return Motion(
        angles_deg=np.clip(angles, -reach, reach).astype(np.float32),
        shift_m=shift.astype(np.float32),
        gaze_deg=_gaze(angles, random),
        blink=_blinks(num_frames, random),
        brow=_brows(emphasis, random),
    )


def wandering(num_frames: int, random: np.random.Generator, slowest_s: float = 3.5) -> Float[np.ndarray, " time"]:
    """A smooth random curve, mostly within [-1, 1]: five waves of random phase, the slowest the strongest."""
    times_s = np.arange(num_frames) / FRAME_RATE
    periods_s = slowest_s * np.array([1.0, 0.62, 0.41, 0.27, 0.19]) * random.uniform(0.8, 1.5, 5)
    strengths = np.array([1.0, 0.7, 0.35, 0.14, 0.06]) * random.uniform(0.3, 1.0, 5)
    phases = random.uniform(0, 2 * np.pi, 5)
    waves = strengths * np.sin(2 * np.pi * times_s[:, None] / periods_s + phases)
    return waves.sum(axis=1) / 1.2


def _gaze(angles_deg: Float[np.ndarray, "time 3"], random: np.random.Generator) -> Float32[np.ndarray, "time 2"]:
    """Holds the camera with a share of the head's turn undone, plus small jumps every second or so."""
    num_frames = len(angles_deg)
    share = random.uniform(0.1, 0.7)
    jumps = np.repeat(random.normal(0, 2.5, (num_frames // 18 + 2, 2)), 18, axis=0)[:num_frames]
    jumps = np.roll(jumps, int(random.integers(18)), axis=0)
    gaze = -share * angles_deg[:, :2] + jumps
    return np.clip(gaze, (-22, -12), (22, 12)).astype(np.float32)


def _blinks(num_frames: int, random: np.random.Generator) -> Float32[np.ndarray, " time"]:
    times_s = np.arange(num_frames) / FRAME_RATE
    lids = np.zeros(num_frames)
    start_s = random.uniform(-0.1, 3.0)
    while start_s < times_s[-1]:
        since = times_s - start_s
        down = since / _BLINK_DOWN_S
        up = 1 - (since - _BLINK_DOWN_S - _BLINK_SHUT_S) / _BLINK_UP_S
        lids = np.maximum(lids, np.clip(np.minimum(down, up), 0, 1))
        start_s += random.uniform(1.2, 5.0)
    return lids.astype(np.float32)


def _brows(emphasis: Float32[np.ndarray, " time"], random: np.random.Generator) -> Float32[np.ndarray, " time"]:
    accent = _smoothed(np.maximum(emphasis - 0.6, 0) / 0.4, 9) * random.uniform(-0.1, 0.7)
    mood = random.normal(0, 0.15) + 0.15 * wandering(len(emphasis), random)
    return np.clip(accent + mood, -0.6, 1).astype(np.float32)


def _smoothed(values: Float[np.ndarray, " time"], width: int) -> Float[np.ndarray, " time"]:
    window = np.hanning(width + 2)[1:-1]
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, window / window.sum(), mode="valid")
