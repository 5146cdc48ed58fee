"""The published SyncNet, an evaluation network for lip sync. Its weights are the user's; nothing is trained here.

`scripts/convert_judges.py` exports both towers; `metrics.syncnet` runs them.

Reference: Chung and Zisserman, "Out of time: automated lip sync in the wild", ACCV workshops 2016; sizes of the
weights published as syncnet_v2.
"""

from collections.abc import Mapping
from typing import Final

from jaxtyping import Float
from torch import Tensor, nn

Size = tuple[int, int, int]
"""Time, height, width."""

PUBLISHED_NAMES: Final = {
    "voice.maps": "netcnnaud",
    "voice.head": "netfcaud",
    "mouth.maps": "netcnnlip",
    "mouth.head": "netfclip",
}
"""Names of the four parts here, and in the published file."""

_FEATURES: Final = 512
"""Channels after the convolutions of either tower."""

_EMBEDDING: Final = 1024
"""Length of the embedding of either tower, as published."""


class SyncNet(nn.Module):
    """Two towers whose embeddings are close where sound and mouth belong to the same moment."""

    def __init__(self) -> None:
        """Builds both towers with random weights; `load` fills in the published ones."""
        super().__init__()
        self.voice, self.mouth = VoiceTower(), MouthTower()

    def load(self, published: Mapping[str, Tensor]) -> None:
        """Loads the published weights.

        Raises:
            KeyError: A tensor is missing.
            RuntimeError: A tensor has another shape.
        """
        wanted = self.state_dict()
        found = {}
        for name, value in wanted.items():
            part = next(part for part in PUBLISHED_NAMES if name.startswith(part))
            # Counters of batches serve training only, and older files lack them.
            if name.endswith("num_batches_tracked"):
                found[name] = value
            else:
                found[name] = published[PUBLISHED_NAMES[part] + name.removeprefix(part)]
        self.load_state_dict(found)


class VoiceTower(nn.Module):
    """Embeds 0.2 s of sound."""

    def __init__(self) -> None:
        """Builds the layers; the convolutions reduce 13 x 20 to one position."""
        super().__init__()
        self.maps = nn.Sequential(
            *_block(1, 64),
            nn.MaxPool2d(1, 1),
            *_block(64, 192),
            nn.MaxPool2d(3, (1, 2)),
            *_block(192, 384),
            *_block(384, 256),
            *_block(256, 256),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(256, _FEATURES, (5, 4)),
            nn.BatchNorm2d(_FEATURES),
            nn.ReLU(),
        )
        self.head = _head()

    def forward(self, cepstra: Float[Tensor, "batch 1 13 20"]) -> Float[Tensor, "batch 1024"]:
        """Embeds mel-frequency cepstral coefficients, 100 columns a second (`metrics.syncnet.cepstra`)."""
        return self.head(self.maps(cepstra).flatten(1))


class MouthTower(nn.Module):
    """Embeds five frames of a face (0.2 s)."""

    def __init__(self) -> None:
        """Builds the layers; the convolutions reduce 5 x 224 x 224 to one position."""
        super().__init__()
        self.maps = nn.Sequential(
            *_block3d(3, 96, (5, 7, 7), (1, 2, 2), (0, 0, 0)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_block3d(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_block3d(256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
            *_block3d(256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
            *_block3d(256, 256, (1, 3, 3), (1, 1, 1), (0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_block3d(256, _FEATURES, (1, 6, 6), (1, 1, 1), (0, 0, 0)),
        )
        self.head = _head()

    def forward(self, faces: Float[Tensor, "batch 3 5 224 224"]) -> Float[Tensor, "batch 1024"]:
        """Embeds faces in BGR order with levels from 0 to 255 (`metrics.syncnet.syncnet_faces`)."""
        return self.head(self.maps(faces).flatten(1))


def _block(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.BatchNorm2d(out_channels), nn.ReLU()]


def _block3d(in_channels: int, out_channels: int, kernel: Size, stride: Size, padding: Size) -> list[nn.Module]:
    convolution = nn.Conv3d(in_channels, out_channels, kernel, stride, padding)
    return [convolution, nn.BatchNorm3d(out_channels), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(_FEATURES, _FEATURES), nn.BatchNorm1d(_FEATURES), nn.ReLU(), nn.Linear(_FEATURES, _EMBEDDING)
    )
