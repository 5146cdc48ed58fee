"""The published generator rewritten for processors: same inputs, same numbers up to rounding, less time.

`weights.export` converts this form instead of `inference.FaceNetwork`. Three changes save time:

- All styles come from one matrix product instead of one per layer.
- The gain after each leaky ReLU and all constant factors are folded into these styles.
- Larger features are convolved by `winograd`.

Features carry no activation gain between the layers: every layer's scale includes the gain of the layer before it.
"""

from typing import Any, Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.models.blocks import ACTIVATION_GAIN, LEAKY_SLOPE
from pcavs.models.motion import Codes
from pcavs.models.paper import FaceGenerator
from pcavs.models.resnet import PaperIdentity
from pcavs.models.stylegan2 import DEMODULATION_EPS, StyledConv, ToRgb
from pcavs.models.winograd import WinogradConv

MIN_WINOGRAD_PX: Final = 28
"""Features of a smaller side are convolved directly.

They take little time, and transformed kernels take four times the memory. Tuned by hand.
"""


class FastFaceNetwork(nn.Module):
    """Computes what `inference.FaceNetwork` computes, for a fixed batch, on weights that it rewrites once."""

    def __init__(self, generator: FaceGenerator, batch: int = 1, *, bounded: bool = True) -> None:
        """Rewrites the weights of a generator.

        Args:
            generator: Is left unchanged; some weights are shared.
            batch: Number of samples of every call.
            bounded: Whether to apply the final `tanh`.
        """
        super().__init__()
        self.generator = generator
        self.bounded = bounded
        synthesis = generator.synthesis
        levels: list[Any] = list(synthesis.levels)
        self.first = _ChannelsFirstConv(synthesis.first)
        self.ups = nn.ModuleList(_ChannelsFirstConv(level.up) for level in levels)
        self.convs = nn.ModuleList(_ChannelsLastConv(level.conv, batch) for level in levels)
        self.upsamples = nn.ModuleList(level.upsample for level in levels)
        convs = [synthesis.first, *(conv for level in levels for conv in (level.up, level.conv))]
        to_rgbs = [synthesis.first_colours, *(level.colours for level in levels)]
        self.to_rgbs = nn.ModuleList(_ChannelsLastToRgb(layer) for layer in to_rgbs)
        self.num_convs = len(convs)
        layers: list[StyledConv | ToRgb] = [*convs, *to_rgbs]
        self.widths = [len(layer.affine.bias) for layer in layers]
        self.styles = _joined_styles(layers)

    def forward(
        self,
        content: Float[Tensor, "batch content"],
        pose: Float[Tensor, "batch pose"],
        vector: Float[Tensor, "batch identity"],
        seed: Float[Tensor, "batch c seed seed"],
    ) -> Float[Tensor, "batch 3 side side"]:
        """Renders faces, RGB in [-1, 1] if bounded."""
        style = self.generator.style(PaperIdentity(vector, seed), Codes(content, pose))
        scales = torch.split(self.styles(style), self.widths, dim=1)
        conv_scales, rgb_scales = scales[: self.num_convs], scales[self.num_convs :]
        # The first scale includes the gain of a layer that does not exist.
        x = self.first(seed / ACTIVATION_GAIN, conv_scales[0]).permute(0, 2, 3, 1)
        image = self.to_rgbs[0](x, rgb_scales[0])
        level_scales = zip(conv_scales[1::2], conv_scales[2::2], rgb_scales[1:], strict=True)
        level_layers = zip(self.ups, self.convs, self.to_rgbs[1:], self.upsamples, strict=True)
        for (up, conv, to_rgb, upsample), scales in zip(level_layers, level_scales, strict=True):
            up_scale, conv_scale, rgb_scale = scales
            x = conv(up(x.permute(0, 3, 1, 2), up_scale, conv_scale).permute(0, 2, 3, 1), conv_scale)
            image = upsample(image) + to_rgb(x, rgb_scale)
        return torch.tanh(image) if self.bounded else image


class _ChannelsLastToRgb(nn.Module):
    """`ToRgb` for features channels last; scales its few kernels and not the many features."""

    def __init__(self, to_rgb: ToRgb) -> None:
        super().__init__()
        self.weight = to_rgb.weight
        self.bias = to_rgb.bias

    def forward(
        self, x: Float[Tensor, "batch side side c"], scale: Float[Tensor, "batch c"]
    ) -> Float[Tensor, "batch 3 side side"]:
        kernels = self.weight.flatten(1) * scale[:, None]
        colours = (x.flatten(1, 2) @ kernels.transpose(1, 2)).transpose(1, 2)
        return colours.unflatten(2, x.shape[1:3]) + self.bias[:, None, None]


class _FoldedConv(nn.Module):
    """Constants of a `StyledConv` whose scale is computed beforehand and whose activation gain is left out."""

    energies: Tensor
    noise: Tensor
    bias: Tensor

    def __init__(self, conv: StyledConv) -> None:
        super().__init__()
        # The scale includes the gain of the layer before, which must not count in the demodulation.
        self.register_buffer("energies", conv.weight.detach().square().sum((2, 3)) / ACTIVATION_GAIN**2)
        self.register_buffer("noise", (conv.noise_strength * conv.noise).detach())
        self.register_buffer("bias", conv.bias.detach())

    def demodulation(self, scale: Float[Tensor, "batch c_in"]) -> Float[Tensor, "batch c_out"]:
        """Returns the factor on each output channel."""
        return torch.rsqrt(functional.linear(scale.square(), self.energies) + DEMODULATION_EPS)


class _ChannelsFirstConv(_FoldedConv):
    """`StyledConv` for features channels first, with or without upsampling.

    All operations on single values follow each other, so that a runtime joins them into one pass.
    """

    def __init__(self, conv: StyledConv) -> None:
        super().__init__(conv)
        self.conv = conv

    def forward(
        self, x: Float[Tensor, "batch c_in before before"], scale: Tensor, next_scale: Tensor | None = None
    ) -> Float[Tensor, "batch c_out side side"]:
        """Maps features.

        Args:
            x: Features without activation gain.
            scale: Factor on each input channel.
            next_scale: Factor on each output channel, the `scale` of the layer after this one; None for none.
        """
        x = self._convolve(x * scale[:, :, None, None])
        x = x * self.demodulation(scale)[:, :, None, None] + self.noise + self.bias[:, None, None]
        x = functional.leaky_relu(x, LEAKY_SLOPE)
        return x if next_scale is None else x * next_scale[:, :, None, None]

    def _convolve(self, x: Tensor) -> Tensor:
        if self.conv.blur is None:
            return functional.conv2d(x, self.conv.weight, padding=1)
        return self.conv.blur(functional.conv_transpose2d(x, self.conv.weight.transpose(0, 1), stride=2))


class _ChannelsLastConv(_FoldedConv):
    """`StyledConv` without upsampling for features channels last that are scaled already."""

    def __init__(self, conv: StyledConv, batch: int) -> None:
        super().__init__(conv)
        side = conv.noise.shape[-1]
        self.winograd = WinogradConv(conv.weight, batch, side) if side >= MIN_WINOGRAD_PX else None
        self.weight = conv.weight

    def forward(
        self, x: Float[Tensor, "batch side side c_in"], scale: Float[Tensor, "batch c_in"]
    ) -> Float[Tensor, "batch side side c_out"]:
        """Maps features that were multiplied by `scale`; the demodulation needs it once more."""
        if self.winograd is None:
            x = functional.conv2d(x.permute(0, 3, 1, 2), self.weight, padding=1).permute(0, 2, 3, 1)
        else:
            x = self.winograd(x)
        x = x * self.demodulation(scale)[:, None, None] + self.noise.permute(0, 2, 3, 1) + self.bias
        return functional.leaky_relu(x, LEAKY_SLOPE)


def _joined_styles(layers: list[StyledConv | ToRgb]) -> nn.Linear:
    """Builds one linear layer from the style to the scales of all layers, with their constant factors folded in."""
    weights, biases = [], []
    for layer in layers:
        gain = layer.scale * ACTIVATION_GAIN
        weights.append(layer.affine.weight.detach() * (layer.affine.scale * gain))
        biases.append(layer.affine.bias.detach() * gain)
    joined = nn.Linear(weights[0].shape[1], sum(len(bias) for bias in biases))
    with torch.no_grad():
        joined.weight.copy_(torch.cat(weights))
        joined.bias.copy_(torch.cat(biases))
    return joined
