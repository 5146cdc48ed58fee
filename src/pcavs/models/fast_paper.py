"""The `paper` generator rewritten for processors: same inputs, same numbers up to rounding, less time."""

from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.models.blocks import LEAK
from pcavs.models.generator import Codes
from pcavs.models.paper import FaceGenerator
from pcavs.models.resnet import PaperIdentity
from pcavs.models.stylegan2 import ACTIVATION_GAIN, Colours, StyledConv
from pcavs.models.winograd import TiledConv

LEAST_TILED_PX: Final = 28
"""Smaller features are convolved plainly: that takes little time, and tiles take four times the memory of kernels."""


class FasterFace(nn.Module):
    """Driving content and pose, then the identity's vector and map, to the face: `models.plain.PlainFace`, faster.

    All styles come from one matrix product, the gain of each rectifier and all constant factors are folded into them,
    and larger features are convolved in tiles.
    """

    def __init__(self, generator: FaceGenerator, batch: int = 1, *, bounded: bool = True) -> None:
        """Rewrites the weights of a generator for one number of samples; `bounded` as in `PlainFace`."""
        super().__init__()
        self.generator = generator
        self.bounded = bounded
        synthesis = generator.synthesis
        levels: list[Any] = list(synthesis.levels)
        self.first = PlainConv(synthesis.first)
        self.ups = nn.ModuleList(PlainConv(level.up) for level in levels)
        self.convs = nn.ModuleList(RowsConv(level.conv, batch) for level in levels)
        self.doublings = nn.ModuleList(level.doubling for level in levels)
        styled = [synthesis.first, *(conv for level in levels for conv in (level.up, level.conv))]
        colours = [synthesis.first_colours, *(level.colours for level in levels)]
        self.colours = nn.ModuleList(Painted(part) for part in colours)
        self.styled_count = len(styled)
        parts: list[StyledConv | Colours] = [*styled, *colours]
        self.widths = [len(part.affine.bias) for part in parts]
        self.styles = _joined(parts)

    def forward(
        self,
        content: Float[Tensor, "batch content"],
        pose: Float[Tensor, "batch pose"],
        vector: Float[Tensor, "batch identity"],
        seed: Float[Tensor, "batch c seed seed"],
    ) -> Float[Tensor, "batch 3 side side"]:
        """Gives RGB, in [-1, 1] where bounded."""
        style = self.generator.style(PaperIdentity(vector, seed), Codes(content, pose))
        scales = torch.split(self.styles(style), self.widths, dim=1)
        conv_scales, colour_scales = scales[: self.styled_count], scales[self.styled_count :]
        x = self.first(seed / ACTIVATION_GAIN, conv_scales[0]).permute(0, 2, 3, 1)
        picture = self.colours[0](x, colour_scales[0])
        scales_of_levels = zip(conv_scales[1::2], conv_scales[2::2], colour_scales[1:], strict=True)
        networks = zip(self.ups, self.convs, self.colours[1:], self.doublings, strict=True)
        for (up, conv, colours, doubling), scales in zip(networks, scales_of_levels, strict=True):
            up_scale, conv_scale, colour_scale = scales
            x = conv(up(x.permute(0, 3, 1, 2), up_scale, conv_scale).permute(0, 2, 3, 1), conv_scale)
            picture = doubling(picture) + colours(x, colour_scale)
        return torch.tanh(picture) if self.bounded else picture


class Painted(nn.Module):
    """`Colours` of features channels last: the few kernels are scaled, not the many features."""

    def __init__(self, colours: Colours) -> None:
        """Takes the plain form."""
        super().__init__()
        self.weight = colours.weight
        self.bias = colours.bias

    def forward(
        self, x: Float[Tensor, "batch side side c"], scale: Float[Tensor, "batch c"]
    ) -> Float[Tensor, "batch 3 side side"]:
        """Maps features to colours."""
        kernels = self.weight.flatten(1) * scale[:, None]
        made = (x.flatten(1, 2) @ kernels.transpose(1, 2)).transpose(1, 2)
        return made.unflatten(2, x.shape[1:3]) + self.bias[:, None, None]


class ScaledConv(nn.Module):
    """What a `StyledConv` does around its convolution, its style taken beforehand and no gain after the rectifier."""

    energies: Tensor
    noise: Tensor
    bias: Tensor

    def __init__(self, conv: StyledConv) -> None:
        """Takes the plain form."""
        super().__init__()
        # Scales carry the gain of the rectifier before; the energy of the kernels does not.
        self.register_buffer("energies", conv.weight.detach().square().sum((2, 3)) / ACTIVATION_GAIN**2)
        self.register_buffer("noise", (conv.noise_strength * conv.noise).detach())
        self.register_buffer("bias", conv.bias.detach())

    def demodulation(self, scale: Float[Tensor, "batch c_in"]) -> Float[Tensor, "batch c_out"]:
        """What brings the result back to its size."""
        return torch.rsqrt(functional.linear(scale.square(), self.energies) + 1e-8)


class PlainConv(ScaledConv):
    """Channels first, any kind of convolution; all that is done to a pixel afterwards is done in one pass."""

    def __init__(self, conv: StyledConv) -> None:
        """Takes the plain form."""
        super().__init__(conv)
        self.plain = conv

    def forward(
        self, x: Float[Tensor, "batch c_in before before"], scale: Tensor, after: Tensor | None = None
    ) -> Float[Tensor, "batch c_out side side"]:
        """Maps features under the scale of their channels, and scales what comes for the layer `after`."""
        made = self._convolved(x * scale[:, :, None, None])
        made = made * self.demodulation(scale)[:, :, None, None] + self.noise + self.bias[:, None, None]
        made = functional.leaky_relu(made, LEAK)
        return made if after is None else made * after[:, :, None, None]

    def _convolved(self, x: Tensor) -> Tensor:
        if self.plain.blur is None:
            return functional.conv2d(x, self.plain.weight, padding=1)
        return self.plain.blur(functional.conv_transpose2d(x, self.plain.weight.transpose(0, 1), stride=2))


class RowsConv(ScaledConv):
    """Channels last, features scaled already; tiled where they are large."""

    def __init__(self, conv: StyledConv, batch: int) -> None:
        """Takes the plain form and the number of samples."""
        super().__init__(conv)
        side = conv.noise.shape[-1]
        self.tiled = TiledConv(conv.weight, batch, side) if side >= LEAST_TILED_PX else None
        self.weight = conv.weight

    def forward(
        self, x: Float[Tensor, "batch side side c_in"], scale: Float[Tensor, "batch c_in"]
    ) -> Float[Tensor, "batch side side c_out"]:
        """Maps features that were scaled by `scale`."""
        if self.tiled is None:
            made = functional.conv2d(x.permute(0, 3, 1, 2), self.weight, padding=1).permute(0, 2, 3, 1)
        else:
            made = self.tiled(x)
        made = made * self.demodulation(scale)[:, None, None] + self.noise.permute(0, 2, 3, 1) + self.bias
        return functional.leaky_relu(made, LEAK)


def _joined(parts: list[StyledConv | Colours]) -> nn.Linear:
    """One linear map to the scales of every layer, with all constant factors."""
    weights, biases = [], []
    for part in parts:
        gain = part.scale * ACTIVATION_GAIN
        weights.append(part.affine.weight.detach() * (part.affine.scale * gain))
        biases.append(part.affine.bias.detach() * gain)
    joined = nn.Linear(weights[0].shape[1], sum(len(bias) for bias in biases))
    with torch.no_grad():
        joined.weight.copy_(torch.cat(weights))
        joined.bias.copy_(torch.cat(biases))
    return joined
