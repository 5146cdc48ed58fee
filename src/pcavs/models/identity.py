"""Identity encoder E_i: who it is, as a vector and as maps that flow can move."""

import itertools
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from pcavs.models.blocks import ConvBlock, ResidualBlock
from pcavs.spec import FlowSpec


class IdentityFeatures(NamedTuple):
    """What the generator needs of the person's looks."""

    vector: Float[Tensor, "batch identity"]
    maps: tuple[Tensor, ...]
    """Maps at 1/16, 1/8, 1/4 and 1/2 of the frame's side, coarse to fine."""


class IdentityEncoder(nn.Module):
    """Encodes an aligned face once for a whole film."""

    def __init__(self, spec: FlowSpec) -> None:
        """Halves the side once a width."""
        super().__init__()
        widths = spec.identity_widths
        self.stem = ConvBlock(3, widths[0], 5, 2)
        self.stages = nn.ModuleList(
            nn.Sequential(ConvBlock(before, after, 3, 2), ResidualBlock(after))
            for before, after in itertools.pairwise(widths)
        )
        self.head = nn.Linear(widths[-1], spec.identity_dim)

    def forward(self, face: Float[Tensor, "batch 3 side side"]) -> IdentityFeatures:
        """Encodes faces with RGB in [-1, 1]."""
        maps = [self.stem(face)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        vector = self.head(maps[-1].mean(dim=(2, 3)))
        return IdentityFeatures(vector, tuple(maps[-2::-1]))
