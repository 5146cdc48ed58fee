"""Phonemes with their times, and sound that has them."""

import dataclasses
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float32

SILENCE: Final = ""
"""IPA of a stretch in which nothing is said."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phoneme:
    """One phoneme of an utterance."""

    ipa: str
    """In the International Phonetic Alphabet; empty for silence."""
    start_s: float
    end_s: float


class Spoken(NamedTuple):
    """Sound of a voice at the voice's own sampling rate."""

    samples: Float32[np.ndarray, " samples"]
    """Mono, about -1 to 1."""
    rate_hz: int
    phonemes: tuple[Phoneme, ...]
    """In order, without gaps; times count from the first sample."""
