"""Building blocks shared by the networks of both talkers."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

LEAK = 0.2


class ConvBlock(nn.Sequential):
    """Convolves, normalises over the batch and rectifies; folds into one convolution at inference."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3, stride: int | tuple[int, int] = 1) -> None:
        """Pads so that a stride of one keeps the size."""
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(LEAK),
        )


class ResidualBlock(nn.Module):
    """Adds two convolutions to its input (He et al., CVPR 2016, basic block)."""

    def __init__(self, channels: int) -> None:
        """Keeps channels and size."""
        super().__init__()
        self.first = ConvBlock(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c h w"]:
        """Maps features to features of the same shape."""
        return functional.leaky_relu(x + self.second(self.first(x)), LEAK)


class ModulatedConv(nn.Module):
    """Convolves with kernels scaled by the style and demodulated (Karras et al., CVPR 2020, section 2.2).

    The style scales the activations and the demodulation scales the result, which is the same mathematics as
    scaling the kernels for each sample, but keeps one kernel for the whole batch.
    """

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, kernel: int = 3) -> None:
        """Starts with a style that leaves activations as they are."""
        super().__init__()
        # Small kernels, so that a step of Adam changes them by a noticeable share: demodulation makes their size moot.
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
        """Maps features under a style; the result is rectified."""
        scale = self.affine(style)
        energy = functional.linear(scale.float().square(), self.weight.float().square().sum(dim=(2, 3)))
        demodulation = torch.rsqrt(energy + 1e-6).to(x.dtype)
        x = functional.conv2d(x * scale[:, :, None, None].to(x.dtype), self.weight, padding=self.padding)
        x = x * demodulation[:, :, None, None] + self.bias[None, :, None, None].to(x.dtype)
        return functional.leaky_relu(x, LEAK) * 2**0.5


def resize(x: Float[Tensor, "batch c h w"], side: int) -> Float[Tensor, "batch c side side"]:
    """Resizes bilinearly, pixel areas aligned (not corners)."""
    return functional.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)


def base_grid(side: int, like: Tensor) -> Float[Tensor, "1 2 side side"]:
    """Coordinates (x, y) of every pixel centre, the picture spanning [-1, 1]."""
    line = (torch.arange(side, device=like.device, dtype=torch.float32) * 2 + 1) / side - 1
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([columns, rows])[None]


def warp(
    x: Float[Tensor, "batch c h w"], flow: Float[Tensor, "batch 2 side side"]
) -> Float[Tensor, "batch c side side"]:
    """Samples `x` at each pixel's place plus flow (x, y, the picture spanning [-1, 1]); edges are continued."""
    grid = (base_grid(int(flow.shape[-1]), flow) + flow.float()).permute(0, 2, 3, 1)
    return functional.grid_sample(x.float(), grid, padding_mode="border", align_corners=False).to(x.dtype)
