"""How one curve over time follows another."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from pcavs.metrics.mouth import correlation

Curve = Float[np.ndarray, " time"]
Curves = Float[np.ndarray, "time curves"]


class Follows(NamedTuple):
    """How a curve follows another one."""

    correlation: float
    """Pearson's at no lag; 0 where one of the curves is constant."""
    lag_frames: int
    """Shift at which the correlation is largest; positive: the made curve is late."""
    best: float
    """Correlation at that shift."""


def follows(made: Curve, truth: Curve, reach: int = 10) -> Follows:
    """Compares two curves at every shift up to `reach` frames."""
    reach = min(reach, len(made) - 2)
    values = [correlation(*_overlapping(made, truth, lag)) for lag in range(-reach, reach + 1)]
    # Of equal ones the smallest shift: a constant curve has no lag.
    best = max(range(len(values)), key=lambda index: (round(values[index], 12), -abs(index - reach)))
    return Follows(values[reach], best - reach, values[best])


def _overlapping(made: Curve, truth: Curve, lag: int) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    count = len(made) - abs(lag)
    return made[max(0, lag) :][:count], truth[max(0, -lag) :][:count]


def angle_error(made: Curves, truth: Curves) -> Float[np.ndarray, " curves"]:
    """Mean absolute difference of each angle over time, in degrees; turns are taken the short way round."""
    return np.abs((made - truth + 180) % 360 - 180).mean(axis=0)


def relative_angle_error(made: Curves, truth: Curves) -> Float[np.ndarray, " curves"]:
    """As `angle_error`, of angles less their own average over the clip: the motion, not where it is about."""
    return angle_error(made - made.mean(axis=0), truth - truth.mean(axis=0))


class Exchange(NamedTuple):
    """What happened to a motion when one source of a film was exchanged; sums, so that clips can be added up."""

    changed: float
    """Squared difference of the two films' curves, each less its own average."""
    spread: float
    """Their squares, added."""

    @property
    def share(self) -> float:
        """How much of the motion followed: 0, nothing; 1, the new has nothing in common with the old; 2, its opposite.

        Motion of nearly nothing is noise, whose share is 1: add clips up before taking it.
        """
        return self.changed / self.spread if self.spread > 1e-12 else 0.0


def exchange(before: Curves, after: Curves) -> Exchange:
    """Compares the same curves of two films that differ in one source."""
    before, after = before - before.mean(axis=0), after - after.mean(axis=0)
    return Exchange(float(np.square(after - before).sum()), float(np.square(before).sum() + np.square(after).sum()))
