"""How sure a mean is."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Interval(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


def bootstrap(values: Float[np.ndarray, " n"], rng: np.random.Generator, draws: int = 10_000) -> Interval:
    """Resamples values with replacement (percentile bootstrap, Efron 1979); give it differences for a paired test.

    Args:
        values: One a clip (or a person): the unit that is independent of the others.
        rng: The source of randomness.
        draws: Resamples.
    """
    picks = rng.integers(len(values), size=(draws, len(values)))
    means = np.asarray(values)[picks].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(np.mean(values)), float(low), float(high))
