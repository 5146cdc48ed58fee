"""The sync judge: two small encoders that meet where what is seen is what is heard."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.models.blocks import ConvBlock
from pcavs.spec import MEL_WINDOW_BINS, MEL_WINDOW_FRAMES, exact_div

JUDGE_DIM = 128
"""Length of an embedding."""
CROP_PX = 48
LIPS_DIM = 80

_SEEN_WIDTHS = (16, 32, 64, 96)
_HEARD_WIDTHS = (16, 32, 64, 96)
_FRAME_DIM = 128
_SHAPE_DIM = 64
_GAIN_CM = 2.0
"""Brings lip shapes, whose speech is some millimetres, to about unit size."""


class MouthReader(nn.Module):
    """Encodes five frames of a mouth (0.2 s): each frame by itself, then the five together.

    A frame is a grey crop and the lips' shape in the head's own frame. The crop alone is fooled by light and beard,
    the shape alone does not see teeth and tongue.
    """

    def __init__(self) -> None:
        """Brings 48 pixels down to 3."""
        super().__init__()
        widths = _SEEN_WIDTHS
        self.crop = nn.Sequential(
            ConvBlock(1, widths[0], 5, 2),
            ConvBlock(widths[0], widths[1], 3, 2),
            ConvBlock(widths[1], widths[2], 3, 2),
            ConvBlock(widths[2], widths[3], 3, 2),
            nn.Flatten(),
            nn.Linear(widths[3] * exact_div(CROP_PX, 16) ** 2, _FRAME_DIM),
            nn.ReLU(),
        )
        self.shape = nn.Sequential(nn.Linear(LIPS_DIM, _SHAPE_DIM), nn.ReLU())
        self.head = _head(MEL_WINDOW_FRAMES * (_FRAME_DIM + _SHAPE_DIM))

    def forward(
        self, crops: Float[Tensor, "batch 5 48 48"], lips: Float[Tensor, "batch 5 80"]
    ) -> Float[Tensor, "batch 128"]:
        """Encodes windows of crops as `without_light` gives them and lip shapes in cm, less the clip's average.

        The result has unit length.
        """
        return self.join(self.frames(crops, lips))

    def frames(
        self, crops: Float[Tensor, "batch time 48 48"], lips: Float[Tensor, "batch time 80"]
    ) -> Float[Tensor, "batch time features"]:
        """Encodes single frames; training shares them between overlapping windows."""
        seen = self.crop(crops.flatten(0, 1)[:, None]).unflatten(0, crops.shape[:2])
        return torch.cat([seen, self.shape(lips * _GAIN_CM)], dim=2)

    def join(self, frames: Float[Tensor, "batch 5 features"]) -> Float[Tensor, "batch 128"]:
        """Encodes windows of encoded frames."""
        return functional.normalize(self.head(frames.flatten(1)), dim=1)


class VoiceReader(nn.Module):
    """Encodes 0.2 s of sound."""

    def __init__(self) -> None:
        """Brings 80 x 20 down to 5 x 5."""
        super().__init__()
        widths = _HEARD_WIDTHS
        self.mel = nn.Sequential(
            ConvBlock(1, widths[0], 3, (2, 1)),
            ConvBlock(widths[0], widths[1], 3, 2),
            ConvBlock(widths[1], widths[2], 3, (2, 1)),
            ConvBlock(widths[2], widths[3], 3, 2),
            nn.Flatten(),
        )
        self.head = _head(widths[3] * 5 * exact_div(MEL_WINDOW_BINS, 4))

    def forward(self, windows: Float[Tensor, "batch 1 80 20"]) -> Float[Tensor, "batch 128"]:
        """Encodes mel windows with values in [0, 1]; the result has unit length."""
        return functional.normalize(self.head(self.mel(windows * 4 - 2)), dim=1)


def _head(features: int) -> nn.Sequential:
    return nn.Sequential(nn.Dropout(0.2), nn.Linear(features, 256), nn.ReLU(), nn.Linear(256, JUDGE_DIM))
