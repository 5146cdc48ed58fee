"""Speech encoder E_c^a: what is said in the 0.2 s of sound around a frame."""

from jaxtyping import Float
from torch import Tensor, nn

from pcavs.models.blocks import ConvBlock, ResidualBlock
from pcavs.spec import MEL_WINDOW_BINS, FlowSpec, MelSpec, exact_div


class SpeechEncoder(nn.Module):
    """Encodes a mel window into speech content, the space shared with the motion encoder's content head."""

    def __init__(self, spec: FlowSpec, mel: MelSpec) -> None:
        """Keeps time longer than frequency: 80 x 20 becomes 5 x 5 before frequency is folded away."""
        super().__init__()
        widths = spec.speech_widths
        self.stages = nn.Sequential(
            _Stage(1, widths[0], (2, 1)),
            _Stage(widths[0], widths[1], (2, 2)),
            _Stage(widths[1], widths[2], (2, 2)),
            _Stage(widths[2], widths[3], (2, 1)),
        )
        mel_side, time_side = exact_div(mel.mel_channels, 16), exact_div(MEL_WINDOW_BINS, 4)
        self.fold = nn.Sequential(
            nn.Conv2d(widths[3], widths[3], (mel_side, 1), bias=False), nn.BatchNorm2d(widths[3]), nn.LeakyReLU(0.2)
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Linear(widths[3] * time_side, spec.content_dim),
            nn.ReLU(),
            nn.Linear(spec.content_dim, spec.content_dim),
        )

    def forward(self, mel: Float[Tensor, "batch 1 80 20"]) -> Float[Tensor, "batch content"]:
        """Encodes mel windows with values in [0, 1]."""
        return self.head(self.fold(self.stages(mel * 2 - 1)))


class _Stage(nn.Sequential):
    def __init__(self, before: int, after: int, stride: tuple[int, int]) -> None:
        super().__init__(ConvBlock(before, after, stride=stride), ResidualBlock(after))
