"""Generator of the published model: StyleGAN2's synthesis network, started from the identity map.

The published network modulates and demodulates a copy of the kernels for each sample and convolves with one group per
sample. Here the style scales the input channels and the demodulation scales the output channels, with one kernel for
the whole batch: the same numbers up to rounding, with a fraction of the memory traffic.

Reference: Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020, section 2.2 and
figure 7b; Zhou et al., CVPR 2021, section 3.3. The published code replaces StyleGAN2's learned constant by the
identity map.
"""

import itertools
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.models.blocks import ACTIVATION_GAIN, LEAKY_SLOPE
from pcavs.spec import PaperSpec

BLUR_TAPS: Final = (1.0, 3.0, 3.0, 1.0)
"""Binomial low-pass filter after each upsampling, along one axis (StyleGAN2)."""

DEMODULATION_EPS: Final = 1e-8
"""Keeps the demodulation finite (StyleGAN2)."""

_KERNEL: Final = 3
"""Side of the kernels, in pixels."""


class StyleGenerator(nn.Module):
    """Paints a face from the identity map under a style, doubling the side level by level.

    Every level converts its features to RGB and adds them to the upsampled RGB image of the level before: skip
    connections between images, not between features.
    """

    def __init__(self, spec: PaperSpec) -> None:
        """Builds as many levels as there are widths; the first has the side of the identity map."""
        super().__init__()
        widths, side = spec.generator_widths, spec.seed_px
        self.first = StyledConv(spec.seed_channels, widths[0], spec.style_dim, side)
        self.first_colours = ToRgb(widths[0], spec.style_dim)
        self.levels = nn.ModuleList(
            _Level(before, after, spec.style_dim, side << power)
            for power, (before, after) in enumerate(itertools.pairwise(widths), start=1)
        )

    def forward(
        self, seed: Float[Tensor, "batch c seed seed"], style: Float[Tensor, "batch style"]
    ) -> Float[Tensor, "batch 3 side side"]:
        """Returns the RGB image before its `tanh`, unbounded."""
        x = self.first(seed, style)
        image = self.first_colours(x, style)
        for level in self.levels:
            x, image = level(x, image, style)
        return image


class EqualLinear(nn.Module):
    """Linear layer whose weights are stored at unit variance and scaled at run time (equalised learning rate).

    Reference: Karras et al., "Progressive growing of GANs for improved quality, stability, and variation", ICLR 2018,
    section 4.1.
    """

    def __init__(self, in_dim: int, out_dim: int) -> None:
        """Builds the layer with a bias of 1, so that a style of zero leaves a modulated convolution unchanged."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_dim, in_dim))
        self.bias = nn.Parameter(torch.ones(out_dim))
        self.scale = in_dim**-0.5

    def forward(self, x: Float[Tensor, "batch c_in"]) -> Float[Tensor, "batch c_out"]:
        """Maps vectors. The input is scaled instead of the weights, which is cheaper."""
        return functional.linear(x * self.scale, self.weight, self.bias)


class StyledConv(nn.Module):
    """Modulated and demodulated 3x3 convolution, then noise, bias and leaky ReLU.

    With `upsample` it is a transposed convolution of stride 2 followed by a blur, and doubles the side.
    """

    noise: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, style_dim: int, side: int, *, upsample: bool = False
    ) -> None:
        """Builds the layer; `side` is that of its output, and of the stored noise."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, _KERNEL, _KERNEL))
        self.affine = EqualLinear(style_dim, in_channels)
        self.noise_strength = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("noise", torch.randn(1, 1, side, side))
        self.scale = (in_channels * _KERNEL**2) ** -0.5
        self.blur = Blur(out_channels) if upsample else None

    def forward(
        self, x: Float[Tensor, "batch c_in before before"], style: Float[Tensor, "batch style"]
    ) -> Float[Tensor, "batch c_out side side"]:
        """Maps features under a style. The noise is drawn anew in training only; otherwise it is the stored one."""
        scale = self.affine(style).float() * self.scale
        energy = functional.linear(scale.square(), self.weight.float().square().sum(dim=(2, 3)))
        demodulation = torch.rsqrt(energy + DEMODULATION_EPS)
        x = x * scale.to(x.dtype)[:, :, None, None]
        if self.blur is None:
            x = functional.conv2d(x, self.weight, padding=1)
        else:
            x = self.blur(functional.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2))
        x = x * demodulation.to(x.dtype)[:, :, None, None] + self._noise(x) + self.bias[:, None, None].to(x.dtype)
        return functional.leaky_relu(x, LEAKY_SLOPE) * ACTIVATION_GAIN

    def _noise(self, x: Tensor) -> Tensor:
        noise = torch.randn_like(x[:, :1]) if self.training else self.noise
        return (self.noise_strength * noise).to(x.dtype)


class ToRgb(nn.Module):
    """Modulated 1x1 convolution from features to RGB, without demodulation."""

    def __init__(self, in_channels: int, style_dim: int) -> None:
        """Builds the layer with a bias of zero."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, in_channels, 1, 1))
        self.affine = EqualLinear(style_dim, in_channels)
        self.bias = nn.Parameter(torch.zeros(3))
        self.scale = in_channels**-0.5

    def forward(
        self, x: Float[Tensor, "batch c side side"], style: Float[Tensor, "batch style"]
    ) -> Float[Tensor, "batch 3 side side"]:
        """Maps features to RGB under a style."""
        scale = (self.affine(style) * self.scale).to(x.dtype)
        return functional.conv2d(x * scale[:, :, None, None], self.weight, self.bias)


class Blur(nn.Module):
    """Low-pass filter after a transposed convolution of stride 2; removes the one surplus row and column."""

    taps: Tensor

    def __init__(self, channels: int) -> None:
        """Builds the filter, the same for every channel."""
        super().__init__()
        self.channels = channels
        self.register_buffer("taps", blur_taps(channels), persistent=False)

    def forward(self, x: Float[Tensor, "batch c surplus surplus"]) -> Float[Tensor, "batch c side side"]:
        """Filters features; a side of 2n + 1 becomes 2n."""
        return functional.conv2d(x, self.taps.to(x.dtype), padding=1, groups=self.channels)


class UpsampleRgb(nn.Module):
    """Doubles the side of an RGB image: inserts zeros between its pixels and low-pass filters."""

    taps: Tensor

    def __init__(self) -> None:
        """Builds the filter, the same for each colour."""
        super().__init__()
        self.register_buffer("taps", blur_taps(3), persistent=False)

    def forward(self, image: Float[Tensor, "batch 3 before before"]) -> Float[Tensor, "batch 3 after after"]:
        """Upsamples. A transposed convolution does both steps at once, without storing the zeros."""
        return functional.conv_transpose2d(image, self.taps.to(image.dtype), stride=2, padding=1, groups=3)


def blur_taps(channels: int) -> Float[Tensor, "channels 1 4 4"]:
    """Returns the two-dimensional filter for each channel.

    It sums to 4, because three quarters of the values that it covers are zero.
    """
    line = torch.tensor(BLUR_TAPS) / sum(BLUR_TAPS) * 2
    return torch.outer(line, line).repeat(channels, 1, 1, 1)


class _Level(nn.Module):
    """Doubles the side, convolves once more, and adds the features' RGB to the upsampled image."""

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, side: int) -> None:
        super().__init__()
        self.up = StyledConv(in_channels, out_channels, style_dim, side, upsample=True)
        self.conv = StyledConv(out_channels, out_channels, style_dim, side)
        self.colours = ToRgb(out_channels, style_dim)
        self.upsample = UpsampleRgb()

    def forward(self, x: Tensor, image: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv(self.up(x, style), style)
        return x, self.upsample(image) + self.colours(x, style)
