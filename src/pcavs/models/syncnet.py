"""SyncNet as published: how far a mouth and a sound are apart. Its weights are the user's; nothing is trained here."""

from collections.abc import Mapping
from typing import Final

from jaxtyping import Float
from torch import Tensor, nn

Size = tuple[int, int, int]

PREFIXES: Final = {
    "voice.maps": "netcnnaud",
    "voice.head": "netfcaud",
    "mouth.maps": "netcnnlip",
    "mouth.head": "netfclip",
}
"""What the published file calls our parts."""


class SyncNet(nn.Module):
    """Two towers whose results lie near each other where sound and picture are of one moment.

    Reference: Chung and Zisserman, "Out of time: automated lip sync in the wild", ACCV workshops 2016; sizes of the
    weights published as syncnet_v2.
    """

    def __init__(self) -> None:
        """Builds both towers with random weights; `load` fills in published ones."""
        super().__init__()
        self.voice, self.mouth = VoiceTower(), MouthTower()

    def load(self, published: Mapping[str, Tensor]) -> None:
        """Takes published weights.

        Raises:
            KeyError: They hold no such tensor.
            RuntimeError: A tensor has another shape.
        """
        wanted = self.state_dict()
        found = {}
        for name, value in wanted.items():
            prefix = next(prefix for prefix in PREFIXES if name.startswith(prefix))
            # Counts of batches are of training only, and older files lack them.
            if name.endswith("num_batches_tracked"):
                found[name] = value
            else:
                found[name] = published[PREFIXES[prefix] + name.removeprefix(prefix)]
        self.load_state_dict(found)


class VoiceTower(nn.Module):
    """Embeds 0.2 s of sound."""

    def __init__(self) -> None:
        """Brings 13 x 20 down to one place."""
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
            nn.Conv2d(256, 512, (5, 4)),
            nn.BatchNorm2d(512),
            nn.ReLU(),
        )
        self.head = _head()

    def forward(self, cepstra: Float[Tensor, "batch 1 13 20"]) -> Float[Tensor, "batch 1024"]:
        """Takes mel-frequency cepstra, 100 a second."""
        return self.head(self.maps(cepstra).flatten(1))


class MouthTower(nn.Module):
    """Embeds five frames of a face."""

    def __init__(self) -> None:
        """Brings 5 x 224 x 224 down to one place."""
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
            *_block3d(256, 512, (1, 6, 6), (1, 1, 1), (0, 0, 0)),
        )
        self.head = _head()

    def forward(self, faces: Float[Tensor, "batch 3 5 224 224"]) -> Float[Tensor, "batch 1024"]:
        """Takes faces with levels from 0 to 255, blue first."""
        return self.head(self.maps(faces).flatten(1))


def _block(came: int, gives: int) -> list[nn.Module]:
    return [nn.Conv2d(came, gives, 3, padding=1), nn.BatchNorm2d(gives), nn.ReLU()]


def _block3d(came: int, gives: int, kernel: Size, stride: Size, padding: Size) -> list[nn.Module]:
    return [nn.Conv3d(came, gives, kernel, stride, padding), nn.BatchNorm3d(gives), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))
