"""Generator of the `paper` talker: StyleGAN2's synthesis network, grown from the identity map.

The published network scales and demodulates a copy of the kernels for each sample and convolves with one group a
sample. Here the style scales the activations and the demodulation scales the result, with one kernel for the whole
batch: the same numbers for a fraction of the memory traffic.

Reference: Karras et al., CVPR 2020, section 2.2 and figure 7b; Zhou et al., CVPR 2021, section 3.3; the published
code replaces StyleGAN2's learnt constant by the identity map.
"""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.models.blocks import LEAK
from pcavs.spec import PaperSpec

BLUR_TAPS = (1.0, 3.0, 3.0, 1.0)
"""Binomial low-pass filter that follows each doubling of the side."""

ACTIVATION_GAIN = 2**0.5
"""Keeps the variance that the leaky rectifier takes away."""

_LEAST_ENERGY = 1e-8


class StyleGenerator(nn.Module):
    """Paints a face from the identity map under a style, doubling the side level by level.

    A picture accompanies the features: each level adds its colours to the doubled picture of the level before
    (skip connections between pictures, not features).
    """

    def __init__(self, spec: PaperSpec) -> None:
        """Sizes follow from the spec: as many levels as widths, the first at the side of the identity map."""
        super().__init__()
        widths, side = spec.generator_widths, spec.seed_px
        self.first = StyledConv(spec.seed_channels, widths[0], spec.style_dim, side)
        self.first_colours = Colours(widths[0], spec.style_dim)
        self.levels = nn.ModuleList(
            _Level(before, after, spec.style_dim, side << power)
            for power, (before, after) in enumerate(itertools.pairwise(widths), start=1)
        )

    def forward(
        self, seed: Float[Tensor, "batch c seed seed"], style: Float[Tensor, "batch style"]
    ) -> Float[Tensor, "batch 3 side side"]:
        """Gives the picture before its `tanh`: unbounded, RGB."""
        x = self.first(seed, style)
        picture = self.first_colours(x, style)
        for level in self.levels:
            x, picture = level(x, picture, style)
        return picture


class EqualLinear(nn.Module):
    """A linear map whose weights are stored at unit variance and scaled as they are used.

    Reference: Karras et al., ICLR 2018, section 4.1 (equalised learning rate).
    """

    def __init__(self, in_dim: int, out_dim: int) -> None:
        """Starts with a bias of one: as the style of a modulated convolution it changes nothing at first."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_dim, in_dim))
        self.bias = nn.Parameter(torch.ones(out_dim))
        self.scale = in_dim**-0.5

    def forward(self, x: Float[Tensor, "batch c_in"]) -> Float[Tensor, "batch c_out"]:
        """Maps vectors; scaling the input is the same as scaling the weights, and cheaper."""
        return functional.linear(x * self.scale, self.weight, self.bias)


class StyledConv(nn.Module):
    """A modulated and demodulated 3x3 convolution, then noise, bias and a leaky rectifier.

    Where it doubles the side it is a transposed convolution of stride two followed by a blur.
    """

    noise: Tensor

    def __init__(
        self, in_channels: int, out_channels: int, style_dim: int, side: int, *, doubles: bool = False
    ) -> None:
        """Takes the side of its result, which its stored noise must have."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.affine = EqualLinear(style_dim, in_channels)
        self.noise_strength = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("noise", torch.randn(1, 1, side, side))
        self.scale = (in_channels * 9) ** -0.5
        self.blur = Blur(out_channels) if doubles else None

    def forward(
        self, x: Float[Tensor, "batch c_in before before"], style: Float[Tensor, "batch style"]
    ) -> Float[Tensor, "batch c_out side side"]:
        """Maps features under a style. Noise is the stored one, fresh only in training."""
        scale = self.affine(style).float() * self.scale
        energy = functional.linear(scale.square(), self.weight.float().square().sum(dim=(2, 3)))
        demodulation = torch.rsqrt(energy + _LEAST_ENERGY)
        x = x * scale.to(x.dtype)[:, :, None, None]
        if self.blur is None:
            x = functional.conv2d(x, self.weight, padding=1)
        else:
            x = self.blur(functional.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2))
        x = x * demodulation.to(x.dtype)[:, :, None, None] + self._noise(x) + self.bias[:, None, None].to(x.dtype)
        return functional.leaky_relu(x, LEAK) * ACTIVATION_GAIN

    def _noise(self, x: Tensor) -> Tensor:
        noise = torch.randn_like(x[:, :1]) if self.training else self.noise
        return (self.noise_strength * noise).to(x.dtype)


class Colours(nn.Module):
    """A modulated 1x1 convolution from features to RGB, not demodulated."""

    def __init__(self, in_channels: int, style_dim: int) -> None:
        """Starts without colour of its own."""
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, in_channels, 1, 1))
        self.affine = EqualLinear(style_dim, in_channels)
        self.bias = nn.Parameter(torch.zeros(3))
        self.scale = in_channels**-0.5

    def forward(
        self, x: Float[Tensor, "batch c side side"], style: Float[Tensor, "batch style"]
    ) -> Float[Tensor, "batch 3 side side"]:
        """Maps features to colours under a style."""
        scale = (self.affine(style) * self.scale).to(x.dtype)
        return functional.conv2d(x * scale[:, :, None, None], self.weight, self.bias)


class Blur(nn.Module):
    """Low-pass filters what a transposed convolution of stride two made; takes its surplus pixel off."""

    taps: Tensor

    def __init__(self, channels: int) -> None:
        """Filters every channel alike."""
        super().__init__()
        self.channels = channels
        self.register_buffer("taps", blur_taps(channels), persistent=False)

    def forward(self, x: Float[Tensor, "batch c surplus surplus"]) -> Float[Tensor, "batch c side side"]:
        """Filters; a side of 2n + 1 becomes 2n."""
        return functional.conv2d(x, self.taps.to(x.dtype), padding=1, groups=self.channels)


class Doubling(nn.Module):
    """Doubles a picture's side: zeros between its pixels, then the same low-pass filter."""

    taps: Tensor

    def __init__(self) -> None:
        """Works on three colours."""
        super().__init__()
        self.register_buffer("taps", blur_taps(3), persistent=False)

    def forward(self, picture: Float[Tensor, "batch 3 before before"]) -> Float[Tensor, "batch 3 after after"]:
        """Doubles; the zeros need not be made, since a transposed convolution steps over them."""
        return functional.conv_transpose2d(picture, self.taps.to(picture.dtype), stride=2, padding=1, groups=3)


def blur_taps(channels: int) -> Float[Tensor, "channels 1 4 4"]:
    """The filter in two dimensions, for each channel; it sums to four, as three quarters of what it sees are zero."""
    line = torch.tensor(BLUR_TAPS) / sum(BLUR_TAPS) * 2
    return torch.outer(line, line).repeat(channels, 1, 1, 1)


class _Level(nn.Module):
    """Doubles the side, convolves once more, and adds this level's colours to the picture."""

    def __init__(self, before: int, after: int, style_dim: int, side: int) -> None:
        super().__init__()
        self.up = StyledConv(before, after, style_dim, side, doubles=True)
        self.conv = StyledConv(after, after, style_dim, side)
        self.colours = Colours(after, style_dim)
        self.doubling = Doubling()

    def forward(self, x: Tensor, picture: Tensor, style: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv(self.up(x, style), style)
        return x, self.doubling(picture) + self.colours(x, style)
