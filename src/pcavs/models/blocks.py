"""Layers and sampling functions that several networks share."""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

LEAKY_SLOPE: Final = 0.2
"""Slope of the leaky ReLUs below zero, as in StyleGAN2 and in the published discriminator."""

ACTIVATION_GAIN: Final = 2**0.5
"""Factor after a modulated convolution's leaky ReLU that restores the variance (StyleGAN2)."""

_DEMODULATION_EPS: Final = 1e-6
"""Keeps the demodulation finite when a style is zero. Tuned by hand, not measured; StyleGAN2 has 1e-8."""


class ConvBlock(nn.Sequential):
    """Convolution, batch normalisation and leaky ReLU; folds into one convolution at inference."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3, stride: int | tuple[int, int] = 1) -> None:
        """Builds the block; a stride of (vertical, horizontal) or of both. Stride 1 keeps the size."""
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(LEAKY_SLOPE),
        )


class ResidualBlock(nn.Module):
    """Adds the result of two 3x3 convolutions to its input.

    Reference: He et al., "Deep residual learning for image recognition", CVPR 2016 (basic block).
    """

    def __init__(self, channels: int) -> None:
        """Builds the block; input and output have the same channels and size."""
        super().__init__()
        self.first = ConvBlock(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c h w"]:
        """Maps features to features of the same shape."""
        return functional.leaky_relu(x + self.second(self.first(x)), LEAKY_SLOPE)


class ModulatedConv(nn.Module):
    """Modulated and demodulated convolution, then bias and leaky ReLU.

    The published form scales a copy of the kernels for each sample. Here the style scales the input channels and the
    demodulation scales the output channels: the same arithmetic, with one kernel for the whole batch.

    Reference: Karras et al., "Analyzing and improving the image quality of StyleGAN", CVPR 2020, section 2.2.
    """

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, kernel: int = 3) -> None:
        """Builds the layer; the initial style scale is 1 for a style of zero."""
        super().__init__()
        # Demodulation makes the size of the kernels irrelevant. They start small, because Adam's steps have a fixed
        # size: with kernels of unit size a step hardly changed them, and the flow stayed at zero.
        spread = (in_channels * kernel * kernel) ** -0.5
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel) * spread)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.affine = nn.Linear(style_dim, in_channels)
        nn.init.normal_(self.affine.weight, std=style_dim**-0.5)
        nn.init.ones_(self.affine.bias)
        self.padding = kernel // 2

    def forward(
        self, x: Float[Tensor, "batch c_in h w"], style: Float[Tensor, "batch style"]
    ) -> Float[Tensor, "batch c_out h w"]:
        """Maps features under a style; the size stays the same."""
        scale = self.affine(style)
        energy = functional.linear(scale.float().square(), self.weight.float().square().sum(dim=(2, 3)))
        demodulation = torch.rsqrt(energy + _DEMODULATION_EPS).to(x.dtype)
        x = functional.conv2d(x * scale[:, :, None, None].to(x.dtype), self.weight, padding=self.padding)
        x = x * demodulation[:, :, None, None] + self.bias[None, :, None, None].to(x.dtype)
        return functional.leaky_relu(x, LEAKY_SLOPE) * ACTIVATION_GAIN


def resize(x: Float[Tensor, "batch c h w"], side: int) -> Float[Tensor, "batch c side side"]:
    """Resizes bilinearly to a square; the image borders are aligned, not the centres of the corner pixels."""
    return functional.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)


def base_grid(side: int, like: Tensor) -> Float[Tensor, "1 2 side side"]:
    """Returns the coordinates (x, y) of every pixel centre, on the device of `like`; the image spans [-1, 1]."""
    line = (torch.arange(side, device=like.device, dtype=torch.float32) * 2 + 1) / side - 1
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([columns, rows])[None]


def warp(
    x: Float[Tensor, "batch c h w"], flow: Float[Tensor, "batch 2 side side"]
) -> Float[Tensor, "batch c side side"]:
    """Warps backwards: samples `x` bilinearly at each output pixel's own position plus the flow.

    Args:
        x: Image or feature map; its size may differ from the flow's.
        flow: Displacement (x, y) in coordinates where the image spans [-1, 1]. Positions outside read the edge.
    """
    grid = (base_grid(int(flow.shape[-1]), flow) + flow.float()).permute(0, 2, 3, 1)
    return functional.grid_sample(x.float(), grid, padding_mode="border", align_corners=False).to(x.dtype)
