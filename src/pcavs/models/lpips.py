"""LPIPS: how unlike two pictures look, in the features of a network that names things in photographs."""

from collections.abc import Mapping
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

MEAN: Final = (-0.030, -0.088, -0.188)
SPREAD: Final = (0.458, 0.448, 0.450)
"""Of photographs' colours in [-1, 1], as the published weights expect them."""

_ALEX: Final = ((3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1))
"""Channels in and out, kernel, stride and padding of AlexNet's convolutions."""
_ALEX_WIDTHS: Final = [gives for _, gives, *_ in _ALEX]
_ALEX_POOLED: Final = (1, 2)
"""Convolutions before which AlexNet pools."""
_VGG: Final = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class Lpips(nn.Module):
    """Compares pictures at five depths of AlexNet or VGG16 and weighs the channels by what people notice.

    Reference: Zhang, Isola, Efros, Shechtman and Wang, "The unreasonable effectiveness of deep features as a
    perceptual metric", CVPR 2018; version 0.1 of the published weights.
    """

    def __init__(self, network: str) -> None:
        """Builds `alex` or `vgg` with random weights; `load` fills in published ones."""
        super().__init__()
        self.depths = nn.ModuleList(_alex() if network == "alex" else _vgg())
        widths = _ALEX_WIDTHS if network == "alex" else [block[-1] for block in _VGG]
        self.weighing = nn.ParameterList(nn.Parameter(torch.rand(width)) for width in widths)
        self.mean = nn.Buffer(torch.tensor(MEAN)[:, None, None])
        self.spread = nn.Buffer(torch.tensor(SPREAD)[:, None, None])

    def forward(
        self, made: Float[Tensor, "batch 3 h w"], truth: Float[Tensor, "batch 3 h w"]
    ) -> Float[Tensor, " batch"]:
        """Gives distances of RGB pictures in [-1, 1], both of at least 64 pixels; 0 for equal ones."""
        total = torch.zeros(1)
        left, right = ((pictures - self.mean) / self.spread for pictures in (made, truth))
        for depth, weights in zip(self.depths, self.weighing, strict=True):
            left, right = depth(left), depth(right)
            apart = (_unit(left) - _unit(right)) ** 2
            total = total + (apart * weights[:, None, None]).sum(dim=1).mean(dim=(1, 2))
        return total

    def load(self, backbone: Mapping[str, Tensor], linear: Mapping[str, Tensor]) -> None:
        """Takes torchvision's weights of the network and LPIPS's of the channels.

        Raises:
            KeyError: One of them holds no such tensor.
            RuntimeError: A tensor has another shape.
        """
        convolutions = [layer for layer in self.depths.modules() if isinstance(layer, nn.Conv2d)]
        places = sorted({int(name.split(".")[1]) for name in backbone if name.startswith("features.")})
        # torchvision counts activations and poolings too; only convolutions have weights.
        for layer, place in zip(convolutions, places, strict=False):
            layer.load_state_dict({part: backbone[f"features.{place}.{part}"] for part in ("weight", "bias")})
        if len(places) != len(convolutions):
            raise KeyError(f"{len(convolutions)} convolutions are needed, {len(places)} are there")
        with torch.no_grad():
            for number, weights in enumerate(self.weighing):
                given = linear[f"lin{number}.model.1.weight"]
                if given.shape != (1, len(weights), 1, 1):
                    raise RuntimeError(f"lin{number} has shape {tuple(given.shape)}")
                weights.copy_(given[0, :, 0, 0])


def _unit(maps: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c h w"]:
    return maps / (maps.pow(2).sum(dim=1, keepdim=True).sqrt() + 1e-10)


def _alex() -> list[nn.Sequential]:
    depths = []
    for number, (came, gives, kernel, stride, padding) in enumerate(_ALEX):
        pooled = [nn.MaxPool2d(3, 2)] if number in _ALEX_POOLED else []
        depths.append(nn.Sequential(*pooled, nn.Conv2d(came, gives, kernel, stride, padding), nn.ReLU()))
    return depths


def _vgg() -> list[nn.Sequential]:
    depths, came = [], 3
    for number, widths in enumerate(_VGG):
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if number else []
        for width in widths:
            layers += [nn.Conv2d(came, width, 3, padding=1), nn.ReLU()]
            came = width
        depths.append(nn.Sequential(*layers))
    return depths
