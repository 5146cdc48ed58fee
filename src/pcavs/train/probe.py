"""The pose probe: a linear map from a talker's pose code to degrees, stored in the provenance of its weights.

A free pose code has no units, and a supervised one is not exact; the probe says what its numbers mean, and how well.
"""

import json
from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from pcavs.data.corpus import Corpus
from pcavs.face.pose import angles_deg, pose_from_code
from pcavs.train.stage import Model, step_rng

PROBE_SEED: Final = 20_210_413
"""Seed of the clips that are drawn."""

NUM_CLIPS: Final = 24
NUM_MOMENTS: Final = 8
"""Size of the draw: 192 frames, 96 of which are fitted where the error is measured."""

RIDGE: Final = 1e-3
"""Penalty of ridge regression, as a share of the variance of each number of the code. Tuned by hand; not measured."""

MIN_VARIANCE: Final = 1e-9
"""Added to the variances, so that a constant number of the code leaves the system solvable."""


class PoseProbe(NamedTuple):
    """Yaw, pitch and roll as a linear function of a pose code of any length."""

    weights: Float[np.ndarray, "pose_and_one 3"]
    """Degrees per unit of each number of the code; the last row is the constant."""
    error_deg: Float[np.ndarray, "3"]
    """Mean absolute error of each angle on clips that were not fitted."""

    def read(self, codes: Float[np.ndarray, "time pose"]) -> Float[np.ndarray, "time 3"]:
        """Computes yaw, pitch and roll in degrees, with the signs of `face.pose.angles_deg`."""
        return _with_constant(codes) @ self.weights

    def text(self) -> str:
        """Returns the probe as one line of JSON, for a bundle's provenance."""
        return json.dumps({"weights": self.weights.round(4).tolist(), "error_deg": self.error_deg.round(2).tolist()})


def fit_probe(codes: Float[np.ndarray, "time pose"], angles: Float[np.ndarray, "time 3"]) -> PoseProbe:
    """Fits a probe by ridge regression.

    The error is that of a fit on every other clip, on the clips between; the weights are fitted on all clips.

    Args:
        codes: Pose codes, `NUM_MOMENTS` a clip.
        angles: Yaw, pitch and roll in degrees.
    """
    tested = (np.arange(len(codes)) // NUM_MOMENTS) % 2 == 1
    weights = _solve(codes[~tested], angles[~tested])
    error = np.abs(_with_constant(codes[tested]) @ weights - angles[tested]).mean(axis=0)
    return PoseProbe(_solve(codes, angles), error)


@torch.no_grad()
def probe_pose(model: Model, corpus: Corpus) -> PoseProbe:
    """Fits a probe to a talker's pose codes and the labelled poses of a fixed draw of clips."""
    device = next(model.parameters()).device
    batch = corpus.batch(step_rng(PROBE_SEED, 0), NUM_CLIPS, NUM_MOMENTS)
    codes = [model.encode_pose(faces.to(device)).float().cpu() for faces in batch.target.split(NUM_CLIPS)]
    head = pose_from_code(batch.pose.numpy(), int(batch.target.shape[-1]))
    return fit_probe(torch.cat(codes).double().numpy(), angles_deg(head.rotation).astype(np.float64))


def _solve(codes: np.ndarray, angles: np.ndarray) -> Float[np.ndarray, "pose_and_one 3"]:
    inputs = _with_constant(codes)
    penalty = RIDGE * len(inputs) * np.diag([*np.var(codes, axis=0) + MIN_VARIANCE, 0.0])
    return np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ angles)


def _with_constant(codes: np.ndarray) -> np.ndarray:
    return np.column_stack([codes, np.ones(len(codes))])
