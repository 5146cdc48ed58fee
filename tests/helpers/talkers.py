"""Talkers for tests: models with random weights and their bundles, and fake runtimes that react to loudness."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pcavs.models.flow import FlowModel, build_flow
from pcavs.models.paper import PaperModel, build_paper
from pcavs.models.state import tensors_of
from pcavs.runtime.base import FaceArrays, FieldArrays, IdentityArrays
from pcavs.spec import TINY_FLOW, TINY_PAPER, FlowSpec, MelSpec, PaperSpec, TalkerSpec
from pcavs.weights.bundle import Bundle, save_bundle
from pcavs.weights.export import run as export
from pcavs.weights.options import ExportOptions

WINDOW_CENTRE = slice(10, 13)
"""Columns of a mel window around the time of its frame; column 11 is the transform centred at k/25 s."""

QUIET, LOUD = 0.45, 0.75
"""Mel values, averaged over frequency, at which the mouth of a fake runtime is shut and fully open."""


def random_flow_model(flow: FlowSpec, seed: int = 0) -> FlowModel:
    """Builds a `flow` model whose fields are as large as a trained one's, with random batch statistics."""
    torch.manual_seed(seed)
    model = build_flow(flow, MelSpec())
    with torch.no_grad():
        for level in model.generator.levels:
            level.motion.weight.mul_(12)
        model.generator.paint.weight.mul_(8)
    return _randomise_batch_norms(model)


def random_paper_model(paper: PaperSpec, seed: int = 0) -> PaperModel:
    """Builds a `paper` model with noise and biases that are not zero, and random batch statistics."""
    torch.manual_seed(seed)
    model = build_paper(paper, MelSpec())
    with torch.no_grad():
        for name, value in model.generator.synthesis.named_parameters():
            if name.endswith(("noise_strength", "bias")):
                value.add_(0.1 * torch.randn_like(value))
    return _randomise_batch_norms(model)


def _randomise_batch_norms(model: nn.Module) -> Any:
    """Changes initial statistics, with which an error in folding them into a convolution would not show."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.7, 1.3)
                module.bias.normal_(0, 0.1)
    return model.eval()


def write_bundle(path: Path, flow: FlowSpec = TINY_FLOW, seed: int = 0) -> Path:
    """Writes a bundle of a random `flow` model."""
    model = random_flow_model(flow, seed)
    bundle = Bundle(
        spec=TalkerSpec(flow=flow), tensors=tensors_of(model), provenance={"recipe": "random"}, licence="Apache-2.0"
    )
    save_bundle(bundle, path)
    return path


def write_networks(bundle: Path, out: Path, precision: str = "fp32") -> Path:
    """Exports a bundle to a network folder."""
    return export(ExportOptions(bundle=bundle, out=out, precision=precision)).path


class LoudMouth:
    """Fake `flow` runtime: the louder the centre of the mel window, the lower the jaw and the blacker the mouth."""

    spec = TalkerSpec(flow=TINY_FLOW)
    features = None
    description = "loud mouth"

    def encode_identity(self, face: np.ndarray) -> IdentityArrays:
        return IdentityArrays(np.zeros(1, np.float32), (), np.zeros(1, np.float32), np.zeros(12, np.float32))

    def encode_pose(self, faces: np.ndarray) -> np.ndarray:
        return np.repeat(faces.mean(axis=(1, 2, 3))[:, None], 12, axis=1).astype(np.float32) / 255

    def encode_lips(self, faces: np.ndarray) -> np.ndarray:
        return np.zeros((len(faces), 1), np.float32)

    def encode_speech(self, windows: np.ndarray) -> np.ndarray:
        return _openness(windows)

    def render(self, identity: IdentityArrays, content: np.ndarray, pose: np.ndarray) -> FieldArrays:
        side = self.spec.sizes.frame_px
        mask = np.ones((side, side), np.float32)
        mask[mouth_area(side)] = 1 - content[0]
        black = np.full((3, side, side), -1, np.float32)
        flow = np.zeros((2, side // 2, side // 2), np.float32)
        flow[1] = -0.12 * content[0] * jaw(side // 2)
        return FieldArrays(flow, mask, black)


class LoudFace:
    """Fake `paper` runtime: a white face with a mouth that darkens with the loudness; it records what it is given."""

    features = None
    description = "loud face"

    def __init__(self, paper: PaperSpec = TINY_PAPER) -> None:
        self.spec = TalkerSpec(kind="paper", paper=paper)
        self.seen: list[np.ndarray] = []
        """Faces given to `encode_pose`, in order."""
        self.posed: list[np.ndarray] = []
        """Pose codes given to `render`, in order."""

    def encode_identity(self, face: np.ndarray) -> IdentityArrays:
        self.portrait = face
        pose = np.full(12, face.mean() / 255, np.float32)
        return IdentityArrays(
            np.zeros(1, np.float32), (np.zeros((1, 2, 2), np.float32),), np.zeros(1, np.float32), pose
        )

    def encode_pose(self, faces: np.ndarray) -> np.ndarray:
        """Returns the number of each face, counted from the first call, in all twelve places."""
        first = len(self.seen)
        self.seen.extend(faces)
        numbers = np.arange(first, len(self.seen), dtype=np.float32)
        return np.repeat(numbers[:, None], 12, axis=1)

    def encode_lips(self, faces: np.ndarray) -> np.ndarray:
        return np.zeros((len(faces), 1), np.float32)

    def encode_speech(self, windows: np.ndarray) -> np.ndarray:
        return _openness(windows)

    def render(self, identity: IdentityArrays, content: np.ndarray, pose: np.ndarray) -> FaceArrays:
        self.posed.append(pose)
        side = self.spec.sizes.frame_px
        face = np.ones((3, side, side), np.float32)
        face[:, *mouth_area(side)] = 1 - 2 * content[0]
        return FaceArrays(face)


def _openness(windows: np.ndarray) -> np.ndarray:
    """Returns how far the mouth is open for each mel window, (time, 1), 0 to 1."""
    loudness = windows[:, 0, :, WINDOW_CENTRE].mean(axis=1).mean(axis=1, keepdims=True)
    return ((loudness - QUIET) / (LOUD - QUIET)).clip(0, 1).astype(np.float32)


def jaw(side: int) -> np.ndarray:
    """Returns the share of the jaw's motion for each pixel of the crop: 1 below the lips, 0 above them."""
    rows, columns = (np.mgrid[0:side, 0:side] + 0.5) / side
    return ((rows - 0.6) / 0.03).clip(0, 1) * (1 - ((columns - 0.5) / 0.2) ** 2).clip(0, 1)


def mouth_area(side: int) -> tuple[slice, slice]:
    """Returns the rows and columns of the mouth in the crop's template."""
    return slice(round(0.56 * side), round(0.69 * side)), slice(round(0.38 * side), round(0.62 * side))
