"""Identity encoder of the `paper` talker: ResNeXt, whose last map is where the generator starts.

Reference: Xie et al., CVPR 2017; stride in the 3x3 convolution of a block, as in every implementation in use.
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.spec import PaperSpec

EXPANSION = 4
"""Channels out of a bottleneck for each of its planes."""


class PaperIdentity(NamedTuple):
    """Who it is, for the `paper` generator."""

    vector: Float[Tensor, "batch identity"]
    seed: Float[Tensor, "batch c seed seed"]
    """Map at 1/32 of the frame's side, in the place of StyleGAN2's learnt constant."""


class ResNeXtEncoder(nn.Module):
    """Encodes an aligned face once for a whole film (E_i of Zhou et al., CVPR 2021)."""

    def __init__(self, spec: PaperSpec) -> None:
        """Sizes follow from the spec; RGB comes in [-1, 1], without the mean and spread of ImageNet."""
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, spec.identity_stem, 7, 2, 3, bias=False), nn.BatchNorm2d(spec.identity_stem), nn.ReLU()
        )
        stages: list[nn.Module] = []
        before = spec.identity_stem
        for planes, blocks in zip(spec.identity_planes, spec.identity_blocks, strict=True):
            width = planes * spec.identity_group_width // 64 * spec.identity_groups
            stride = 2 if stages else 1
            stage = [_Bottleneck(before, width, planes * EXPANSION, spec.identity_groups, stride)]
            before = planes * EXPANSION
            stage += [_Bottleneck(before, width, before, spec.identity_groups, 1) for _ in range(1, blocks)]
            stages.append(nn.Sequential(*stage))
        self.stages = nn.Sequential(*stages)
        self.seed = nn.Conv2d(before, spec.seed_channels, 1)

    def forward(self, face: Float[Tensor, "batch 3 side side"]) -> PaperIdentity:
        """Encodes faces with RGB in [-1, 1]."""
        x = self.stages(functional.max_pool2d(self.stem(face), 3, 2, 1))
        return PaperIdentity(x.mean(dim=(2, 3)), self.seed(x))


class _Bottleneck(nn.Module):
    """Narrows, convolves in groups, widens, and adds its input."""

    def __init__(self, before: int, width: int, after: int, groups: int, stride: int) -> None:
        super().__init__()
        self.narrow = _conv_norm(before, width, 1)
        self.group = _conv_norm(width, width, 3, stride, groups)
        self.widen = _conv_norm(width, after, 1)
        self.shortcut = _conv_norm(before, after, 1, stride) if before != after or stride != 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.group(functional.relu(self.narrow(x))))
        return functional.relu(self.widen(y) + self.shortcut(x))


def _conv_norm(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(after)
    )
