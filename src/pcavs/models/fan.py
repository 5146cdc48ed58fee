"""Motion encoder of the `paper` talker: a face alignment network with one hourglass, and two heads.

Reference: Bulat and Tzimiropoulos, ICCV 2017 (network) and "Binarized convolutional landmark localizers", ICCV 2017
(block); Zhou et al., CVPR 2021, section 3.1 (heads).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.models.motion import Motion
from pcavs.spec import PaperSpec, exact_div

DROPOUT = 0.5
"""On what passes an hourglass at the side; only in training."""


class FanEncoder(nn.Module):
    """Encodes an aligned face into speech content and pose (E_n, mp_c and mp_p of Zhou et al., CVPR 2021).

    The pose has no loss of its own: twelve numbers are too few to carry anything but what reconstruction still needs.
    """

    def __init__(self, spec: PaperSpec) -> None:
        """Sizes follow from the spec."""
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
        self.project = nn.Sequential(
            nn.BatchNorm2d(spec.motion_heatmaps),
            nn.ReLU(),
            nn.Conv2d(spec.motion_heatmaps, 1, 3, 2, 1),
            nn.Flatten(),
            nn.ReLU(),
            nn.Linear(exact_div(spec.frame_px, 8) ** 2, spec.motion_dim),
        )
        self.content_head = _head(spec.motion_dim, spec.content_dim)
        self.pose_head = _head(spec.motion_dim, spec.motion_dim)
        self.pose_embedding = nn.Sequential(nn.ReLU(), nn.Linear(spec.motion_dim, spec.pose_dim))

    def forward(self, face: Float[Tensor, "batch 3 side side"]) -> Motion:
        """Encodes faces with RGB in [-1, 1]; neither content nor pose is normalised."""
        feature = self.feature(face)
        return Motion(self.content_head(feature), self.pose_embedding(self.pose_head(feature)))

    def feature(self, face: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch motion"]:
        """Encodes faces with RGB in [-1, 1] into the motion feature f_n, which both heads read."""
        x = functional.max_pool2d(self.at_half(self.stem(face)), 2)
        return self.project(self.heatmaps(self.hourglass(self.at_quarter(x))))


class _Hierarchical(nn.Module):
    """Three convolutions, one after the other, whose results stand side by side; normalised before, not after."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        half, quarter = exact_div(after, 2), exact_div(after, 4)
        self.first = _norm_conv(before, half, 3)
        self.second = _norm_conv(half, quarter, 3)
        self.third = _norm_conv(quarter, quarter, 3)
        self.shortcut = _norm_conv(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        first = self.first(x)
        second = self.second(first)
        return torch.cat([first, second, self.third(second)], dim=1) + self.shortcut(x)


class _Hourglass(nn.Module):
    """Halves the side, works there, doubles it and adds what went past; itself again inside, `depth` times."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.past = nn.Sequential(_Hierarchical(channels, channels), nn.Dropout(DROPOUT))
        self.before = _Hierarchical(channels, channels)
        self.inner = _Hourglass(channels, depth - 1) if depth > 1 else _Hierarchical(channels, channels)
        self.after = _Hierarchical(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        past = self.past(x)
        inner = self.after(self.inner(self.before(functional.max_pool2d(x, 2))))
        # To a named size, not by a factor: a side of 7 comes back from 3.
        side = (int(x.shape[2]), int(x.shape[3]))
        return past + functional.interpolate(inner, size=side, mode="bilinear", align_corners=False)


def _norm_conv(before: int, after: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(before), nn.ReLU(), nn.Conv2d(before, after, kernel, 1, kernel // 2, bias=False)
    )


def _head(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(before, before), nn.ReLU(), nn.Linear(before, after))
