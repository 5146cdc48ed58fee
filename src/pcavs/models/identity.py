"""Identity encoder of the `flow` model (E_i): the person's appearance as a vector and as feature maps."""

import itertools
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from pcavs.models.blocks import ConvBlock, ResidualBlock
from pcavs.spec import FlowSpec


class IdentityFeatures(NamedTuple):
    """Appearance as the generator takes it."""

    vector: Float[Tensor, "batch identity"]
    maps: tuple[Tensor, ...]
    """Feature maps (batch, width, s, s) for s at 1/16, 1/8, 1/4 and 1/2 of the frame's side, in this order."""


class IdentityEncoder(nn.Module):
    """Encodes the aligned crop of an identity reference, once per film."""

    def __init__(self, spec: FlowSpec) -> None:
        """Builds one stage per width; each halves the side."""
        super().__init__()
        widths = spec.identity_widths
        self.stem = ConvBlock(3, widths[0], 5, 2)
        self.stages = nn.ModuleList(
            nn.Sequential(ConvBlock(before, after, 3, 2), ResidualBlock(after))
            for before, after in itertools.pairwise(widths)
        )
        self.head = nn.Linear(widths[-1], spec.identity_dim)

    def forward(self, face: Float[Tensor, "batch 3 side side"]) -> IdentityFeatures:
        """Encodes aligned crops, RGB in [-1, 1]."""
        maps = [self.stem(face)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        vector = self.head(maps[-1].mean(dim=(2, 3)))
        return IdentityFeatures(vector, tuple(maps[-2::-1]))
