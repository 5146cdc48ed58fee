"""Confidence intervals of means and medians."""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

_INTERVAL_PERCENTILES: Final = (2.5, 97.5)
"""Bounds of a 95 % interval."""
_ANGLES: Final = 200_001
"""Steps of the numerical integration of Student's distribution: five digits of its quantile."""


class Interval(NamedTuple):
    """A mean or a median with its 95 % confidence interval."""

    estimate: float
    low: float
    high: float


def bootstrap(
    values: Float[np.ndarray, " n"],
    rng: np.random.Generator,
    draws: int = 10_000,
    statistic: Callable[..., np.ndarray] = np.mean,
) -> Interval:
    """Computes the percentile bootstrap interval of a mean or a median.

    Give it differences of pairs for a paired comparison.

    Args:
        values: One value for each independent unit, such as a clip or a person.
        rng: Source of randomness.
        draws: Number of resamples.
        statistic: `np.mean` or `np.median`.

    Reference: Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 1979.
    """
    picks = rng.integers(len(values), size=(draws, len(values)))
    resampled = statistic(np.asarray(values)[picks], axis=1)
    low, high = np.percentile(resampled, _INTERVAL_PERCENTILES)
    return Interval(float(statistic(values)), float(low), float(high))


def student_interval(values: Float[np.ndarray, " n"]) -> Interval:
    """Computes Student's 95 % interval of a mean; use it where values are few, where the bootstrap's is too narrow.

    Args:
        values: One value for each independent unit; one value alone has an infinite interval.

    Reference: Student, "The probable error of a mean", Biometrika 1908.
    """
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return Interval(mean, -math.inf, math.inf)
    reach = _student_quantile(count - 1) * float(np.std(values, ddof=1)) / math.sqrt(count)
    return Interval(mean, mean - reach, mean + reach)


def _student_quantile(freedom: int) -> float:
    """Returns the 97.5 % quantile of Student's distribution: with x = sqrt(v) tan(a) its density is cos(a)^(v - 1)."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, _ANGLES)
    shares = np.cumsum(np.cos(angles) ** (freedom - 1))
    angle = np.interp(_INTERVAL_PERCENTILES[1] / 100, shares / shares[-1], angles)
    return math.sqrt(freedom) * math.tan(float(angle))
