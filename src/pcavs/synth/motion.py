"""Draws the scripted motion of a clip: smooth random movement of head, eyes, eyelids and brows.

Every number below was chosen by eye on renders.
"""

import dataclasses
from typing import Final

import numpy as np
from jaxtyping import Float, Float32

from pcavs.spec import FRAME_RATE

_STILL_SHARE, _STILL_LIVELINESS, _LIVELINESS = 0.3, (0.02, 0.12), (0.2, 1.0)
"""Share of the nearly still clips, range of their liveliness, and range of that of the others."""

_REST_SPREAD, _MAX_REST = 0.3, 0.8
"""Standard deviation and largest size of a clip's mean angles, as a fraction of the range of angles."""

_MIN_REST_SCALE: Final = 0.25
"""Factor on the mean angles at liveliness 0; it grows with liveliness up to 1."""

_TREMOR, _TREMOR_PERIOD_S = 0.012, 0.9
"""Size of a faster motion that even a still head has, as a fraction of the range of angles, and its longest period."""

_DRIFT_SCALE: Final = (0.9, 0.75, 0.75)
"""Factor on the motion of yaw, pitch and roll, as a fraction of the range of angles."""

_NOD_DEG, _NOD_FRAMES = 3.0, 5
"""Downward pitch at full emphasis and liveliness, and the window over which emphasis is smoothed for it."""

_SATURATION: Final = 1.1
"""Steepness of the hyperbolic tangent that limits the angles."""

_MIN_SHIFT_SCALE: Final = 0.15
"""Factor on the shift at liveliness 0; it grows with liveliness up to 1."""

_PERIOD_S: Final = 3.5
"""Longest period of the head's motion."""

_PERIOD_RATIOS: Final = (1.0, 0.62, 0.41, 0.27, 0.19)
"""Periods of the five waves of a random curve, relative to the longest."""

_STRENGTHS: Final = (1.0, 0.7, 0.35, 0.14, 0.06)
"""Amplitudes of the five waves."""

_PERIOD_JITTER, _STRENGTH_JITTER = (0.8, 1.5), (0.3, 1.0)
"""Ranges of the random factors on periods and amplitudes."""

_WAVE_SUM: Final = 1.2
"""Divisor of the sum of the waves, so that most of a curve lies within [-1, 1]."""

_GAZE_HOLD: Final = (0.1, 0.7)
"""Range of the fraction of the head's yaw and pitch that the eyes turn back towards the camera."""

_SACCADE_SPREAD_DEG, _SACCADE_FRAMES = 2.5, 18
"""Standard deviation of the eyes' jumps and frames between two of them (0.72 s)."""

_MAX_GAZE_DEG: Final = (22, 12)
"""Largest yaw and pitch of the eyes in the head."""

_BLINK_CLOSE_S, _BLINK_SHUT_S, _BLINK_OPEN_S = 0.08, 0.03, 0.14
"""Time in which the eyelids close, stay shut and open."""

_FIRST_BLINK_S, _BLINK_INTERVAL_S = (-0.1, 3.0), (1.2, 5.0)
"""Range of the first blink's time and of the time between two blinks."""

_ACCENT_LEVEL, _ACCENT_FRAMES, _ACCENT = 0.6, 9, (-0.1, 0.7)
"""Emphasis from which on brows move, the window over which it is smoothed, and the range of the motion at full
emphasis."""

_MOOD_SPREAD, _MOOD_DRIFT = 0.15, 0.15
"""Standard deviation of the brows' resting height in a clip, and size of their slow drift about it."""

_BROW_RANGE: Final = (-0.6, 1)
"""Lowest and highest brows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MotionStyle:
    """How much a head moves in a clip."""

    reach_deg: tuple[float, float, float] = (60.0, 30.0, 25.0)
    """Largest yaw, pitch and roll."""
    liveliness: float = 0.5
    """0 holds nearly still, 1 sweeps through the whole range within a clip."""
    shift_m: tuple[float, float, float] = (0.03, 0.015, 0.06)
    """Size of the motion to the side, upwards and towards the camera, in metres."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScriptedMotion:
    """Motion of one clip, one row per frame."""

    angles_deg: Float32[np.ndarray, "time 3"]
    """Yaw, pitch, roll, as `pcavs.face.pose` defines them."""
    shift_m: Float32[np.ndarray, "time 3"]
    """To the picture's right, up, and towards the camera, in metres."""
    gaze_deg: Float32[np.ndarray, "time 2"]
    """Yaw and pitch of the eyes relative to the head."""
    blink: Float32[np.ndarray, " time"]
    """0 open, 1 shut."""
    brow: Float32[np.ndarray, " time"]
    """-1 lowered, 1 raised."""


def random_style(random: np.random.Generator) -> MotionStyle:
    """Draws a style: three clips in ten nearly still, the others up to very lively."""
    liveliness = random.uniform(*_STILL_LIVELINESS) if random.random() < _STILL_SHARE else random.uniform(*_LIVELINESS)
    return MotionStyle(liveliness=float(liveliness))


def random_motion(
    num_frames: int, style: MotionStyle, emphasis: Float32[np.ndarray, " time"], random: np.random.Generator
) -> ScriptedMotion:
    """Draws the motion of a clip.

    The head drifts about a resting direction and nods a little where the speech is loud; the eyes stay partly on the
    camera while the head turns away.

    Args:
        num_frames: Length of the clip.
        style: Range and liveliness of the motion.
        emphasis: Loudness of the speech at each frame, 0 to 1.
        random: Draws everything.
    """
    reach = np.asarray(style.reach_deg)
    rest = (
        np.clip(random.normal(0, _REST_SPREAD, 3), -_MAX_REST, _MAX_REST)
        * reach
        * min(1.0, _MIN_REST_SCALE + style.liveliness)
    )
    drift = np.stack([smooth_curve(num_frames, random) for _ in range(3)], axis=1) * style.liveliness
    tremor = np.stack([smooth_curve(num_frames, random, _TREMOR_PERIOD_S) for _ in range(3)], axis=1) * _TREMOR
    angles = rest + (drift + tremor) * reach * np.array(_DRIFT_SCALE)
    angles[:, 1] -= _NOD_DEG * style.liveliness * _smoothed(emphasis, _NOD_FRAMES)
    angles = reach * np.tanh(angles / reach * _SATURATION) / np.tanh(_SATURATION)
    shift = np.stack([smooth_curve(num_frames, random) for _ in range(3)], axis=1)
    shift *= np.asarray(style.shift_m) * (_MIN_SHIFT_SCALE + (1 - _MIN_SHIFT_SCALE) * style.liveliness)
    return ScriptedMotion(
        angles_deg=np.clip(angles, -reach, reach).astype(np.float32),
        shift_m=shift.astype(np.float32),
        gaze_deg=_gaze(angles, random),
        blink=_blinks(num_frames, random),
        brow=_brows(emphasis, random),
    )


def smooth_curve(
    num_frames: int, random: np.random.Generator, longest_period_s: float = _PERIOD_S
) -> Float[np.ndarray, " time"]:
    """Draws a smooth curve, mostly within [-1, 1]: the sum of five sine waves of random period, amplitude and phase."""
    times_s = np.arange(num_frames) / FRAME_RATE
    periods_s = longest_period_s * np.array(_PERIOD_RATIOS) * random.uniform(*_PERIOD_JITTER, len(_PERIOD_RATIOS))
    strengths = np.array(_STRENGTHS) * random.uniform(*_STRENGTH_JITTER, len(_STRENGTHS))
    phases = random.uniform(0, 2 * np.pi, len(_STRENGTHS))
    waves = strengths * np.sin(2 * np.pi * times_s[:, None] / periods_s + phases)
    return waves.sum(axis=1) / _WAVE_SUM


def _gaze(angles_deg: Float[np.ndarray, "time 3"], random: np.random.Generator) -> Float32[np.ndarray, "time 2"]:
    """Turns the eyes back towards the camera by a fraction of the head's turn, and adds small jumps."""
    num_frames = len(angles_deg)
    hold = random.uniform(*_GAZE_HOLD)
    targets = random.normal(0, _SACCADE_SPREAD_DEG, (num_frames // _SACCADE_FRAMES + 2, 2))
    jumps = np.repeat(targets, _SACCADE_FRAMES, axis=0)[:num_frames]
    jumps = np.roll(jumps, int(random.integers(_SACCADE_FRAMES)), axis=0)
    gaze = -hold * angles_deg[:, :2] + jumps
    return np.clip(gaze, np.negative(_MAX_GAZE_DEG), _MAX_GAZE_DEG).astype(np.float32)


def _blinks(num_frames: int, random: np.random.Generator) -> Float32[np.ndarray, " time"]:
    times_s = np.arange(num_frames) / FRAME_RATE
    closure = np.zeros(num_frames)
    start_s = random.uniform(*_FIRST_BLINK_S)
    while start_s < times_s[-1]:
        since_s = times_s - start_s
        closing = since_s / _BLINK_CLOSE_S
        opening = 1 - (since_s - _BLINK_CLOSE_S - _BLINK_SHUT_S) / _BLINK_OPEN_S
        closure = np.maximum(closure, np.clip(np.minimum(closing, opening), 0, 1))
        start_s += random.uniform(*_BLINK_INTERVAL_S)
    return closure.astype(np.float32)


def _brows(emphasis: Float32[np.ndarray, " time"], random: np.random.Generator) -> Float32[np.ndarray, " time"]:
    above = np.maximum(emphasis - _ACCENT_LEVEL, 0) / (1 - _ACCENT_LEVEL)
    accent = _smoothed(above, _ACCENT_FRAMES) * random.uniform(*_ACCENT)
    mood = random.normal(0, _MOOD_SPREAD) + _MOOD_DRIFT * smooth_curve(len(emphasis), random)
    return np.clip(accent + mood, *_BROW_RANGE).astype(np.float32)


def _smoothed(values: Float[np.ndarray, " time"], width: int) -> Float[np.ndarray, " time"]:
    """Low-pass filters with a Hann window of `width` frames (odd); the ends are repeated."""
    window = np.hanning(width + 2)[1:-1]
    padded = np.pad(values, width // 2, mode="edge")
    return np.convolve(padded, window / window.sum(), mode="valid")
