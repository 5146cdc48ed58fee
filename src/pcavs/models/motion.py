"""Motion encoder of the `flow` model (E_n) with its two heads: speech content and head pose of a frame."""

import itertools
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from pcavs.models.blocks import ConvBlock, ResidualBlock
from pcavs.spec import FlowSpec, exact_div


class Codes(NamedTuple):
    """Motion of one face: speech content and pose code. Both models and all of their networks use this pair."""

    content: Float[Tensor, "batch content"]
    """Not normalised; the generator of the `flow` model uses its direction only."""
    pose: Float[Tensor, "batch pose"]
    """Twelve numbers. For the `flow` model those of `face.pose.pose_code`; for the published model they have no
    metric meaning."""


class MotionEncoder(nn.Module):
    """Encodes an aligned crop into speech content and pose code.

    The last feature map is flattened, not averaged: in an aligned crop the position of a feature carries the pose.

    Reference: Zhou et al., CVPR 2021, section 3.1 (heads mp_c and mp_p).
    """

    def __init__(self, spec: FlowSpec) -> None:
        """Builds one stage per width; each halves the side."""
        super().__init__()
        widths = spec.motion_widths
        self.stages = nn.Sequential(
            ConvBlock(3, widths[0], 5, 2),
            *(
                nn.Sequential(ConvBlock(before, after, 3, 2), ResidualBlock(after))
                for before, after in itertools.pairwise(widths)
            ),
        )
        last_px = exact_div(spec.frame_px, 2 ** len(widths))
        self.project = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * last_px**2, spec.motion_dim), nn.ReLU())
        self.content_head = nn.Sequential(
            nn.Linear(spec.motion_dim, spec.motion_dim), nn.ReLU(), nn.Linear(spec.motion_dim, spec.content_dim)
        )
        self.pose_head = nn.Sequential(
            nn.Linear(spec.motion_dim, spec.motion_dim), nn.ReLU(), nn.Linear(spec.motion_dim, spec.pose_dim)
        )

    def forward(self, face: Float[Tensor, "batch 3 side side"]) -> Codes:
        """Encodes aligned crops, RGB in [-1, 1]."""
        feature = self.project(self.stages(face))
        return Codes(self.content_head(feature), self.pose_head(feature))
