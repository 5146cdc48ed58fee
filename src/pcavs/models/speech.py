"""Speech encoder of the `flow` model (E_c^a): the content of the 0.2 s of sound around a frame."""

import math
from typing import Final

from jaxtyping import Float
from torch import Tensor, nn

from pcavs.models.blocks import LEAKY_SLOPE, ConvBlock, ResidualBlock
from pcavs.spec import MEL_WINDOW_BINS, FlowSpec, MelSpec, exact_div

_STRIDES: Final = ((2, 1), (2, 2), (2, 2), (2, 1))
"""Strides of the four stages, (frequency, time)."""


class SpeechEncoder(nn.Module):
    """Encodes a mel window into speech content, the space that it shares with the motion encoder's content head.

    Frequency is reduced faster than time: 80 x 20 becomes 5 x 5, then one convolution removes the frequency axis.
    """

    def __init__(self, spec: FlowSpec, mel: MelSpec) -> None:
        """Builds one stage per width of the spec, which has four."""
        super().__init__()
        widths = spec.speech_widths
        in_widths = (1, *widths[:-1])
        self.stages = nn.Sequential(
            *(_Stage(before, after, stride) for before, after, stride in zip(in_widths, widths, _STRIDES, strict=True))
        )
        frequency_strides, time_strides = zip(*_STRIDES, strict=True)
        num_bands = exact_div(mel.mel_channels, math.prod(frequency_strides))
        num_bins = exact_div(MEL_WINDOW_BINS, math.prod(time_strides))
        self.fold = nn.Sequential(
            nn.Conv2d(widths[-1], widths[-1], (num_bands, 1), bias=False),
            nn.BatchNorm2d(widths[-1]),
            nn.LeakyReLU(LEAKY_SLOPE),
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(widths[-1] * num_bins, spec.content_dim),
            nn.ReLU(),
            nn.Linear(spec.content_dim, spec.content_dim),
        )

    def forward(self, mel: Float[Tensor, "batch 1 80 20"]) -> Float[Tensor, "batch content"]:
        """Encodes mel windows with values in [0, 1]; content is not normalised."""
        return self.head(self.fold(self.stages(mel * 2 - 1)))


class _Stage(nn.Sequential):
    def __init__(self, in_channels: int, out_channels: int, stride: tuple[int, int]) -> None:
        super().__init__(ConvBlock(in_channels, out_channels, stride=stride), ResidualBlock(out_channels))
