"""Speech encoder of the published model (E_c^a): a residual network with squeeze-and-excitation blocks.

The published network applies the ReLU before the batch normalisation, the reverse of the usual order; so does this one.

Reference: Hu et al., "Squeeze-and-excitation networks", CVPR 2018; Chung et al., "In defence of metric learning for
speaker recognition", Interspeech 2020 (the speaker network that it is derived from); Cai et al., "Exploring the
encoding layer and loss function in end-to-end speaker and language recognition system", Odyssey 2018 (self-attentive
pooling).
"""

from typing import Final

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.spec import MelSpec, PaperSpec, exact_div

REDUCTION: Final = 8
"""Channels per hidden unit of a squeeze-and-excitation block (published code)."""


class SeResNetEncoder(nn.Module):
    """Encodes a mel window into speech content.

    Reference: E_c^a of Zhou et al., CVPR 2021; sizes as published.
    """

    def __init__(self, spec: PaperSpec, mel: MelSpec) -> None:
        """Builds one stage per width; every stage but the first halves frequency and time."""
        super().__init__()
        widths = spec.speech_widths
        self.stem = nn.Sequential(nn.Conv2d(1, widths[0], 3, 1, 1), nn.ReLU(), nn.BatchNorm2d(widths[0]))
        stages: list[nn.Module] = []
        channels = widths[0]
        for width, blocks in zip(widths, spec.speech_blocks, strict=True):
            stage = [_Block(channels, width, 2 if stages else 1), *(_Block(width, width) for _ in range(1, blocks))]
            stages.append(nn.Sequential(*stage))
            channels = width
        self.stages = nn.Sequential(*stages)
        pooled_dim = channels * exact_div(mel.mel_channels, 2 ** (len(widths) - 1))
        self.attention = nn.Sequential(
            nn.Conv1d(pooled_dim, spec.speech_attention_dim, 1),
            nn.ReLU(),
            nn.BatchNorm1d(spec.speech_attention_dim),
            nn.Conv1d(spec.speech_attention_dim, pooled_dim, 1),
        )
        self.head = nn.Linear(pooled_dim, spec.content_dim)

    def forward(self, mel: Float[Tensor, "batch 1 80 20"]) -> Float[Tensor, "batch content"]:
        """Encodes mel windows with values in [0, 1]; content is not normalised."""
        x = self.stages(self.stem(mel)).flatten(1, 2)
        weights = self.attention(x).softmax(dim=2)
        return self.head((x * weights).sum(dim=2))


class _Block(nn.Module):
    """Two 3x3 convolutions and squeeze-and-excitation, with a residual connection."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False), nn.ReLU(), nn.BatchNorm2d(out_channels)
        )
        self.second = nn.Sequential(
            nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False), nn.BatchNorm2d(out_channels)
        )
        hidden = exact_div(out_channels, REDUCTION)
        self.attention = nn.Sequential(
            nn.Linear(out_channels, hidden), nn.ReLU(), nn.Linear(hidden, out_channels), nn.Sigmoid()
        )
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels or stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x))
        y = y * self.attention(y.mean(dim=(2, 3)))[:, :, None, None]
        return functional.relu(y + self.shortcut(x))
