"""Smooths the landmarks of a whole clip without a time lag."""

from typing import Final

import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.regions import interocular_distance

_MIN_CUTOFF_HZ: Final = 2.0
"""Cut-off frequency for a point at rest: it removes the jitter of landmarks and keeps the drift of a head. Tuned by
hand."""
_REST_SPEED: Final = 0.1
"""Speed up to which a point counts as at rest, in eye distances a second: what jitter of 0.2 % of the eye distance in
each frame reaches."""
_CUTOFF_HZ_PER_SPEED: Final = 120.0
"""Increase of the cut-off frequency for each eye distance a second above `_REST_SPEED`. Tuned by hand, so that lips
which open by 4 mm four times a second keep 95 % of their motion (a test checks it)."""
_SPEED_STEPS: Final = 4
"""Steps between frames over which a point's speed is averaged, two before and two after it, so that the turning point
of a motion does not count as rest."""


def smooth_meshes(meshes: Float32[np.ndarray, "time 478 3"], frame_rate: int) -> Float32[np.ndarray, "time 478 3"]:
    """Smooths points at rest and leaves moving points alone, with the One-Euro filter run in both directions of time.

    The filter's output lags behind its input. The clip is known as a whole, so it is filtered forwards and backwards,
    and the mean of the two has no lag: lips stay in sync with the sound.

    Args:
        meshes: Landmarks of consecutive frames, in any one unit.
        frame_rate: Frames a second.

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
    """Computes the weight of the new value in each step of the filter, up to 1; `points` are in eye distances."""
    # The landmarks' depth has the largest error, so the speed is measured in the image plane.
    speed = np.linalg.norm(np.diff(points[..., :2], axis=0), axis=-1) * frame_rate
    padded = np.pad(speed, ((_SPEED_STEPS // 2, _SPEED_STEPS // 2), (0, 0)), mode="edge")
    mean_speed = np.lib.stride_tricks.sliding_window_view(padded, _SPEED_STEPS, axis=0).mean(axis=-1)
    cutoff_hz = _MIN_CUTOFF_HZ + _CUTOFF_HZ_PER_SPEED * np.maximum(mean_speed - _REST_SPEED, 0)
    return (1 / (1 + frame_rate / (2 * np.pi * cutoff_hz)))[..., None]


def _filtered(
    values: Float[np.ndarray, "time 478 3"], gains: Float[np.ndarray, "time 478 1"]
) -> Float[np.ndarray, "time 478 3"]:
    """Runs an exponential moving average forwards in time, with a gain for each step and point."""
    smooth = np.empty(values.shape)
    smooth[0] = values[0]
    for t in range(1, len(values)):
        smooth[t] = smooth[t - 1] + gains[t] * (values[t] - smooth[t - 1])
    return smooth
