"""Smooths a whole track without moving it in time."""

from typing import Final

import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.regions import interocular_distance

_STILL_HZ: Final = 2.0
"""Cut-off for a point at rest: the landmarks' jitter goes, a drifting head stays."""
_HZ_PER_SPEED: Final = 60.0
"""Opening of the cut-off, in Hz for each eye distance a second: fast lips pass untouched."""
_SPEED_WINDOW: Final = 5
"""Frames over which a point's speed is averaged, centred, so that a turning point does not count as rest."""


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
    speed = np.linalg.norm(np.diff(points, axis=0), axis=-1) * frame_rate
    half = _SPEED_WINDOW // 2
    padded = np.pad(speed, ((half, half + 1), (0, 0)), mode="edge")
    sums = np.cumsum(np.pad(padded, ((1, 0), (0, 0))), axis=0)
    mean_speed = (sums[_SPEED_WINDOW:] - sums[:-_SPEED_WINDOW]) / _SPEED_WINDOW
    cutoff_hz = _STILL_HZ + _HZ_PER_SPEED * mean_speed[: len(points)]
    return (1 / (1 + frame_rate / (2 * np.pi * cutoff_hz)))[..., None]


def _filtered(
    values: Float[np.ndarray, "time 478 3"], gains: Float[np.ndarray, "time 478 1"]
) -> Float[np.ndarray, "time 478 3"]:
    smooth = np.empty(values.shape)
    smooth[0] = values[0]
    for t in range(1, len(values)):
        smooth[t] = smooth[t - 1] + gains[t] * (values[t] - smooth[t - 1])
    return smooth
