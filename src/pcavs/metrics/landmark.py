"""Where the landmarks are, and how they move."""

from typing import Final

import numpy as np
from jaxtyping import Bool, Float

from pcavs.spec import FRAME_RATE

Points = Float[np.ndarray, "time points axes"]

_BLINK_SHARE: Final = 0.6
"""Of the clip's usual lid opening: below, the eye counts as shut."""
_LONGEST_BLINK_FRAMES: Final = 12
_USUAL_OPENING: Final = 75.0
"""Percentile of the lid opening that stands for an open eye."""
_LEAST_OPENING: Final = 0.12
"""Below, an eye was never open, and a blink means nothing."""


def landmark_distance(made: Points, truth: Points) -> Float[np.ndarray, " time"]:
    """Mean distance of corresponding points in each frame (LMD), in the points' unit.

    Place and pose of the head count too. Divide by the eye distance for a share that does not depend on the size.

    Reference: Chen, Li, Maddox, Duan and Xu, "Lip movements generation at a glance", ECCV 2018.
    """
    return np.linalg.norm(made.astype(np.float64) - truth.astype(np.float64), axis=-1).mean(axis=-1)


def shape_distance(made: Points, truth: Points) -> Float[np.ndarray, " time"]:
    """As `landmark_distance`, of points less their own average over the clip: how they move, not where they rest."""
    return landmark_distance(made - made.mean(axis=0), truth - truth.mean(axis=0))


def jitter(points: Points) -> float:
    """Root mean square of the points' second differences over time, a frame's worth, in the points' unit.

    Even motion has none; white noise of spread s has s times the root of 6 an axis. Give it unsmoothed tracks.
    """
    if len(points) < 3:
        return 0.0
    second = np.diff(points.astype(np.float64), n=2, axis=0)
    return float(np.sqrt(np.square(second).sum(axis=-1).mean()))


def motion_rms(points: Points, frames: Bool[np.ndarray, " time"]) -> float:
    """Root mean square speed of points in some frames, units a second; 0 where no two neighbours are among them."""
    both = frames[1:] & frames[:-1]
    steps = np.diff(points.astype(np.float64), axis=0)[both] * FRAME_RATE
    return float(np.sqrt(np.square(steps).sum(axis=-1).mean())) if len(steps) else 0.0


def lid_opening(eye: Float[np.ndarray, "time 6 axes"]) -> Float[np.ndarray, " time"]:
    """Height of an eye over its width: about 0.3 open, below 0.15 shut.

    Args:
        eye: Outer corner, two points of the upper lid, inner corner, two of the lower lid; in this order or mirrored.

    Reference: Soukupova and Cech, "Real-time eye blink detection using facial landmarks", CVWW 2016.
    """
    eye = eye.astype(np.float64)
    heights = np.linalg.norm(eye[:, 1] - eye[:, 5], axis=-1) + np.linalg.norm(eye[:, 2] - eye[:, 4], axis=-1)
    return heights / (2 * np.linalg.norm(eye[:, 0] - eye[:, 3], axis=-1))


def blinks_a_minute(opening: Float[np.ndarray, " time"]) -> float:
    """Counts the times that an eye shuts for half a second at most, a minute of film."""
    usual = float(np.percentile(opening, _USUAL_OPENING))
    shut = opening < _BLINK_SHARE * usual
    if usual < _LEAST_OPENING or not shut.any():
        return 0.0
    edges = np.flatnonzero(np.diff(np.concatenate([[False], shut, [False]]).astype(np.int8)))
    lengths = edges[1::2] - edges[::2]
    return float((lengths <= _LONGEST_BLINK_FRAMES).sum() * 60 * FRAME_RATE / len(opening))
