"""Landmark metrics: distance to the true landmarks, jitter, speed and blinks."""

from typing import Final

import numpy as np
from jaxtyping import Bool, Float

from pcavs.spec import FRAME_RATE

Points = Float[np.ndarray, "time points axes"]

_SECONDS_PER_MINUTE: Final = 60

_OPEN_EYE_PERCENTILE: Final = 75.0
"""Percentile of a clip's eye aspect ratio that stands for the open eye. Tuned by hand; not measured."""
_SHUT_SHARE: Final = 0.6
"""An eye counts as shut below this share of the open eye's aspect ratio. Tuned by hand; not measured."""
_MIN_OPEN_RATIO: Final = 0.12
"""Below this aspect ratio of the open eye, the eye was never open and blinks are not counted. Tuned by hand; not
measured."""
_MAX_BLINK_FRAMES: Final = 12
"""Longest blink (0.48 s); an eye that stays shut longer is not blinking. Tuned by hand; not measured."""


def landmark_distance(made: Points, truth: Points) -> Float[np.ndarray, " time"]:
    """Computes the mean Euclidean distance of corresponding points in each frame (LMD), in the points' unit.

    Includes errors of the head's place and pose. Divide by the eye distance for a figure that does not depend on
    the size of the face.

    Reference: Chen, Li, Maddox, Duan and Xu, "Lip movements generation at a glance", ECCV 2018.
    """
    return np.linalg.norm(made.astype(np.float64) - truth.astype(np.float64), axis=-1).mean(axis=-1)


def shape_distance(made: Points, truth: Points) -> Float[np.ndarray, " time"]:
    """Computes `landmark_distance` after subtracting each point's mean over the clip, in the points' unit.

    Measures how points move and ignores a constant offset, such as another person's lip shape.
    """
    return landmark_distance(made - made.mean(axis=0), truth - truth.mean(axis=0))


def jitter(points: Points) -> float:
    """Computes the root mean square of the points' second differences over time, in the points' unit per frame².

    Uniform motion scores 0. White noise of standard deviation s scores s √6 per axis. Give it unsmoothed landmarks.
    Fewer than three frames score 0.
    """
    if len(points) < 3:
        return 0.0
    second = np.diff(points.astype(np.float64), n=2, axis=0)
    return float(np.sqrt(np.square(second).sum(axis=-1).mean()))


def rms_speed(points: Points, frames: Bool[np.ndarray, " time"]) -> float:
    """Computes the root mean square speed of points within selected frames, in the points' unit per second.

    Only steps between two selected neighbours count; 0 where there are none.
    """
    both = frames[1:] & frames[:-1]
    steps = np.diff(points.astype(np.float64), axis=0)[both] * FRAME_RATE
    return float(np.sqrt(np.square(steps).sum(axis=-1).mean())) if len(steps) else 0.0


def eye_aspect_ratio(eye: Float[np.ndarray, "time 6 axes"]) -> Float[np.ndarray, " time"]:
    """Computes the height of an eye divided by its width (EAR): about 0.3 when open, below 0.15 when shut.

    Args:
        eye: Outer corner, two points of the upper lid, inner corner, two of the lower lid; in this order or mirrored.

    Reference: Soukupova and Cech, "Real-time eye blink detection using facial landmarks", CVWW 2016.
    """
    eye = eye.astype(np.float64)
    heights = np.linalg.norm(eye[:, 1] - eye[:, 5], axis=-1) + np.linalg.norm(eye[:, 2] - eye[:, 4], axis=-1)
    return heights / (2 * np.linalg.norm(eye[:, 0] - eye[:, 3], axis=-1))


def blinks_per_minute(aspect_ratio: Float[np.ndarray, " time"]) -> float:
    """Counts how often an eye shuts for at most half a second, per minute.

    Args:
        aspect_ratio: Eye aspect ratio of each frame.
    """
    open_ratio = float(np.percentile(aspect_ratio, _OPEN_EYE_PERCENTILE))
    shut = aspect_ratio < _SHUT_SHARE * open_ratio
    if open_ratio < _MIN_OPEN_RATIO or not shut.any():
        return 0.0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], shut, [False]]).astype(np.int8)))
    lengths = edges[1::2] - edges[::2]
    return float((lengths <= _MAX_BLINK_FRAMES).sum() * _SECONDS_PER_MINUTE * FRAME_RATE / len(aspect_ratio))
