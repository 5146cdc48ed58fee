"""Tells from the opening of the mouth whether the lips meet where speech demands it: in m, b and p."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float

from pcavs.spec import FRAME_RATE

TOLERANCE_S: Final = 0.04
"""Time before and after a phoneme in which the lips may meet: one frame."""

_CLOSED_PERCENTILE, _OPEN_PERCENTILE = 5, 95
"""Percentiles of a person's mouth opening that count as closed and as wide open: extremes would be single frames of
tracking noise."""
_CLOSED_SHARE: Final = 0.15
"""Way from closed to wide open up to which the lips count as meeting. Chosen on GRID clips of one speaker: real lips
then meet in nearly all m, b and p, and seldom in the middle of an open vowel (docs/evaluate.md has the figures)."""

Span = tuple[float, float]
"""Start and end of a phoneme in seconds."""


def closed_limit(opening: Float[np.ndarray, " time"]) -> float:
    """Computes the mouth opening up to which a person's lips count as meeting, from a true clip of the person.

    The tracker reads a gap even where lips touch, of another size for each person; the limit therefore lies a share of
    the way from the person's own closed mouth to the wide open one.

    Args:
        opening: Mouth opening of every frame of the true clip, in which the person speaks.
    """
    closed, wide = np.percentile(opening, (_CLOSED_PERCENTILE, _OPEN_PERCENTILE))
    return float(closed + _CLOSED_SHARE * (wide - closed))


def lips_meet(opening: Float[np.ndarray, " time"], limit: float, spans: Sequence[Span]) -> list[bool]:
    """Tells for each phoneme whether the opening reaches `limit` in a frame within `TOLERANCE_S` of it.

    Phonemes without any frame of the film are left out; frame k is shown at k/25 s.
    """
    times_s = np.arange(len(opening)) / FRAME_RATE
    met = []
    for start_s, end_s in spans:
        near = opening[(times_s >= start_s - TOLERANCE_S) & (times_s <= end_s + TOLERANCE_S)]
        if len(near):
            met.append(bool(near.min() <= limit))
    return met


def lips_meet_amid(opening: Float[np.ndarray, " time"], limit: float, spans: Sequence[Span]) -> list[bool]:
    """Tells for each phoneme whether the lips meet in the frame nearest to its middle, as `lips_meet` does."""
    frames = [round((start_s + end_s) / 2 * FRAME_RATE) for start_s, end_s in spans]
    return [bool(opening[k] <= limit) for k in frames if 0 <= k < len(opening)]
