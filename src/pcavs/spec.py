"""Facts that must travel with the weights: sizes, rates, the mel recipe and the crop template.

Nothing here is an option of one run. A bundle stores its `TalkerSpec` as JSON, and inference reads every
architectural fact from it.
"""

import dataclasses
import json
from typing import Any, Final, Literal

from pcavs.errors import WeightsError

SAMPLE_RATE_HZ = 16_000
FRAME_RATE = 25
"""Frames a second of every film inside the engine (Zhou et al., CVPR 2021, section 4)."""

MESH_POINTS = 478
POSE_DIM = 12
"""Rotation 9, translation 2, scale 1 (the paper's reason for twelve)."""


def exact_div(value: int, divisor: int) -> int:
    """Divides, refusing a division that leaves a remainder."""
    quotient, remainder = divmod(value, divisor)
    if remainder:
        raise ValueError(f"{value} is not a multiple of {divisor}")
    return quotient


HOP_SAMPLES = 160
MEL_BINS_PER_SECOND = exact_div(SAMPLE_RATE_HZ, HOP_SAMPLES)
MEL_BINS_PER_FRAME = exact_div(MEL_BINS_PER_SECOND, FRAME_RATE)
SAMPLES_PER_FRAME = exact_div(SAMPLE_RATE_HZ, FRAME_RATE)
MEL_WINDOW_FRAMES = 5
MEL_WINDOW_BINS = MEL_WINDOW_FRAMES * MEL_BINS_PER_FRAME

Missing = Literal["interpolate", "hold", "skip", "fail"]
"""What is done about frames in which the face is not seen: straight between those around them; as in the last one;
left out, so that time closes over them; or nothing is made at all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MelSpec:
    """Recipe of the mel spectrogram (published code, AudioConfig)."""

    fft_samples: int = 1280
    mel_channels: int = 80
    low_hz: float = 125.0
    high_hz: float = 7600.0
    reference_db: float = 20.0
    floor_db: float = -100.0
    loudness_rms: float = 0.1
    """The whole file is scaled to this root mean square before the transform."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropSpec:
    """Where the eyes and the mouth of the clip's average face come to lie, as shares of the crop's side.

    The default is the published template after its hidden crop (192 of 224 pixels): eyes at (83, 69) and
    (141, 69), inner mouth at (112, 140) of 224.
    """

    left_eye: tuple[float, float] = (83 / 224, 69 / 224)
    right_eye: tuple[float, float] = (141 / 224, 69 / 224)
    mouth: tuple[float, float] = (112 / 224, 140 / 224)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowSpec:
    """Sizes of the `flow` talker."""

    frame_px: int = 128
    """Side of the faces that the networks see."""
    picture_px: int = 256
    """Side of the identity picture that is moved, and of the film unless the user asks otherwise."""
    motion_dim: int = 384
    content_dim: int = 256
    content_embedding_dim: int = 128
    pose_dim: int = POSE_DIM
    pose_embedding_dim: int = 64
    identity_dim: int = 256
    style_dim: int = 256
    identity_widths: tuple[int, ...] = (32, 64, 96, 160, 224)
    """Channels of the identity encoder at frame_px/2, /4, ... down to /32."""
    motion_widths: tuple[int, ...] = (32, 48, 96, 128, 160)
    speech_widths: tuple[int, ...] = (32, 48, 96, 160)
    generator_widths: tuple[int, ...] = (192, 160, 96, 64)
    """Channels of the generator from frame_px/16 up to frame_px/2."""


TINY_FLOW = FlowSpec(
    frame_px=64,
    picture_px=64,
    motion_dim=64,
    content_dim=64,
    content_embedding_dim=32,
    pose_embedding_dim=16,
    identity_dim=64,
    style_dim=64,
    identity_widths=(8, 16, 32, 32, 32),
    motion_widths=(8, 16, 32, 32, 32),
    speech_widths=(8, 16, 32, 32),
    generator_widths=(32, 32, 24, 16),
)
"""Under a million parameters: plays the whole product in a test."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PaperSpec:
    """Sizes of the `paper` talker: the published networks, unless said otherwise (Zhou et al., CVPR 2021)."""

    frame_px: int = 224
    """Side of the faces that the networks see and make; a multiple of 32."""
    identity_stem: int = 64
    identity_planes: tuple[int, ...] = (64, 128, 256, 512)
    """Of the four stages of ResNeXt; a stage gives four times as many channels."""
    identity_blocks: tuple[int, ...] = (3, 4, 6, 3)
    identity_groups: int = 32
    identity_group_width: int = 4
    """Channels of a group for 64 planes."""
    motion_widths: tuple[int, ...] = (64, 128, 256)
    motion_heatmaps: int = 68
    motion_dim: int = 512
    hourglass_depth: int = 4
    speech_widths: tuple[int, ...] = (32, 64, 128, 256)
    speech_blocks: tuple[int, ...] = (3, 4, 6, 3)
    speech_attention_dim: int = 128
    content_dim: int = 512
    content_embedding_dim: int = 500
    pose_dim: int = POSE_DIM
    seed_channels: int = 512
    """Channels of the identity map from which the generator starts."""
    generator_widths: tuple[int, ...] = (512, 512, 512, 512, 256, 128)
    """Channels of the generator at frame_px/32, /16, ... up to frame_px."""
    speech_gain: float = 1.2
    """Factor on heard content before its embedding: the published inference's constant."""

    @property
    def picture_px(self) -> int:
        """Side of the film unless the user asks otherwise: what the generator makes."""
        return self.frame_px

    @property
    def seed_px(self) -> int:
        """Side of the identity map."""
        return exact_div(self.frame_px, 32)

    @property
    def identity_dim(self) -> int:
        """Length of the identity vector."""
        return 4 * self.identity_planes[-1]

    @property
    def style_dim(self) -> int:
        """Length of the style: identity vector, content embedding and pose, one after the other."""
        return self.identity_dim + self.content_embedding_dim + self.pose_dim


TINY_PAPER = PaperSpec(
    frame_px=64,
    identity_stem=8,
    identity_planes=(8, 8, 16, 16),
    identity_blocks=(1, 1, 1, 1),
    identity_groups=4,
    identity_group_width=8,
    motion_widths=(8, 16, 32),
    motion_heatmaps=8,
    motion_dim=32,
    hourglass_depth=2,
    speech_widths=(8, 16, 16, 32),
    speech_blocks=(1, 1, 1, 1),
    speech_attention_dim=16,
    content_dim=32,
    content_embedding_dim=20,
    seed_channels=32,
    generator_widths=(32, 32, 16, 16, 8, 8),
)
"""Under half a million parameters: the paper's structure for tests."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TalkerSpec:
    """Everything a bundle must say of itself for its weights to mean something."""

    kind: Literal["flow", "paper"] = "flow"
    mel: MelSpec = MelSpec()
    crop: CropSpec = CropSpec()
    flow: FlowSpec = FlowSpec()
    """Of a `flow` talker; means nothing in another."""
    paper: PaperSpec = PaperSpec()
    """Of a `paper` talker; means nothing in another."""

    @property
    def sizes(self) -> FlowSpec | PaperSpec:
        """Sizes of this kind of talker."""
        return self.flow if self.kind == "flow" else self.paper

    def to_json(self) -> str:
        """Serialises with sorted keys, so equal specs give equal text; sizes of the other kind are left out."""
        fields = {"kind": self.kind, "mel": self.mel, "crop": self.crop, self.kind: self.sizes}
        return json.dumps(fields, default=dataclasses.asdict, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "TalkerSpec":
        """Reads what `to_json` wrote.

        Raises:
            WeightsError: The text is not JSON, or holds a setting this version does not know.
        """
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"the spec inside the weights is not JSON: {error}") from error
        if not isinstance(fields, dict):
            raise WeightsError("the spec inside the weights is damaged: it is no object; fetch or make them again")
        kind = fields.get("kind")
        if kind not in ("flow", "paper"):
            raise WeightsError(f"the weights are of kind {kind}; this version knows {' and '.join(_SIZES)}")
        return cls(
            kind=kind,
            mel=_build(MelSpec, fields.get("mel")),
            crop=_build(CropSpec, fields.get("crop")),
            **{kind: _build(_SIZES[kind], fields.get(kind))},
        )


_SIZES: Final[dict[str, type]] = {"flow": FlowSpec, "paper": PaperSpec}


def _build(cls: type, fields: Any) -> Any:
    if not isinstance(fields, dict):
        raise WeightsError(f"the weights say nothing of their {cls.__name__}; fetch or make them again")
    known = {field.name for field in dataclasses.fields(cls)}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise WeightsError(f"the weights' {cls.__name__} has settings unknown to this version: {', '.join(unknown)}")
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})
