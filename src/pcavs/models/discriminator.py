"""Discriminators: patches of a picture judged at several sizes (Isola et al., CVPR 2017; Wang et al., CVPR 2018)."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from pcavs.models.blocks import LEAK

PUBLISHED_WIDTHS = (64, 128, 256, 512)
KERNEL, PADDING = 4, 2


class PatchDiscriminator(nn.Module):
    """Judges overlapping patches: one logit a patch, above zero for real.

    All stages but the last two halve the side. Normalisation is by picture, so that no picture is judged by its
    neighbours in the batch.
    """

    def __init__(self, widths: Sequence[int] = PUBLISHED_WIDTHS, in_channels: int = 3) -> None:
        """Has one stage a width; the published network has four."""
        super().__init__()
        first = nn.Sequential(nn.Conv2d(in_channels, widths[0], KERNEL, 2, PADDING), nn.LeakyReLU(LEAK))
        strides = [2] * (len(widths) - 2) + [1]
        later = [_stage(widths[at], widths[at + 1], stride) for at, stride in enumerate(strides)]
        self.stages = nn.ModuleList([first, *later])
        self.logits = nn.Conv2d(widths[-1], 1, KERNEL, 1, PADDING)

    def forward(self, pictures: Float[Tensor, "batch c h w"]) -> list[Tensor]:
        """Gives the picture itself, the features of every stage, and the logits, in this order.

        The picture comes first because matching these lists is how the published code compares pixels too.
        """
        maps = [pictures]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return [*maps, self.logits(maps[-1])]


class MultiscaleDiscriminator(nn.Module):
    """Patch discriminators of the picture and of its halves (published code: two, 5,527,682 parameters)."""

    def __init__(self, num_scales: int = 2, widths: Sequence[int] = PUBLISHED_WIDTHS, in_channels: int = 3) -> None:
        """Every scale has a network of its own."""
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(widths, in_channels) for _ in range(num_scales))

    def forward(self, pictures: Float[Tensor, "batch c h w"]) -> list[list[Tensor]]:
        """Gives each scale's list of maps (`PatchDiscriminator`), the picture's own size first."""
        judged: list[list[Tensor]] = []
        for at, scale in enumerate(self.scales):
            if at:
                pictures = functional.avg_pool2d(pictures, 3, 2, 1, count_include_pad=False)
            judged.append(scale(pictures))
        return judged


def _stage(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        spectral_norm(nn.Conv2d(before, after, KERNEL, stride, PADDING, bias=False)),
        nn.InstanceNorm2d(after),
        nn.LeakyReLU(LEAK),
    )
