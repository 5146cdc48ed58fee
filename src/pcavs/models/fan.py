"""Motion encoder of the published model (E_n): a face alignment network with one hourglass, and two heads.

Reference: Bulat and Tzimiropoulos, "How far are we from solving the 2D & 3D face alignment problem?", ICCV 2017
(network), and "Binarized convolutional landmark localizers for human pose estimation and face alignment with limited
resources", ICCV 2017 (block); Newell et al., "Stacked hourglass networks for human pose estimation", ECCV 2016;
Zhou et al., CVPR 2021, section 3.1 (heads).
"""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.models.motion import Codes
from pcavs.spec import PaperSpec, exact_div

DROPOUT: Final = 0.5
"""On the skip connection of an hourglass, in training only (published code)."""

GRADIENT_SLOPE: Final = 0.1
"""Share of the gradient that passes below zero where the face is projected to one channel. Chosen by hand."""

_PROJECTED_STRIDE: Final = 8
"""Side of the frame over that of the last feature map: the stem, the pooling and `project` halve it."""


class FanEncoder(nn.Module):
    """Encodes an aligned crop into speech content and pose code.

    The published training has no loss on the pose code; it can hold no more than twelve numbers of what
    reconstruction needs besides identity and content.

    Reference: E_n, mp_c and mp_p of Zhou et al., CVPR 2021, section 3.1; sizes as published.
    """

    def __init__(self, spec: PaperSpec) -> None:
        """Builds the layers at the sizes of the spec."""
        super().__init__()
        stem, middle, wide = spec.motion_widths
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 7, 2, 3), nn.BatchNorm2d(stem), nn.ReLU())
        self.at_half = _Hierarchical(stem, middle)
        self.at_quarter = nn.Sequential(_Hierarchical(middle, middle), _Hierarchical(middle, wide))
        self.hourglass = _Hourglass(wide, spec.hourglass_depth)
        self.heatmaps = nn.Sequential(
            _Hierarchical(wide, wide),
            nn.Conv2d(wide, wide, 1),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
            nn.Conv2d(wide, spec.motion_heatmaps, 1),
        )
        channel = nn.Conv2d(spec.motion_heatmaps, 1, 3, 2, 1)
        assert channel.bias is not None
        with torch.no_grad():
            channel.bias += 1.0  # at first the ReLU lets most of the face through
        self.project = nn.Sequential(
            nn.BatchNorm2d(spec.motion_heatmaps),
            nn.ReLU(),
            channel,
            nn.Flatten(),
            _LeakyGradientReLU(),
            nn.Linear(exact_div(spec.frame_px, _PROJECTED_STRIDE) ** 2, spec.motion_dim),
        )
        self.content_head = _head(spec.motion_dim, spec.content_dim)
        self.pose_head = _head(spec.motion_dim, spec.motion_dim)
        self.pose_embedding = nn.Sequential(nn.ReLU(), nn.Linear(spec.motion_dim, spec.pose_dim))

    def forward(self, face: Float[Tensor, "batch 3 side side"]) -> Codes:
        """Encodes aligned crops, RGB in [-1, 1]; neither content nor pose code is normalised."""
        feature = self.feature(face)
        return Codes(self.content_head(feature), self.pose_embedding(self.pose_head(feature)))

    def feature(self, face: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch motion"]:
        """Encodes aligned crops, RGB in [-1, 1], into the motion feature f_n, which both heads read."""
        x = functional.max_pool2d(self.at_half(self.stem(face)), 2)
        return self.project(self.heatmaps(self.hourglass(self.at_quarter(x))))


class _LeakyGradientReLU(nn.Module):
    """A ReLU whose gradient is that of a leaky ReLU.

    The whole face passes through the one channel before it. If training makes that channel negative everywhere, a
    plain ReLU outputs zeros and has no gradient, and the encoder says the same of every face for the rest of the run.
    Runs from random weights ended so within their first hundreds of steps (dev/LOG.md).
    """

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return functional.relu(x)
        leaky = functional.leaky_relu(x, GRADIENT_SLOPE)
        return leaky + (functional.relu(x) - leaky).detach()


class _Hierarchical(nn.Module):
    """Concatenates the results of three successive pre-activation convolutions, and adds its input."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half, quarter = exact_div(out_channels, 2), exact_div(out_channels, 4)
        self.first = _norm_conv(in_channels, half, 3)
        self.second = _norm_conv(half, quarter, 3)
        self.third = _norm_conv(quarter, quarter, 3)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else _norm_conv(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        second = self.second(first)
        return torch.cat([first, second, self.third(second)], dim=1) + self.shortcut(x)


class _Hourglass(nn.Module):
    """Processes features at half the side and adds them to a skip connection at full side; nested `depth` times."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.past = nn.Sequential(_Hierarchical(channels, channels), nn.Dropout(DROPOUT))
        self.before = _Hierarchical(channels, channels)
        self.inner = _Hourglass(channels, depth - 1) if depth > 1 else _Hierarchical(channels, channels)
        self.after = _Hierarchical(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        past = self.past(x)
        inner = self.after(self.inner(self.before(functional.max_pool2d(x, 2))))
        # To an explicit size and not by a factor of two: a side of 7 becomes 3 and must become 7 again.
        side = (int(x.shape[2]), int(x.shape[3]))
        return past + functional.interpolate(inner, size=side, mode="bilinear", align_corners=False)


def _norm_conv(in_channels: int, out_channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(in_channels),
        nn.ReLU(),
        nn.Conv2d(in_channels, out_channels, kernel, 1, kernel // 2, bias=False),
    )


def _head(in_dim: int, out_dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(in_dim, in_dim), nn.ReLU(), nn.Linear(in_dim, out_dim))
