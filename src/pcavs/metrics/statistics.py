"""Confidence intervals of means and medians."""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

_INTERVAL_PERCENTILES: Final = (2.5, 97.5)
"""Bounds of a 95 % interval."""


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
