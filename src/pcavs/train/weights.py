"""Weights of all loss terms, by the names that the journal gives them."""

from collections.abc import Iterable, Mapping
from typing import Final

SYNC: Final = {"across": 0.5, "within": 1.0, "meet": 0.5, "lips_seen": 1.0, "lips_heard": 1.0, "pose": 3.0}

FLOW_GENERATOR: Final = {
    "flow": 1.0,
    "coarse_flow": 0.5,
    "pixels": 4.0,
    "edges": 2.0,
    "colours": 0.5,
    "opening": 1.0,
    "inside": 0.01,
    "roughness": 0.05,
    "across": 0.1,
    "within": 0.3,
    "meet": 0.2,
    "lips_seen": 0.3,
    "lips_heard": 0.3,
    "pose": 1.0,
    "mouth_adversarial": 0.2,
    "mouth_features": 2.0,
    "face_adversarial": 0.1,
    "face_features": 1.0,
}

JUDGE: Final = {
    "mouth_judge": 1.0,
    "face_judge": 1.0,
    "mouth_steepness": 8.0,
    "face_steepness": 8.0,
}
"""Of the discriminators' own phases; steepness is R1 with a gamma of one, paid at every sixteenth step."""

WEIGHTS: Final = {"sync": SYNC, "generator": SYNC | FLOW_GENERATOR | JUDGE}
"""All terms that a stage may have."""


def chosen(table: Mapping[str, float], changes: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Gives a table with a run's own weights in it."""
    return {**table, **{name: weight for name, weight in changes if name in table}}
