"""How sure a mean or a median is."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Interval(NamedTuple):
    """A mean, or a median, with its 95 % interval."""

    middle: float
    low: float
    high: float


def bootstrap(
    values: Float[np.ndarray, " n"],
    rng: np.random.Generator,
    draws: int = 10_000,
    middle: Callable[..., np.ndarray] = np.mean,
) -> Interval:
    """Resamples values with replacement (percentile bootstrap, Efron 1979); give it differences for a paired test.

    Args:
        values: One a clip (or a person): the unit that is independent of the others.
        rng: The source of randomness.
        draws: Resamples.
        middle: `np.mean` or `np.median`.
    """
    picks = rng.integers(len(values), size=(draws, len(values)))
    middles = middle(np.asarray(values)[picks], axis=1)
    low, high = np.percentile(middles, [2.5, 97.5])
    return Interval(float(middle(values)), float(low), float(high))
