"""Perceptual loss: compares pictures by the feature maps of a network that is not trained here."""

import copy
import itertools
import pickle
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pcavs.errors import WeightsError
from pcavs.models.identity import IdentityEncoder
from pcavs.models.resnet import ResNeXtEncoder

MAP_WEIGHTS: Final = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Weights of five maps, fine to coarse, as published; a network of fewer maps takes the last ones."""

VGG_WIDTHS: Final = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512)
"""Channels of VGG19's convolutions up to the first of its fifth block; 0 is a max pooling."""

VGG_MAPS: Final = (1, 6, 11, 20, 29)
"""Positions of relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1 in VGG19, as published."""

MESSAGE_CHARACTERS: Final = 120
"""Length to which torch's message about a wrong file is cut."""


class PerceptualLoss(nn.Module):
    """Feature maps of a frozen network, fine to coarse, and their distance between two pictures."""

    def __init__(self, stages: nn.ModuleList) -> None:
        """Takes the network as stages that follow one another; the output of each is one map."""
        super().__init__()
        self.stages = stages
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> "PerceptualLoss":
        """Stays in evaluation, so that batches do not change the running statistics."""
        return super().train(False)

    def forward(self, faces: Float[Tensor, "batch 3 side side"]) -> list[Tensor]:
        """Computes the maps of faces, RGB in [-1, 1]."""
        maps = [faces]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[1:]

    def distance(
        self, generated: Float[Tensor, "batch 3 side side"], target: Float[Tensor, "batch 3 side side"]
    ) -> Float[Tensor, ""]:
        """Computes the mean absolute difference of each map, weighted by `MAP_WEIGHTS`."""
        with torch.no_grad():
            wanted = self(target)
        found = self(generated)
        weights = MAP_WEIGHTS[-len(found) :]
        differences = [(a.float() - b.float()).abs().mean() for a, b in zip(found, wanted, strict=True)]
        return torch.stack([each * weight for each, weight in zip(differences, weights, strict=True)]).sum()


def identity_perceptual_loss(encoder: IdentityEncoder | ResNeXtEncoder) -> PerceptualLoss:
    """Builds a perceptual loss from a copy of an identity encoder, with its present weights."""
    encoder = copy.deepcopy(encoder)
    if isinstance(encoder, ResNeXtEncoder):
        first = nn.Sequential(encoder.stem, nn.MaxPool2d(3, 2, 1), encoder.stages[0])
        return PerceptualLoss(nn.ModuleList([first, *list(encoder.stages)[1:]]))
    return PerceptualLoss(nn.ModuleList([encoder.stem, *list(encoder.stages)]))


def vgg_perceptual_loss(path: Path) -> PerceptualLoss:
    """Builds the published perceptual loss from torchvision's VGG19 weights, a file of the user's.

    Raises:
        WeightsError: The file cannot be read, or holds other weights.
    """
    layers = _vgg_layers()
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        wanted = layers.state_dict()
        layers.load_state_dict({name: state[f"features.{name}"] for name in wanted})
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:MESSAGE_CHARACTERS]
        raise WeightsError(f"{path} is not torchvision's VGG19 ({reason}); give the file of its state dict") from error
    starts = (0, *(position + 1 for position in VGG_MAPS[:-1]))
    ends = (position + 1 for position in VGG_MAPS)
    return PerceptualLoss(nn.ModuleList(layers[start:end] for start, end in zip(starts, ends, strict=True)))


def _vgg_layers() -> nn.Sequential:
    widths = [width for width in VGG_WIDTHS if width]
    channels = iter(itertools.pairwise([3, *widths]))
    layers: list[nn.Module] = []
    for width in VGG_WIDTHS:
        if width:
            layers += [nn.Conv2d(*next(channels), 3, padding=1), nn.ReLU()]
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)
