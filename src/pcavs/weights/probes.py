"""Parts of a `paper` talker that give every number on the way, and the runtimes that run them; needs torch."""

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import openvino as ov
import torch
from torch import Tensor, nn

from pcavs.models.generator import Codes
from pcavs.models.paper import FaceGenerator, PaperModel
from pcavs.models.plain import PlainFace
from pcavs.models.resnet import PaperIdentity
from pcavs.weights.export import convert

Call: TypeAlias = Callable[..., tuple[np.ndarray, ...]]
"""Float32 arrays in, float32 arrays out."""

Runner: TypeAlias = Callable[[nn.Module], Call]
"""Makes a network ready to be called."""

Precision: TypeAlias = Literal["f32", "bf16"]


def paper_probes(talker: PaperModel) -> dict[str, nn.Module]:
    """Gives `identity`, `motion`, `speech`, `style` and `face`, sharing the talker's weights."""
    return {
        "identity": _Identity(talker),
        "motion": _Motion(talker),
        "speech": talker.speech,
        "style": _Style(talker.generator),
        "face": PlainFace(talker.generator, bounded=False),
    }


def torch_runner(precision: Precision) -> Runner:
    """Runs in torch, on the processor."""

    def ready(network: nn.Module) -> Call:
        @torch.inference_mode()
        def call(*values: np.ndarray) -> tuple[np.ndarray, ...]:
            tensors = [torch.from_numpy(np.ascontiguousarray(value, np.float32)) for value in values]
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                results = network(*tensors)
            return tuple(each.float().numpy() for each in (results if isinstance(results, tuple) else (results,)))

        return call

    return ready


def openvino_runner(precision: Precision) -> Runner:
    """Runs in OpenVINO, on the processor, what `weights export` would make of the network."""
    core = ov.Core()
    settings = {"INFERENCE_PRECISION_HINT": precision}

    def ready(network: nn.Module) -> Call:
        compiled: dict[tuple[tuple[int, ...], ...], ov.CompiledModel] = {}

        def call(*values: np.ndarray) -> tuple[np.ndarray, ...]:
            arrays = [np.ascontiguousarray(value, np.float32) for value in values]
            shapes = tuple(each.shape for each in arrays)
            if shapes not in compiled:
                with torch.inference_mode():
                    model = convert(network, tuple(torch.from_numpy(each) for each in arrays))
                compiled[shapes] = core.compile_model(model, "CPU", settings)
            results = compiled[shapes](arrays)
            return tuple(np.array(results[port], np.float32) for port in compiled[shapes].outputs)

        return call

    return ready


class _Identity(nn.Module):
    """Faces to the vector and the map."""

    def __init__(self, talker: PaperModel) -> None:
        super().__init__()
        self.encoder = talker.identity

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(faces)
        return code.vector, code.seed


class _Motion(nn.Module):
    """Faces to the motion feature, the pose before its embedding, pose and content."""

    def __init__(self, talker: PaperModel) -> None:
        super().__init__()
        self.encoder = talker.motion

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        feature = self.encoder.feature(faces)
        headpose = self.encoder.pose_head(feature)
        return feature, headpose, self.encoder.pose_embedding(headpose), self.encoder.content_head(feature)


class _Style(nn.Module):
    """Content, pose and identity vector to the content embedding and the style."""

    def __init__(self, generator: FaceGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, content: Tensor, pose: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
        style = self.generator.style(PaperIdentity(vector, vector[:, :, None, None]), Codes(content, pose))
        return self.generator.content_embedding(content), style
