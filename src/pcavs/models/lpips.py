"""LPIPS, a perceptual distance between images. Its weights are the user's; `scripts/convert_judges.py` exports it.

Reference: Zhang, Isola, Efros, Shechtman and Wang, "The unreasonable effectiveness of deep features as a perceptual
metric", CVPR 2018; version 0.1 of the published weights.
"""

from collections.abc import Mapping
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

MEAN: Final = (-0.030, -0.088, -0.188)
"""Mean of RGB in [-1, 1] over photographs, as the published weights expect it."""

DEVIATION: Final = (0.458, 0.448, 0.450)
"""Standard deviation of RGB in [-1, 1] over photographs, as the published weights expect it."""

_NORM_EPS: Final = 1e-10
"""Added to the length of a feature vector before the division (published code)."""

_ALEX: Final = ((3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1))
"""AlexNet's convolutions: channels in and out, kernel, stride and padding."""

_ALEX_WIDTHS: Final = [out_channels for _, out_channels, *_ in _ALEX]

_ALEX_POOLED: Final = (1, 2)
"""Convolutions that AlexNet pools in front of."""

_VGG: Final = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of VGG16's convolutions; every block but the first pools in front."""


class Lpips(nn.Module):
    """Compares images by the features of AlexNet or VGG16 at five depths, with a learned weight for each channel."""

    def __init__(self, network: str) -> None:
        """Builds `alex` or `vgg` with random weights; `load` fills in the published ones."""
        super().__init__()
        self.depths = nn.ModuleList(_alex() if network == "alex" else _vgg())
        widths = _ALEX_WIDTHS if network == "alex" else [block[-1] for block in _VGG]
        self.channel_weights = nn.ParameterList(nn.Parameter(torch.rand(width)) for width in widths)
        self.mean = nn.Buffer(torch.tensor(MEAN)[:, None, None])
        self.deviation = nn.Buffer(torch.tensor(DEVIATION)[:, None, None])

    def forward(
        self, made: Float[Tensor, "batch 3 h w"], truth: Float[Tensor, "batch 3 h w"]
    ) -> Float[Tensor, " batch"]:
        """Returns one distance per pair; 0 for equal images.

        Args:
            made: RGB in [-1, 1], at least 64 pixels in height and width.
            truth: Of the same size.
        """
        total = torch.zeros(1)
        left, right = ((images - self.mean) / self.deviation for images in (made, truth))
        for depth, weights in zip(self.depths, self.channel_weights, strict=True):
            left, right = depth(left), depth(right)
            difference = (_normalised(left) - _normalised(right)) ** 2
            total = total + (difference * weights[:, None, None]).sum(dim=1).mean(dim=(1, 2))
        return total

    def load(self, backbone: Mapping[str, Tensor], linear: Mapping[str, Tensor]) -> None:
        """Loads published weights.

        Args:
            backbone: torchvision's state dict of the network.
            linear: LPIPS's state dict of the channel weights.

        Raises:
            KeyError: One of them lacks a tensor.
            RuntimeError: A tensor has another shape.
        """
        convolutions = [layer for layer in self.depths.modules() if isinstance(layer, nn.Conv2d)]
        # torchvision numbers activations and poolings too; only convolutions have weights.
        indices = sorted({int(name.split(".")[1]) for name in backbone if name.startswith("features.")})
        for layer, index in zip(convolutions, indices, strict=False):
            layer.load_state_dict({part: backbone[f"features.{index}.{part}"] for part in ("weight", "bias")})
        if len(indices) != len(convolutions):
            raise KeyError(f"the backbone has {len(indices)} convolutions; {len(convolutions)} are needed")
        with torch.no_grad():
            for number, weights in enumerate(self.channel_weights):
                given = linear[f"lin{number}.model.1.weight"]
                if given.shape != (1, len(weights), 1, 1):
                    raise RuntimeError(f"lin{number} has shape {tuple(given.shape)}")
                weights.copy_(given[0, :, 0, 0])


def _normalised(maps: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c h w"]:
    """Scales the feature vector of each position to unit length."""
    return maps / (maps.pow(2).sum(dim=1, keepdim=True).sqrt() + _NORM_EPS)


def _alex() -> list[nn.Sequential]:
    depths = []
    for number, (in_channels, out_channels, kernel, stride, padding) in enumerate(_ALEX):
        pooled = [nn.MaxPool2d(3, 2)] if number in _ALEX_POOLED else []
        depths.append(nn.Sequential(*pooled, nn.Conv2d(in_channels, out_channels, kernel, stride, padding), nn.ReLU()))
    return depths


def _vgg() -> list[nn.Sequential]:
    depths, channels = [], 3
    for number, widths in enumerate(_VGG):
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if number else []
        for width in widths:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        depths.append(nn.Sequential(*layers))
    return depths
