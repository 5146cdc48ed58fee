"""Speech encoders of the `flow` model (E_c^a): the content of the sound around a frame.

`MelEncoder` listens to 0.2 s of mel spectrogram, `StateEncoder` to the states of a pretrained encoder (`FeatureSpec`).
"""

import math
from typing import Final

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.models.blocks import LEAKY_SLOPE, ConvBlock, ResidualBlock
from pcavs.spec import MEL_WINDOW_BINS, STATES_PER_FRAME, FlowSpec, MelSpec, exact_div

_STRIDES: Final = ((2, 1), (2, 2), (2, 2), (2, 1))
"""Strides of the four stages, (frequency, time)."""

_STATE_DROPOUT: Final = 0.4
"""Share of the values before each layer that training sets to 0: few people speak in the data. Tuned by hand."""


class MelEncoder(nn.Module):
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


class StateEncoder(nn.Module):
    """Encodes the states around a frame into speech content, the same space.

    Residual convolutions over time without padding: each takes `past` states before and `future` states after, so that
    content depends on the states of `FlowSpec.past_states` before a frame's own and `future_states` after it alone.
    """

    def __init__(self, spec: FlowSpec) -> None:
        """Builds one convolution for each pair of `spec.state_context`.

        Raises:
            ValueError: The spec has no features.
        """
        super().__init__()
        if spec.features is None:
            raise ValueError("a spec without features has no states to encode")
        width = spec.state_width
        self.context = spec.state_context
        self.norm = nn.LayerNorm(spec.features.dim)
        self.drop = nn.Dropout(_STATE_DROPOUT)
        self.enter = nn.Linear(spec.features.dim, width)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, past + 1 + future) for past, future in self.context)
        self.head = nn.Sequential(
            nn.Linear(width, spec.content_dim), nn.ReLU(), nn.Linear(spec.content_dim, spec.content_dim)
        )

    def forward(self, states: Float[Tensor, "batch states dim"]) -> Float[Tensor, "batch content"]:
        """Encodes the `FlowSpec.states_per_window` states around one frame; content is not normalised."""
        return self.sequence(states)[:, 0]

    def sequence(self, states: Float[Tensor, "batch states dim"]) -> Float[Tensor, "batch frames content"]:
        """Encodes the states of consecutive frames at once: `past_states`, two for each frame, `future_states`.

        The last frame's second state may be missing; it counts as the first of `future_states`.
        """
        x = functional.relu(self.enter(self.drop(self.norm(states)))).transpose(1, 2)
        for layer, (past, future) in zip(self.layers, self.context, strict=True):
            x = x[:, :, past : x.shape[2] - future] + functional.relu(layer(self.drop(x)))
        return self.head(x[:, :, ::STATES_PER_FRAME].transpose(1, 2))


def build_speech_encoder(spec: FlowSpec, mel: MelSpec) -> MelEncoder | StateEncoder:
    """Builds the encoder that listens to what the spec says, with random weights."""
    return MelEncoder(spec, mel) if spec.features is None else StateEncoder(spec)


class _Stage(nn.Sequential):
    def __init__(self, in_channels: int, out_channels: int, stride: tuple[int, int]) -> None:
        super().__init__(ConvBlock(in_channels, out_channels, stride=stride), ResidualBlock(out_channels))
