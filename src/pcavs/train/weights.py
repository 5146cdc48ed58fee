"""Weights of all loss terms, by the names that the journal gives them."""

from collections.abc import Iterable, Mapping
from typing import Final

JUDGES: Final = {"mouth_judge": 1.0, "face_judge": 1.0, "mouth_steepness": 8.0, "face_steepness": 8.0}
"""Of the discriminators' own phases; steepness is R1 with a gamma of one, paid at every sixteenth step."""

BINDING: Final = {"across": 0.5, "within": 1.0, "meet": 0.5, "lips_seen": 1.0, "lips_heard": 1.0, "pose": 3.0}
"""Of stage `sync`."""

LOOKING: Final = {
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
    "perceptual": 0.0,
    "identity": 0.0,
}
"""Of stage `generator`, for either talker."""

FLOW: Final = LOOKING | {
    "flow": 1.0,
    "coarse_flow": 0.5,
    "pixels": 4.0,
    "edges": 2.0,
    "colours": 0.5,
    "opening": 1.0,
    "inside": 0.01,
    "roughness": 0.05,
}

PAPER: Final = LOOKING | {
    "pixels": 4.0,
    "edges": 2.0,
    "face_adversarial": 0.2,
    "face_features": 2.0,
    "perceptual": 4.0,
    "identity": 0.1,
}

PUBLISHED_BINDING: Final = {"across": 100.0, "cross_modal": 1.0}

PUBLISHED: Final = PUBLISHED_BINDING | {
    "face_adversarial": 1.0,
    "face_features": 10.0,
    "perceptual": 10.0,
    "identity": 1.0,
}
"""Defaults of the published code; whether the published model used them is not known. Pixels are in the features."""

IDENTITY: Final = {"identity": 1.0}

_TABLES: Final = {
    ("identity", "repaired"): IDENTITY,
    ("identity", "published"): IDENTITY,
    ("sync", "repaired"): BINDING,
    ("sync", "published"): PUBLISHED_BINDING,
    ("flow", "repaired"): FLOW | JUDGES,
    ("flow", "published"): FLOW | PUBLISHED_BINDING | JUDGES,
    ("paper", "repaired"): PAPER | JUDGES,
    ("paper", "published"): PUBLISHED | JUDGES,
}


def weights_of(stage: str, kind: str, losses: str, changes: Iterable[tuple[str, float]] = ()) -> dict[str, float]:
    """Gives the weights of a stage, with a run's own in them.

    Args:
        stage: `identity`, `sync`, `visual` or `generator`.
        kind: `flow` or `paper`; only the last two stages differ by it.
        losses: `repaired` or `published`.
        changes: A run's own weights; names that the stage does not have are left out.
    """
    table: Mapping[str, float] = _TABLES[stage if stage in ("identity", "sync") else kind, losses]
    return {**table, **{name: weight for name, weight in changes if name in table}}
