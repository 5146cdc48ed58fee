"""Patch discriminators at several scales: what adversarial training of either model is against.

Reference: Isola et al., "Image-to-image translation with conditional adversarial networks", CVPR 2017 (patches);
Wang et al., "High-resolution image synthesis with conditional GANs", CVPR 2018 (scales, feature lists); Miyato et al.,
"Spectral normalization for generative adversarial networks", ICLR 2018.
"""

from collections.abc import Sequence
from typing import Final

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from pcavs.models.blocks import LEAKY_SLOPE

PUBLISHED_WIDTHS: Final = (64, 128, 256, 512)
"""Channels of the four stages (published code)."""

KERNEL, PADDING = 4, 2
"""Of every convolution, in pixels (published code)."""


class PatchDiscriminator(nn.Module):
    """Classifies overlapping patches as real or generated: one logit per patch, above zero for real.

    Normalisation is per image, so that an image's logits do not depend on the rest of the batch.
    """

    def __init__(self, widths: Sequence[int] = PUBLISHED_WIDTHS, in_channels: int = 3) -> None:
        """Builds one stage per width; every stage but the last halves the side."""
        super().__init__()
        first = nn.Sequential(nn.Conv2d(in_channels, widths[0], KERNEL, 2, PADDING), nn.LeakyReLU(LEAKY_SLOPE))
        strides = [2] * (len(widths) - 2) + [1]
        later = [_stage(widths[at], widths[at + 1], stride) for at, stride in enumerate(strides)]
        self.stages = nn.ModuleList([first, *later])
        self.logits = nn.Conv2d(widths[-1], 1, KERNEL, 1, PADDING)

    def forward(self, images: Float[Tensor, "batch c h w"]) -> list[Tensor]:
        """Returns the image itself, the features of every stage, and the logits (batch, 1, h', w'), in this order.

        The image is in the list because the published feature matching loss runs over the whole list, which makes
        its first term a pixel loss.
        """
        maps = [images]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return [*maps, self.logits(maps[-1])]


class MultiscaleDiscriminator(nn.Module):
    """Runs one patch discriminator on the image and further ones on the image at half, a quarter ... of its side.

    The published network has two scales and 5,527,682 parameters.
    """

    def __init__(self, num_scales: int = 2, widths: Sequence[int] = PUBLISHED_WIDTHS, in_channels: int = 3) -> None:
        """Builds a separate `PatchDiscriminator` for each scale."""
        super().__init__()
        self.scales = nn.ModuleList(PatchDiscriminator(widths, in_channels) for _ in range(num_scales))

    def forward(self, images: Float[Tensor, "batch c h w"]) -> list[list[Tensor]]:
        """Returns each scale's list of maps (`PatchDiscriminator.forward`), full size first."""
        results: list[list[Tensor]] = []
        for at, scale in enumerate(self.scales):
            if at:
                images = functional.avg_pool2d(images, 3, 2, 1, count_include_pad=False)
            results.append(scale(images))
        return results


def _stage(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        spectral_norm(nn.Conv2d(in_channels, out_channels, KERNEL, stride, PADDING, bias=False)),
        nn.InstanceNorm2d(out_channels),
        nn.LeakyReLU(LEAKY_SLOPE),
    )
