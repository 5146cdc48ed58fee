"""Weights of the loss terms, by the names that the journal gives them; `--term-weights` changes single ones.

Weights of our own losses were tuned by hand in the runs of the default talker (dev/LOG.md); single weights were not
compared. Those of the published losses are the defaults of the published code.
"""

from collections.abc import Iterable, Mapping
from typing import Final

DISCRIMINATOR: Final = {"mouth_discriminator": 1.0, "face_discriminator": 1.0, "mouth_r1": 8.0, "face_r1": 8.0}
"""Terms that the discriminators minimise. An R1 weight of 8 is a gamma of 1: half of gamma, times the 16 steps of
`R1_INTERVAL` (Karras et al., CVPR 2020)."""

SYNC: Final = {"across": 0.5, "within": 1.0, "cross_modal": 0.5, "lips_seen": 1.0, "lips_heard": 1.0, "pose": 3.0}
"""Stage `sync`. `within` counts double, because only the other moments of a clip teach timing."""

SPEECH: Final = {"lips_heard": 1.0, "lips_speed": 0.5, "cross_modal": 2.0, "across": 0.1}
"""Stage `speech`."""

GENERATOR: Final = {
    "across": 0.1,
    "within": 0.3,
    "cross_modal": 0.2,
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
"""Stages `visual` and `generator`, of either kind of talker."""

FLOW: Final = GENERATOR | {
    "flow": 1.0,
    "coarse_flow": 0.5,
    "pixels": 4.0,
    "edges": 2.0,
    "colours": 0.5,
    "mask_outside": 1.0,
    "mask_inside": 0.01,
    "roughness": 0.05,
}

PAPER: Final = GENERATOR | {
    "pixels": 4.0,
    "edges": 2.0,
    "face_adversarial": 0.2,
    "face_features": 2.0,
    "perceptual": 4.0,
    "identity": 0.1,
}

PUBLISHED_SYNC: Final = {"across": 100.0, "cross_modal": 1.0}

PUBLISHED: Final = PUBLISHED_SYNC | {
    "face_adversarial": 1.0,
    "face_features": 10.0,
    "perceptual": 10.0,
    "identity": 1.0,
}
"""Defaults of the published code; the settings of the published model are not known. `face_features` includes the
pixel loss."""

IDENTITY: Final = {"identity": 1.0}

_TABLES: Final = {
    ("identity", "default"): IDENTITY,
    ("identity", "published"): IDENTITY,
    ("speech", "default"): SPEECH,
    ("speech", "published"): SPEECH,
    ("sync", "default"): SYNC,
    ("sync", "published"): PUBLISHED_SYNC,
    ("flow", "default"): FLOW | DISCRIMINATOR,
    ("flow", "published"): FLOW | PUBLISHED_SYNC | DISCRIMINATOR,
    ("paper", "default"): PAPER | DISCRIMINATOR,
    ("paper", "published"): PUBLISHED | DISCRIMINATOR,
}


def weights_of(stage: str, kind: str, losses: str, changes: Iterable[tuple[str, float]] = ()) -> dict[str, float]:
    """Returns the weights of a stage's terms.

    Args:
        stage: `identity`, `speech`, `sync`, `visual` or `generator`.
        kind: `flow` or `paper`; it matters to the last two stages.
        losses: `default` or `published`.
        changes: Weights that replace those of the table; names that the stage does not have are ignored.
    """
    table: Mapping[str, float] = _TABLES[stage if stage in ("identity", "speech", "sync") else kind, losses]
    return {**table, **{name: weight for name, weight in changes if name in table}}
