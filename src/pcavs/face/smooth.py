"""Smooths a whole track without moving it in time."""

from typing import Final

import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.regions import interocular_distance

_STILL_HZ: Final = 2.0
"""Cut-off for a point at rest: the landmarks' jitter goes, a drifting head stays."""
_REST_SPEED: Final = 0.1
"""Eye distances a second that jitter alone reaches (0.2 % of the eye distance in each frame)."""
_HZ_PER_SPEED: Final = 120.0
"""Opening of the cut-off for each eye distance a second above that: lips that open by 4 mm pass untouched."""
_SPEED_STEPS: Final = 4
"""Steps between frames over which a point's speed is averaged, two on each side, so that a turning point does not
count as rest."""


def smooth_meshes(meshes: Float32[np.ndarray, "time 478 3"], frame_rate: int) -> Float32[np.ndarray, "time 478 3"]:
    """Takes jitter out of resting points and leaves fast ones alone: the One-Euro filter, run both ways.

    The filter's one fault is lag. As the whole clip is known, it is run forwards and backwards and the two are
    averaged, so that their lags cancel exactly and lips stay on their sound.

    Reference: Casiez, Roussel and Vogel, "1 Euro filter", CHI 2012.
    """
    if len(meshes) < 2:
        return meshes
    eye_distance = float(np.median(interocular_distance(meshes)))
    gains = _gains(meshes.astype(np.float64) / eye_distance, frame_rate)
    forwards = _filtered(meshes, gains)
    backwards = _filtered(meshes[::-1], gains[::-1])[::-1]
    return ((forwards + backwards) / 2).astype(np.float32)


def _gains(points: Float[np.ndarray, "time 478 3"], frame_rate: int) -> Float[np.ndarray, "time 478 1"]:
    """Share of the new value in each step; 1 follows at once."""
    # Depth is guessed and jitters most: it follows the speed seen in the picture.
    speed = np.linalg.norm(np.diff(points[..., :2], axis=0), axis=-1) * frame_rate
    padded = np.pad(speed, ((_SPEED_STEPS // 2, _SPEED_STEPS // 2), (0, 0)), mode="edge")
    mean_speed = np.lib.stride_tricks.sliding_window_view(padded, _SPEED_STEPS, axis=0).mean(axis=-1)
    cutoff_hz = _STILL_HZ + _HZ_PER_SPEED * np.maximum(mean_speed - _REST_SPEED, 0)
    return (1 / (1 + frame_rate / (2 * np.pi * cutoff_hz)))[..., None]


def _filtered(
    values: Float[np.ndarray, "time 478 3"], gains: Float[np.ndarray, "time 478 1"]
) -> Float[np.ndarray, "time 478 3"]:
    smooth = np.empty(values.shape)
    smooth[0] = values[0]
    for t in range(1, len(values)):
        smooth[t] = smooth[t - 1] + gains[t] * (values[t] - smooth[t - 1])
    return smooth
