"""Talkers that exist in seconds: random weights, and one that answers to loudness in a known way."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pcavs.models.paper import PaperModel, build_paper
from pcavs.models.state import tensors_of
from pcavs.models.talker import FlowModel, build_flow
from pcavs.runtime.base import FieldArrays, IdentityArrays
from pcavs.spec import TINY_FLOW, FlowSpec, MelSpec, PaperSpec, TalkerSpec
from pcavs.weights.bundle import Bundle, save_bundle
from pcavs.weights.export import run as export
from pcavs.weights.options import ExportOptions

WINDOW_CENTRE = slice(10, 13)
"""Columns of a mel window about its frame's own time: column 11 is the transform centred at k/25 s."""

QUIET, LOUD = 0.45, 0.75
"""Loudness between which the drawn mouth opens."""


def lively_talker(flow: FlowSpec, seed: int = 0) -> FlowModel:
    """Random weights with fields as large as a trained talker's, and batch statistics that folding could get wrong."""
    torch.manual_seed(seed)
    talker = build_flow(flow, MelSpec())
    with torch.no_grad():
        for level in talker.generator.levels:
            level.motion.weight.mul_(12)
        talker.generator.paint.weight.mul_(8)
    return _seasoned(talker)


def lively_paper(paper: PaperSpec, seed: int = 0) -> PaperModel:
    """Random weights of a `paper` talker, with noise, biases and batch statistics that folding could get wrong."""
    torch.manual_seed(seed)
    talker = build_paper(paper, MelSpec())
    with torch.no_grad():
        for name, value in talker.generator.synthesis.named_parameters():
            if name.endswith(("noise_strength", "bias")):
                value.add_(0.1 * torch.randn_like(value))
    return _seasoned(talker)


def _seasoned(talker: nn.Module) -> Any:
    with torch.no_grad():
        for module in talker.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.7, 1.3)
                module.bias.normal_(0, 0.1)
    return talker.eval()


def write_bundle(path: Path, flow: FlowSpec = TINY_FLOW, seed: int = 0) -> Path:
    talker = lively_talker(flow, seed)
    bundle = Bundle(
        spec=TalkerSpec(flow=flow), tensors=tensors_of(talker), provenance={"recipe": "random"}, licence="Apache-2.0"
    )
    save_bundle(bundle, path)
    return path


def write_networks(bundle: Path, out: Path, precision: str = "fp32") -> Path:
    return export(ExportOptions(bundle=bundle, out=out, precision=precision)).path


class LoudMouth:
    """A talker whose jaw sinks, and whose mouth is painted black, with the loudness at the centre of the mel window."""

    spec = TalkerSpec(flow=TINY_FLOW)
    description = "loud mouth"

    def encode_identity(self, face: np.ndarray) -> IdentityArrays:
        return IdentityArrays(np.zeros(1, np.float32), (), np.zeros(1, np.float32), np.zeros(12, np.float32))

    def encode_pose(self, faces: np.ndarray) -> np.ndarray:
        return np.repeat(faces.mean(axis=(1, 2, 3))[:, None], 12, axis=1).astype(np.float32) / 255

    def encode_lips(self, faces: np.ndarray) -> np.ndarray:
        return np.zeros((len(faces), 1), np.float32)

    def encode_speech(self, windows: np.ndarray) -> np.ndarray:
        loudness = windows[:, 0, :, WINDOW_CENTRE].mean(axis=1).mean(axis=1, keepdims=True)
        return ((loudness - QUIET) / (LOUD - QUIET)).clip(0, 1).astype(np.float32)

    def render(self, identity: IdentityArrays, content: np.ndarray, pose: np.ndarray) -> FieldArrays:
        side = self.spec.sizes.frame_px
        mask = np.ones((side, side), np.float32)
        mask[mouth_area(side)] = 1 - content[0]
        black = np.full((3, side, side), -1, np.float32)
        flow = np.zeros((2, side // 2, side // 2), np.float32)
        flow[1] = -0.12 * content[0] * jaw(side // 2)
        return FieldArrays(flow, mask, black)


def jaw(side: int) -> np.ndarray:
    """Share of a jaw's motion at each place of the crop's template: all below the lips, none above them."""
    rows, columns = (np.mgrid[0:side, 0:side] + 0.5) / side
    return ((rows - 0.6) / 0.03).clip(0, 1) * (1 - ((columns - 0.5) / 0.2) ** 2).clip(0, 1)


def mouth_area(side: int) -> tuple[slice, slice]:
    """Where the crop's template has the mouth."""
    return slice(round(0.56 * side), round(0.69 * side)), slice(round(0.38 * side), round(0.62 * side))
