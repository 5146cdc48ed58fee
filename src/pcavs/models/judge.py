"""The sync judge: two small encoders whose outputs are close where mouth and sound belong to the same moment.

It has SyncNet's form (Chung and Zisserman, "Out of time: automated lip sync in the wild", ACCV workshops 2016), but
its own sizes and inputs. `scripts/train_judge.py` trains and exports it; `metrics.sync` runs the exported networks.
Sizes and widths were chosen by hand for a network of a few megabytes; no others were measured.
"""

import math
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.models.blocks import ConvBlock
from pcavs.spec import MEL_WINDOW_BINS, MEL_WINDOW_FRAMES, MelSpec, exact_div

JUDGE_DIM: Final = 128
"""Length of an embedding."""

CROP_PX: Final = 48
"""Side of a mouth crop (`metrics.crops.mouth_crops`)."""

LIPS_DIM: Final = 80
"""Numbers in a lip shape: x and y of the 40 lip landmarks (`face.regions.lips_shape`)."""

_WIDTHS: Final = (16, 32, 64, 96)
"""Channels of the four convolutions of either encoder."""

_CROP_STRIDE: Final = 16
"""Four convolutions of stride 2."""

_MEL_STRIDES: Final = ((2, 1), (2, 2), (2, 1), (2, 2))
"""Of the four convolutions over a mel window, (frequency, time): 80 x 20 becomes 5 x 5."""

_FRAME_DIM: Final = 128
"""Features of one mouth crop."""

_SHAPE_DIM: Final = 64
"""Features of one lip shape."""

_HIDDEN_DIM: Final = 256
_DROPOUT: Final = 0.2

_LIPS_GAIN_PER_CM: Final = 2.0
"""Scales lip shapes, which speech moves by some millimetres, to about unit size. Tuned by hand; not measured."""

_MEL_GAIN, _MEL_OFFSET = 4, -2
"""Map the mel window from [0, 1] to [-2, 2]."""


class MouthEncoder(nn.Module):
    """Encodes five frames of a mouth (0.2 s): each frame separately, then the five together.

    A frame is a grey crop and the shape of the lips in the head's own coordinates. Light and beards mislead the crop;
    the shape lacks teeth and tongue. Together they make up for each other.
    """

    def __init__(self) -> None:
        """Builds the layers; four convolutions reduce a crop from 48 to 3 pixels."""
        super().__init__()
        first, second, third, fourth = _WIDTHS
        self.crop = nn.Sequential(
            ConvBlock(1, first, 5, 2),
            ConvBlock(first, second, 3, 2),
            ConvBlock(second, third, 3, 2),
            ConvBlock(third, fourth, 3, 2),
            nn.Flatten(),
            nn.Linear(fourth * exact_div(CROP_PX, _CROP_STRIDE) ** 2, _FRAME_DIM),
            nn.ReLU(),
        )
        self.shape = nn.Sequential(nn.Linear(LIPS_DIM, _SHAPE_DIM), nn.ReLU())
        self.head = _head(MEL_WINDOW_FRAMES * (_FRAME_DIM + _SHAPE_DIM))

    def forward(
        self, crops: Float[Tensor, "batch 5 48 48"], lips: Float[Tensor, "batch 5 80"]
    ) -> Float[Tensor, "batch 128"]:
        """Encodes windows of five frames into embeddings of unit length.

        Args:
            crops: Grey mouth crops, normalised over the clip by `metrics.crops.without_light`.
            lips: Lip shapes in cm, minus the average of the clip.
        """
        return self.join(self.frames(crops, lips))

    def frames(
        self, crops: Float[Tensor, "batch time 48 48"], lips: Float[Tensor, "batch time 80"]
    ) -> Float[Tensor, "batch time features"]:
        """Encodes single frames; training reuses the result for every window that contains the frame."""
        crop_features = self.crop(crops.flatten(0, 1)[:, None]).unflatten(0, crops.shape[:2])
        return torch.cat([crop_features, self.shape(lips * _LIPS_GAIN_PER_CM)], dim=2)

    def join(self, frames: Float[Tensor, "batch 5 features"]) -> Float[Tensor, "batch 128"]:
        """Encodes windows of five encoded frames into embeddings of unit length."""
        return functional.normalize(self.head(frames.flatten(1)), dim=1)


class VoiceEncoder(nn.Module):
    """Encodes 0.2 s of sound."""

    def __init__(self) -> None:
        """Builds the layers; four convolutions reduce a mel window from 80 x 20 to 5 x 5."""
        super().__init__()
        in_widths = (1, *_WIDTHS[:-1])
        self.mel = nn.Sequential(
            *(
                ConvBlock(before, after, 3, stride)
                for before, after, stride in zip(in_widths, _WIDTHS, _MEL_STRIDES, strict=True)
            ),
            nn.Flatten(),
        )
        frequency_strides, time_strides = zip(*_MEL_STRIDES, strict=True)
        num_bands = exact_div(MelSpec().mel_channels, math.prod(frequency_strides))
        num_bins = exact_div(MEL_WINDOW_BINS, math.prod(time_strides))
        self.head = _head(_WIDTHS[-1] * num_bands * num_bins)

    def forward(self, windows: Float[Tensor, "batch 1 80 20"]) -> Float[Tensor, "batch 128"]:
        """Encodes mel windows with values in [0, 1] into embeddings of unit length."""
        return functional.normalize(self.head(self.mel(windows * _MEL_GAIN + _MEL_OFFSET)), dim=1)


def _head(in_dim: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(_DROPOUT), nn.Linear(in_dim, _HIDDEN_DIM), nn.ReLU(), nn.Linear(_HIDDEN_DIM, JUDGE_DIM)
    )
