"""Motion encoder E_n with its two heads: what is said (content) and where the head is (pose)."""

import itertools
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from pcavs.models.blocks import ConvBlock, ResidualBlock
from pcavs.spec import FlowSpec, exact_div


class Motion(NamedTuple):
    """The non-identity code, split."""

    content: Float[Tensor, "batch content"]
    pose: Float[Tensor, "batch pose"]


class MotionEncoder(nn.Module):
    """Encodes an aligned face into speech content and pose (mp_c and mp_p of Zhou et al., CVPR 2021, section 3.1).

    The last map is flattened, not averaged: in an aligned crop, place is information.
    """

    def __init__(self, spec: FlowSpec) -> None:
        """Halves the side once a width."""
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

    def forward(self, face: Float[Tensor, "batch 3 side side"]) -> Motion:
        """Encodes faces with RGB in [-1, 1]; content is not normalised, pose is `face.pose.pose_code`'s twelve."""
        feature = self.project(self.stages(face))
        return Motion(self.content_head(feature), self.pose_head(feature))
