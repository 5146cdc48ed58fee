"""Computes the lip shapes of heads from their morph weights, without drawing anything.

The face tracker sees a rendered mouth through a perspective and with its own habits, so its `lips_shape` is not the
head's geometry. A lip map imitates it: it was fitted to rendered and tracked frames of each head
(`scripts/fit_lip_maps.py`). A head's map is a quadratic function of the morph weights that all heads share, plus a
linear one of its own.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float, Float32

from pcavs.errors import InputError
from pcavs.media.archive import ARCHIVE_ERRORS
from pcavs.synth.script import ClipScript
from pcavs.synth.visemes import VISEMES, mouth_morphs

MORPHS: Final = (
    *(name for name in VISEMES if name not in ("MPB", "TH")),
    "MPB_Up",
    "OutMiddle_tg",
    "RsmileClose",
    "LsmileClose",
)
"""Morphs that a lip map reads; teeth, tongue and the lower half of MPB follow these."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LipMaps:
    """Maps from morph weights to lip shapes of several heads."""

    heads: tuple[str, ...]
    """Names of the heads."""
    held_out: tuple[bool, ...]
    """Whether a head belongs to the validation split."""
    neutral: Float32[np.ndarray, "heads 80"]
    """Lip shape of each head at rest, as `pcavs.face.regions.lips_shape` orders and scales it (cm)."""
    shared: Float32[np.ndarray, "features 80"]
    """Weights of `features`, for all heads."""
    own: Float32[np.ndarray, "heads morphs 80"]
    """Weights of the morphs that a head adds to `shared`."""

    def lips(self, head: int, morphs: Float32[np.ndarray, "time morphs"]) -> Float32[np.ndarray, "time 80"]:
        """Returns the lip shape of a head at each time, from the weights of `MORPHS`."""
        moved = features(morphs) @ self.shared + morphs @ self.own[head]
        return (self.neutral[head] + moved).astype(np.float32)


def features(morphs: Float32[np.ndarray, "time morphs"]) -> Float32[np.ndarray, "time features"]:
    """Returns the weights and the products of each two of them; 0 for a head at rest."""
    rows, columns = np.triu_indices(morphs.shape[1])
    return np.concatenate([morphs, morphs[:, rows] * morphs[:, columns]], axis=1)


def script_morphs(script: ClipScript) -> Float32[np.ndarray, "time morphs"]:
    """Returns the weights of `MORPHS` in each frame of a script."""
    states = (
        script.expression | mouth_morphs(weights, float(effort))
        for weights, effort in zip(script.visemes, script.effort, strict=True)
    )
    return np.array([[state.get(name, 0.0) for name in MORPHS] for state in states], np.float32)


def fit(
    neutral: Float32[np.ndarray, "heads 80"],
    samples: Sequence[tuple[Float32[np.ndarray, "frames morphs"], Float32[np.ndarray, "frames 80"]]],
    ridge: float,
    own_ridge: float,
) -> tuple[Float32[np.ndarray, "features 80"], Float32[np.ndarray, "heads morphs 80"]]:
    """Fits the shared map to all heads, and then to each head what the shared map leaves, both by ridge regression.

    Args:
        neutral: Lip shape of each head at rest.
        samples: Morph weights and tracked lip shapes of each head.
        ridge: Penalty on the squared weights of the shared map.
        own_ridge: The same for a head's own map.
    """
    moved = [lips - rest for (_, lips), rest in zip(samples, neutral, strict=True)]
    inputs = np.concatenate([features(morphs) for morphs, _ in samples])
    shared = _ridge(inputs, np.concatenate(moved), ridge)
    own = [
        _ridge(morphs, lips - features(morphs) @ shared, own_ridge)
        for (morphs, _), lips in zip(samples, moved, strict=True)
    ]
    return shared, np.stack(own)


def save(maps: LipMaps, path: Path) -> None:
    """Writes lip maps as an npz file."""
    np.savez_compressed(path, morphs=np.array(MORPHS), **dataclasses.asdict(maps))


def load(path: Path) -> LipMaps:
    """Reads lip maps.

    Raises:
        InputError: The file is missing, is not of lip maps, or was made for other morphs.
    """
    try:
        with np.load(path) as stored:
            if tuple(stored["morphs"]) != MORPHS:
                raise InputError(f"{path} was made for other morphs; run scripts/fit_lip_maps.py again")
            return LipMaps(
                heads=tuple(stored["heads"].tolist()),
                held_out=tuple(stored["held_out"].tolist()),
                neutral=stored["neutral"],
                shared=stored["shared"],
                own=stored["own"],
            )
    except (OSError, *ARCHIVE_ERRORS) as error:
        raise InputError(f"{path} does not hold lip maps ({error}); run scripts/fit_lip_maps.py") from error


def _ridge(
    inputs: Float[np.ndarray, "frames inputs"], outputs: Float[np.ndarray, "frames 80"], penalty: float
) -> Float32[np.ndarray, "inputs 80"]:
    inputs = inputs.astype(np.float64)
    square = inputs.T @ inputs + penalty * np.eye(inputs.shape[1])
    return np.linalg.solve(square, inputs.T @ outputs.astype(np.float64)).astype(np.float32)
