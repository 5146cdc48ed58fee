"""Compares curves over time: correlation, lag, angle errors, and how much a motion changed between two films."""

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

Curve = Float[np.ndarray, " time"]
Curves = Float[np.ndarray, "time curves"]

MAX_LAG_FRAMES: Final = 10
"""Lags searched in each direction (0.4 s): longer than any delay that a viewer would accept. Tuned by hand; not
measured."""

_MIN_NORM: Final = 1e-9
"""Curves whose product of norms is smaller count as constant: rounding noise has no correlation."""
_MIN_TOTAL: Final = 1e-12
"""Summed squares below which there was no motion at all, in the squared unit of the curves."""
_ROUNDED_DIGITS: Final = 12
"""Decimals by which correlations are compared, so that rounding errors do not decide between equal lags."""


def correlation(made: Curve, truth: Curve) -> float:
    """Computes the Pearson correlation of two curves, -1 to 1; 0 where one of them is constant (a frozen mouth)."""
    made, truth = made - made.mean(), truth - truth.mean()
    norm = float(np.sqrt((made**2).sum() * (truth**2).sum()))
    return float((made * truth).sum()) / norm if norm > _MIN_NORM else 0.0


class LaggedCorrelation(NamedTuple):
    """Correlation of two curves at lag 0 and at the best lag."""

    correlation: float
    """Pearson correlation at lag 0, -1 to 1; 0 where one of the curves is constant."""
    lag_frames: int
    """Lag of the largest correlation; positive: the generated curve is late."""
    peak: float
    """Correlation at that lag."""


def lagged_correlation(made: Curve, truth: Curve, max_lag_frames: int = MAX_LAG_FRAMES) -> LaggedCorrelation:
    """Correlates two curves of one length at every lag from -max_lag_frames to max_lag_frames.

    Only the overlapping part counts at each lag. Of equal correlations the smallest lag wins, so that a constant
    curve has lag 0.
    """
    reach = min(max_lag_frames, len(made) - 2)
    values = [correlation(*_overlapping(made, truth, lag)) for lag in range(-reach, reach + 1)]
    best = max(range(len(values)), key=lambda index: (round(values[index], _ROUNDED_DIGITS), -abs(index - reach)))
    return LaggedCorrelation(values[reach], best - reach, values[best])


def _overlapping(made: Curve, truth: Curve, lag: int) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    count = len(made) - abs(lag)
    return made[max(0, lag) :][:count], truth[max(0, -lag) :][:count]


def angle_error(made: Curves, truth: Curves) -> Float[np.ndarray, " curves"]:
    """Computes the mean absolute difference of each angle over time, in degrees, 0 to 180.

    Differences are taken the short way round: 179 and -179 degrees are 2 degrees apart.
    """
    return np.abs((made - truth + 180) % 360 - 180).mean(axis=0)


def relative_angle_error(made: Curves, truth: Curves) -> Float[np.ndarray, " curves"]:
    """Computes `angle_error` after subtracting each curve's mean: the error of the motion, without its offset."""
    return angle_error(made - made.mean(axis=0), truth - truth.mean(axis=0))


class MotionChange(NamedTuple):
    """How much a motion differs between two films; sums over frames, so that clips can be added up."""

    changed: float
    """Sum of |after - before|², each curve less its own mean."""
    total: float
    """Sum of |before|² + |after|², each curve less its own mean."""

    @property
    def share(self) -> float:
        """Returns changed / total, 0 to 2.

        0: the motion stayed the same. 1: the two motions are uncorrelated. 2: one is the negative of the other.
        Where there is hardly any motion, tracking noise gives about 1; sum over clips before taking the ratio.
        """
        return self.changed / self.total if self.total > _MIN_TOTAL else 0.0


def motion_change(before: Curves, after: Curves) -> MotionChange:
    """Compares the same curves of two films, such as the head angles before and after exchanging one input."""
    before, after = before - before.mean(axis=0), after - after.mean(axis=0)
    return MotionChange(float(np.square(after - before).sum()), float(np.square(before).sum() + np.square(after).sum()))
