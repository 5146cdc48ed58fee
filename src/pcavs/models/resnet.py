"""Identity encoder of the published model (E_i): ResNeXt-50 with one more output, the map that the generator starts at.

Reference: Xie et al., "Aggregated residual transformations for deep neural networks", CVPR 2017. As in torchvision,
the 3x3 convolution of a block carries the stride.
"""

from typing import Final, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.spec import PaperSpec

EXPANSION: Final = 4
"""Output channels of a bottleneck per plane (ResNet)."""

_REFERENCE_PLANES: Final = 64
"""Planes for which `PaperSpec.identity_group_width` is given (ResNeXt)."""


class PaperIdentity(NamedTuple):
    """Identity code of the published model."""

    vector: Float[Tensor, "batch identity"]
    """Part of the style."""
    seed: Float[Tensor, "batch c seed seed"]
    """Feature map at 1/32 of the frame's side; replaces StyleGAN2's learned constant."""


class ResNeXtEncoder(nn.Module):
    """Encodes the aligned crop of an identity reference, once per film.

    Reference: E_i of Zhou et al., CVPR 2021; sizes as published.
    """

    def __init__(self, spec: PaperSpec) -> None:
        """Builds four stages at the sizes of the spec."""
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, spec.identity_stem, 7, 2, 3, bias=False), nn.BatchNorm2d(spec.identity_stem), nn.ReLU()
        )
        stages: list[nn.Module] = []
        channels = spec.identity_stem
        for planes, blocks in zip(spec.identity_planes, spec.identity_blocks, strict=True):
            width = planes * spec.identity_group_width // _REFERENCE_PLANES * spec.identity_groups
            stride = 2 if stages else 1
            stage = [_Bottleneck(channels, width, planes * EXPANSION, spec.identity_groups, stride)]
            channels = planes * EXPANSION
            stage += [_Bottleneck(channels, width, channels, spec.identity_groups, 1) for _ in range(1, blocks)]
            stages.append(nn.Sequential(*stage))
        self.stages = nn.Sequential(*stages)
        self.seed = nn.Conv2d(channels, spec.seed_channels, 1)

    def forward(self, face: Float[Tensor, "batch 3 side side"]) -> PaperIdentity:
        """Encodes aligned crops, RGB in [-1, 1]; not normalised by ImageNet's mean and deviation."""
        x = self.stages(functional.max_pool2d(self.stem(face), 3, 2, 1))
        return PaperIdentity(x.mean(dim=(2, 3)), self.seed(x))


class _Bottleneck(nn.Module):
    """1x1, grouped 3x3 and 1x1 convolutions with a residual connection."""

    def __init__(self, in_channels: int, width: int, out_channels: int, groups: int, stride: int) -> None:
        super().__init__()
        self.narrow = _conv_norm(in_channels, width, 1)
        self.group = _conv_norm(width, width, 3, stride, groups)
        self.widen = _conv_norm(width, out_channels, 1)
        same = in_channels == out_channels and stride == 1
        self.shortcut = nn.Identity() if same else _conv_norm(in_channels, out_channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.group(functional.relu(self.narrow(x))))
        return functional.relu(self.widen(y) + self.shortcut(x))


def _conv_norm(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
    )
