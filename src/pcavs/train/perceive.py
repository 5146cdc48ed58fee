"""Perceptual distance: pictures compared by the feature maps of a network that is not trained here."""

import copy
import itertools
import pickle
from pathlib import Path
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.errors import WeightsError
from pcavs.models.identity import IdentityEncoder
from pcavs.models.resnet import ResNeXtEncoder

LAYER_WEIGHTS: Final = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of five maps, fine to coarse (published code); a network of fewer maps takes the last ones."""

VGG_WIDTHS: Final = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512)
"""Channels of VGG19's convolutions up to the first of its fifth block; 0 is a pooling."""

VGG_SEEN: Final = (1, 6, 11, 20, 29)
"""Positions of relu1_1, relu2_1, ... relu5_1."""


class Perception(nn.Module):
    """Gives feature maps, fine to coarse; its weights stand still, whatever trains around it."""

    def __init__(self, stages: nn.ModuleList) -> None:
        """Takes stages that follow one another; each one's result is a map."""
        super().__init__()
        self.stages = stages
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> "Perception":
        """Stays in evaluation: batches that pass here must not move its normalisations."""
        return super().train(False)

    def forward(self, faces: Float[Tensor, "batch 3 side side"]) -> list[Tensor]:
        """Looks at faces, RGB in [-1, 1]."""
        maps = [faces]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[1:]

    def distance(
        self, made: Float[Tensor, "batch 3 side side"], target: Float[Tensor, "batch 3 side side"]
    ) -> Float[Tensor, ""]:
        """Weighted mean absolute difference of the maps."""
        with torch.no_grad():
            wanted = self(target)
        found = self(made)
        weights = LAYER_WEIGHTS[-len(found) :]
        apart = [(a.float() - b.float()).abs().mean() for a, b in zip(found, wanted, strict=True)]
        return torch.stack([each * weight for each, weight in zip(apart, weights, strict=True)]).sum()


def perceive_identity(encoder: IdentityEncoder | ResNeXtEncoder) -> Perception:
    """Looks through a copy of an identity encoder, as it is now."""
    encoder = copy.deepcopy(encoder)
    if isinstance(encoder, ResNeXtEncoder):
        first = nn.Sequential(encoder.stem, nn.MaxPool2d(3, 2, 1), encoder.stages[0])
        return Perception(nn.ModuleList([first, *list(encoder.stages)[1:]]))
    return Perception(nn.ModuleList([encoder.stem, *list(encoder.stages)]))


def perceive_vgg(path: Path) -> Perception:
    """Looks through VGG19 as published: torchvision's file of weights, which the user brings.

    Raises:
        WeightsError: The file cannot be read, or holds other weights.
    """
    layers = _vgg_layers()
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        wanted = layers.state_dict()
        layers.load_state_dict({name: state[f"features.{name}"] for name in wanted})
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"{path} is not torchvision's VGG19 ({' '.join(str(error).split())[:120]}); its vgg19 state dict is needed"
        ) from error
    starts = (0, *(seen + 1 for seen in VGG_SEEN[:-1]))
    ends = (seen + 1 for seen in VGG_SEEN)
    return Perception(nn.ModuleList(layers[start:end] for start, end in zip(starts, ends, strict=True)))


def _vgg_layers() -> nn.Sequential:
    widths = [width for width in VGG_WIDTHS if width]
    before = iter(itertools.pairwise([3, *widths]))
    layers: list[nn.Module] = []
    for width in VGG_WIDTHS:
        if width:
            layers += [nn.Conv2d(*next(before), 3, padding=1), nn.ReLU()]
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


class SpeakerClassifier(nn.Module):
    """Names the speaker from the identity vector; training only.

    With a margin, the cosine to the right speaker must win by it (Wang et al., "CosFace", CVPR 2018).
    """

    SCALE = 16.0

    def __init__(self, identity_dim: int, num_speakers: int, margin: float = 0.0) -> None:
        """Without a margin this is a linear layer, as published."""
        super().__init__()
        self.margin = margin
        self.linear = nn.Linear(identity_dim, num_speakers)

    def forward(self, vectors: Float[Tensor, "batch identity"]) -> Float[Tensor, "batch speakers"]:
        """Gives logits."""
        if self.margin == 0:
            return self.linear(vectors.float())
        weights = functional.normalize(self.linear.weight.float(), dim=1)
        return functional.normalize(vectors.float(), dim=1) @ weights.T * self.SCALE

    def loss(self, vectors: Tensor, speakers: Tensor) -> tuple[Tensor, Tensor]:
        """Gives the cross-entropy, and the share of speakers that were named right."""
        logits = self(vectors)
        right = (logits.argmax(dim=1) == speakers).float().mean()
        if self.margin:
            logits = logits - functional.one_hot(speakers, logits.shape[1]) * self.margin * self.SCALE
        return functional.cross_entropy(logits, speakers), right
