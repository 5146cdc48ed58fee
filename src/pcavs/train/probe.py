"""What a pose code means: a linear reading of degrees from it, kept with the weights."""

import json
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from pcavs.data.corpus import Corpus
from pcavs.face.pose import angles_deg, pose_from_code
from pcavs.train.stage import AnyTalker, step_rng

CLIPS, MOMENTS = 24, 8
RIDGE = 1e-3


class PoseProbe(NamedTuple):
    """Yaw, pitch and roll as a linear function of a pose code of any length."""

    weights: Float[np.ndarray, "pose_and_one 3"]
    """Degrees for a unit of each number of the code; the last row is the constant."""
    error_deg: Float[np.ndarray, "3"]
    """Mean absolute error of each angle, on clips that were not fitted."""

    def read(self, codes: Float[np.ndarray, "time pose"]) -> Float[np.ndarray, "time 3"]:
        """Gives yaw, pitch and roll in degrees, with the signs of `face.pose.angles_deg`."""
        return _with_one(codes) @ self.weights

    def text(self) -> str:
        """One line of JSON, for a bundle's provenance."""
        return json.dumps({"weights": self.weights.round(4).tolist(), "error_deg": self.error_deg.round(2).tolist()})


def fit_probe(codes: Float[np.ndarray, "time pose"], angles: Float[np.ndarray, "time 3"]) -> PoseProbe:
    """Fits by ridge regression; every other stretch of `MOMENTS` frames is kept for the error."""
    apart = (np.arange(len(codes)) // MOMENTS) % 2 == 1
    weights = _solve(codes[~apart], angles[~apart])
    error = np.abs(_with_one(codes[apart]) @ weights - angles[apart]).mean(axis=0)
    return PoseProbe(_solve(codes, angles), error)


@torch.no_grad()
def probe_pose(talker: AnyTalker, corpus: Corpus) -> PoseProbe:
    """Reads what a talker's pose head makes of a fixed draw of clips, against their true or fitted poses."""
    device = next(talker.parameters()).device
    batch = corpus.batch(step_rng(20_210_413, 0), CLIPS, MOMENTS)
    codes = [talker.encode_pose(faces.to(device)).float().cpu() for faces in batch.target.split(CLIPS)]
    head = pose_from_code(batch.pose.numpy(), int(batch.target.shape[-1]))
    return fit_probe(torch.cat(codes).double().numpy(), angles_deg(head.rotation).astype(np.float64))


def _solve(codes: np.ndarray, angles: np.ndarray) -> Float[np.ndarray, "pose_and_one 3"]:
    inputs = _with_one(codes)
    price = RIDGE * len(inputs) * np.diag([*np.var(codes, axis=0) + 1e-9, 0.0])
    return np.linalg.solve(inputs.T @ inputs + price, inputs.T @ angles)


def _with_one(codes: np.ndarray) -> np.ndarray:
    return np.column_stack([codes, np.ones(len(codes))])
