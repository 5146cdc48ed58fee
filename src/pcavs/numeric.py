"""Small numerical functions that several packages share."""

import numpy as np
from jaxtyping import Float


def smoothstep(x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Computes the cubic Hermite step 3 x² - 2 x³ of x clipped to [0, 1]; its slope is 0 at both ends."""
    clipped = np.clip(x, 0, 1)
    return clipped * clipped * (3 - 2 * clipped)


def smoothstep_at(x: float) -> float:
    """Computes `smoothstep` of one number."""
    clipped = min(max(x, 0.0), 1.0)
    return clipped * clipped * (3 - 2 * clipped)
