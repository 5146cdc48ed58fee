"""Speech encoder of the `paper` talker: a residual network with channel attention, pooled by self-attention.

Every convolution is rectified first and normalised afterwards, the other way round than usual: so it was published.

Reference: Hu et al., CVPR 2018 (squeeze and excitation); Chung et al., Interspeech 2020 (the speaker network that
this was made from); Cai et al., Odyssey 2018 (self-attentive pooling).
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.spec import MelSpec, PaperSpec, exact_div

REDUCTION = 8
"""Channels for each hidden unit of a channel attention."""


class SeResNetEncoder(nn.Module):
    """Encodes a mel window into speech content (E_c^a of Zhou et al., CVPR 2021)."""

    def __init__(self, spec: PaperSpec, mel: MelSpec) -> None:
        """Sizes follow from the specs: three of the four stages halve frequency and time."""
        super().__init__()
        widths = spec.speech_widths
        self.stem = nn.Sequential(nn.Conv2d(1, widths[0], 3, 1, 1), nn.ReLU(), nn.BatchNorm2d(widths[0]))
        stages: list[nn.Module] = []
        before = widths[0]
        for after, blocks in zip(widths, spec.speech_blocks, strict=True):
            stage = [_Block(before, after, 2 if stages else 1), *(_Block(after, after) for _ in range(1, blocks))]
            stages.append(nn.Sequential(*stage))
            before = after
        self.stages = nn.Sequential(*stages)
        pooled_dim = before * exact_div(mel.mel_channels, 2 ** (len(widths) - 1))
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
        share = self.attention(x).softmax(dim=2)
        return self.head((x * share).sum(dim=2))


class _Block(nn.Module):
    """Two convolutions, channel attention, and the input added."""

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.ReLU(), nn.BatchNorm2d(after))
        self.second = nn.Sequential(nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after))
        hidden = exact_div(after, REDUCTION)
        self.attention = nn.Sequential(nn.Linear(after, hidden), nn.ReLU(), nn.Linear(hidden, after), nn.Sigmoid())
        fits = before == after and stride == 1
        self.shortcut: nn.Module = (
            nn.Identity()
            if fits
            else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x))
        y = y * self.attention(y.mean(dim=(2, 3)))[:, :, None, None]
        return functional.relu(y + self.shortcut(x))
