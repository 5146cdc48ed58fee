"""Defines the spec that is stored with weights: sizes of the networks, mel recipe, crop template; and fixed rates.

A bundle stores its `TalkerSpec` as JSON, and inference reads all sizes from it. Choices of a single run are not here
but in the options of each command.
"""

import dataclasses
import json
from types import UnionType
from typing import Annotated, Any, Final, Literal, TypeAlias, Union, get_args, get_origin

from pcavs.errors import WeightsError

SAMPLE_RATE_HZ: Final = 16_000
"""Sampling rate of all speech inside the package, as in the published code."""
FRAME_RATE: Final = 25
"""Frames a second of all videos inside the package (Zhou et al., CVPR 2021, section 4)."""

MESH_POINTS: Final = 478
"""Landmarks of a face mesh: 468 of the face, 5 of each iris."""
POSE_DIM: Final = 12
"""Numbers of the pose code: rotation 9, translation 2, scale 1 (as in the paper)."""
CONFIDENCE_CELLS: Final = 32
"""Cells along a side of the confidence mask that is stored with a frame (`types.Confidence`). Invented areas are strips
along the head's outline, a tenth of the crop wide; at this size a mask takes a fifth of its frame's landmarks."""


Seconds: TypeAlias = Annotated[float, "seconds, or minutes as in 1:02.5"]
"""Type of settings that are times; command line and job lists read them with `media.timeline.parse_time`."""


def kinds_of(kind: Any) -> tuple[Any, ...]:
    """Returns the types that a setting may have, None left out."""
    members = get_args(kind) if isinstance(kind, UnionType) or get_origin(kind) is Union else (kind,)
    return tuple(each for each in members if each is not type(None))


def exact_div(value: int, divisor: int) -> int:
    """Divides two integers.

    Raises:
        ValueError: The division leaves a remainder.
    """
    quotient, remainder = divmod(value, divisor)
    if remainder:
        raise ValueError(f"{value} is not a multiple of {divisor}")
    return quotient


HOP_SAMPLES: Final = 160
"""Samples from one mel bin to the next: 10 ms (published code, AudioConfig)."""
MEL_BINS_PER_SECOND: Final = exact_div(SAMPLE_RATE_HZ, HOP_SAMPLES)
"""100."""
MEL_BINS_PER_FRAME: Final = exact_div(MEL_BINS_PER_SECOND, FRAME_RATE)
"""4."""
SAMPLES_PER_FRAME: Final = exact_div(SAMPLE_RATE_HZ, FRAME_RATE)
"""640."""
STATES_PER_FRAME: Final = 2
"""States of the pretrained speech encoder for each video frame: 50 a second (its second convolution has stride 2)."""
MEL_WINDOW_FRAMES: Final = 5
"""Frames that the mel window of one frame spans: 0.2 s, as in the published code."""
MEL_WINDOW_BINS: Final = MEL_WINDOW_FRAMES * MEL_BINS_PER_FRAME
"""20."""

Missing = Literal["interpolate", "hold", "skip", "fail"]
"""What to do about frames in which the face is not found: `interpolate` linearly between the frames around them; `hold`
the last pose; `skip` them, which shortens the motion; or `fail` with an error."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MelSpec:
    """Recipe of the mel spectrogram; the defaults are those of the published code (AudioConfig)."""

    fft_samples: int = 1280
    """Length of the analysis window and of the FFT: 80 ms."""
    mel_channels: int = 80
    """Number of mel bands."""
    low_hz: float = 125.0
    """Lower edge of the lowest band."""
    high_hz: float = 7600.0
    """Upper edge of the highest band."""
    reference_db: float = 20.0
    """Level that is subtracted before scaling."""
    floor_db: float = -100.0
    """Level, after that, which becomes 0; 0 dB becomes 1."""
    loudness_rms: float = 0.1
    """Root mean square to which the whole speech is scaled before the transform; full scale is 1."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """Speech features: states of a pretrained speech encoder, and the windows of sound that they are computed from.

    States come 50 a second: state i of a film is centred at sample 320 i of its sound, so state 2 k is centred on frame
    k (docs/decisions/0002). Frames are heard in groups: group g holds the frames from g `hop_frames` on, and its states
    are computed from one window, which ends `look_ahead_frames` + 1 frames after the group's last frame is shown.

    Raises:
        ValueError: The window is not longer than group and look-ahead together, or a length is out of range.
    """

    model: Literal["tiny.en", "base"] = "tiny.en"
    """Whisper encoder: `tiny.en` has heard English, `base` all languages."""
    blocks: int = 2
    """Blocks of it that are run, counted from the input."""
    final_norm: bool = False
    """True if the encoder's last layer norm is applied after the last block that is run."""
    window_frames: int = 32
    """Video frames that a window of sound lasts."""
    hop_frames: int = 4
    """Video frames of a group."""
    look_ahead_frames: int = 1
    """Video frames of a window after its group."""

    def __post_init__(self) -> None:
        if self.hop_frames < 1 or self.look_ahead_frames < 0 or self.blocks < 1:
            raise ValueError("blocks and hop_frames must be at least 1, look_ahead_frames at least 0")
        if self.window_frames < self.hop_frames + self.look_ahead_frames:
            raise ValueError("window_frames must be at least hop_frames + look_ahead_frames")

    @property
    def dim(self) -> int:
        """Length of a state."""
        return {"tiny.en": 384, "base": 512}[self.model]

    @property
    def mel_channels(self) -> int:
        """Bands of the encoder's log-mel."""
        return 80

    @property
    def window_samples(self) -> int:
        """Samples of a window."""
        return self.window_frames * SAMPLES_PER_FRAME

    @property
    def window_bins(self) -> int:
        """Log-mel bins of a window."""
        return self.window_frames * MEL_BINS_PER_FRAME

    @property
    def window_states(self) -> int:
        """States of a window."""
        return self.window_frames * STATES_PER_FRAME

    @property
    def group_states(self) -> slice:
        """The states of a window that belong to its group."""
        stop = (self.window_frames - self.look_ahead_frames) * STATES_PER_FRAME
        return slice(stop - self.hop_frames * STATES_PER_FRAME, stop)

    def to_json(self) -> str:
        """Serialises the spec; equal specs give equal text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "FeatureSpec":
        """Parses the result of `to_json`.

        Raises:
            WeightsError: The text is not that, or has a field that this version does not know.
        """
        try:
            return _build(cls, json.loads(text))
        except ValueError as error:
            raise WeightsError(f"unknown speech features ({error}); update pcavs") from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropSpec:
    """Template of the aligned crop: where eyes and mouth of a clip's mean face lie, as fractions of the crop's side.

    The default is the published template with the published data loader's second crop (192 of 224 pixels) applied, in
    whole pixels of 224 (docs/decisions/0001).
    """

    left_eye: tuple[float, float] = (83 / 224, 69 / 224)
    """x and y of the left eye's centre; left is the picture's left."""
    right_eye: tuple[float, float] = (141 / 224, 69 / 224)
    """x and y of the right eye's centre."""
    mouth: tuple[float, float] = (112 / 224, 140 / 224)
    """x and y of the centre of the inner mouth."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowSpec:
    """Sizes of the `flow` networks (docs/decisions/0007); the defaults are those of the weights that ship."""

    frame_px: int = 128
    """Side of the aligned crops that the networks take."""
    picture_px: int = 256
    """Side of the photograph that is warped, and of the film unless the user chooses another size."""
    motion_dim: int = 384
    """Length of the motion feature."""
    content_dim: int = 256
    """Length of content."""
    content_embedding_dim: int = 128
    """Length of the content embedding."""
    pose_dim: int = POSE_DIM
    """Length of the pose code."""
    pose_embedding_dim: int = 64
    """Length of the pose code's embedding."""
    identity_dim: int = 256
    """Length of the identity vector."""
    style_dim: int = 256
    """Length of the style."""
    identity_widths: tuple[int, ...] = (32, 64, 96, 160, 224)
    """Channels of the identity encoder at frame_px/2, /4, ... down to /32."""
    motion_widths: tuple[int, ...] = (32, 48, 96, 128, 160)
    """Channels of the motion encoder at frame_px/2, /4, ... down to /32."""
    features: FeatureSpec | None = None
    """Speech features that the speech encoder hears; None is mel windows."""
    speech_widths: tuple[int, ...] = (32, 48, 96, 160)
    """Channels of the stages of a speech encoder that hears mel windows."""
    state_width: int = 160
    """Channels of a speech encoder that hears states."""
    state_context: tuple[tuple[int, int], ...] = ((5, 2), (5, 2), (5, 2), (5, 2))
    """States before and after, that each convolution of a speech encoder that hears states takes: in sum 20 and 8, so
    content depends on 0.4 s before a frame and 0.16 s after it."""
    generator_widths: tuple[int, ...] = (192, 160, 96, 64)
    """Channels of the generator from frame_px/16 up to frame_px/2."""

    @property
    def past_states(self) -> int:
        """States before a frame's own that its content depends on."""
        return sum(past for past, _ in self.state_context)

    @property
    def future_states(self) -> int:
        """States after a frame's own that its content depends on."""
        return sum(future for _, future in self.state_context)

    @property
    def states_per_window(self) -> int:
        """States that the speech encoder takes for one frame."""
        return self.past_states + 1 + self.future_states


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
    state_width=16,
    generator_widths=(32, 32, 24, 16),
)
"""Sizes for tests: under a million parameters."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PaperSpec:
    """Sizes of the `paper` networks; the defaults are those of the published networks (Zhou et al., CVPR 2021)."""

    frame_px: int = 224
    """Side of the aligned crops that the networks take, and of the faces that they generate; a multiple of 32."""
    identity_stem: int = 64
    """Channels of the first convolution of the identity encoder, a ResNeXt."""
    identity_planes: tuple[int, ...] = (64, 128, 256, 512)
    """Planes of its four stages; each stage outputs four times as many channels."""
    identity_blocks: tuple[int, ...] = (3, 4, 6, 3)
    """Residual blocks of each stage."""
    identity_groups: int = 32
    """Groups of its grouped convolutions (cardinality)."""
    identity_group_width: int = 4
    """Channels of a group in a stage of 64 planes."""
    motion_widths: tuple[int, ...] = (64, 128, 256)
    """Channels of the motion encoder before its hourglass."""
    motion_heatmaps: int = 68
    """Landmark heatmaps of the hourglass."""
    motion_dim: int = 512
    """Length of the motion feature."""
    hourglass_depth: int = 4
    """Number of times that the hourglass halves the resolution."""
    speech_widths: tuple[int, ...] = (32, 64, 128, 256)
    """Channels of the speech encoder's stages, of a ResNet-SE."""
    speech_blocks: tuple[int, ...] = (3, 4, 6, 3)
    """Residual blocks of each stage."""
    speech_attention_dim: int = 128
    """Hidden channels of its attentive pooling."""
    content_dim: int = 512
    """Length of content."""
    content_embedding_dim: int = 500
    """Length of the content embedding."""
    pose_dim: int = POSE_DIM
    """Length of the pose code."""
    seed_channels: int = 512
    """Channels of the identity map that is the generator's first feature map."""
    generator_widths: tuple[int, ...] = (512, 512, 512, 512, 256, 128)
    """Channels of the generator at frame_px/32, /16, ... up to frame_px."""
    speech_gain: float = 1.2
    """Factor on the content of speech before its embedding: a constant of the published inference code."""

    @property
    def picture_px(self) -> int:
        """Side of the film unless the user chooses another size: that of the generator's output."""
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
        """Length of the style: identity vector, content embedding and pose code, concatenated."""
        return self.identity_dim + self.content_embedding_dim + self.pose_dim


COMPACT_PAPER = PaperSpec(
    frame_px=96,
    identity_stem=32,
    identity_planes=(32, 64, 128, 128),
    identity_blocks=(1, 2, 2, 1),
    identity_groups=8,
    identity_group_width=8,
    motion_widths=(32, 64, 64),
    motion_dim=256,
    hourglass_depth=2,
    speech_widths=(16, 32, 64, 128),
    speech_blocks=(2, 2, 2, 2),
    speech_attention_dim=64,
    content_dim=256,
    content_embedding_dim=250,
    seed_channels=256,
    generator_widths=(256, 256, 192, 96, 48, 32),
)
"""Sizes that two processor cores can train: the published structure with 7.9 million parameters."""

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
"""Sizes for tests: the same structure with under half a million parameters."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TalkerSpec:
    """Everything that inference must know about weights; a bundle stores it as JSON."""

    kind: Literal["flow", "paper"] = "flow"
    """`flow` warps the photograph; `paper` is the published network."""
    mel: MelSpec = MelSpec()
    """Recipe of the mel spectrogram."""
    crop: CropSpec = CropSpec()
    """Template of the aligned crop."""
    flow: FlowSpec = FlowSpec()
    """Sizes of a `flow` talker; unused in the other kind."""
    paper: PaperSpec = PaperSpec()
    """Sizes of a `paper` talker; unused in the other kind."""

    @property
    def sizes(self) -> FlowSpec | PaperSpec:
        """Sizes of the networks of this kind."""
        return self.flow if self.kind == "flow" else self.paper

    def to_json(self) -> str:
        """Serialises the spec without the sizes of the other kind; equal specs give equal text (keys are sorted)."""
        fields = {"kind": self.kind, "mel": self.mel, "crop": self.crop, self.kind: self.sizes}
        return json.dumps(fields, default=dataclasses.asdict, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "TalkerSpec":
        """Parses the result of `to_json`.

        Raises:
            WeightsError: The text is not JSON, or has a kind or a field that this version does not know.
        """
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"the spec of the weights is not JSON ({error}); download or make them again") from error
        if not isinstance(fields, dict):
            raise WeightsError("the spec of the weights is not a JSON object; download or make them again")
        kind = fields.get("kind")
        if kind not in ("flow", "paper"):
            raise WeightsError(f"the weights are of kind {kind}; this version supports {' and '.join(_SIZES)}")
        return cls(
            kind=kind,
            mel=_build(MelSpec, fields.get("mel")),
            crop=_build(CropSpec, fields.get("crop")),
            **{kind: _build(_SIZES[kind], fields.get(kind))},
        )


def speech_features(spec: TalkerSpec) -> str:
    """Names what a talker's speech encoder hears, for reports: `mel`, or the pretrained encoder and its blocks."""
    features = spec.flow.features if spec.kind == "flow" else None
    return "mel" if features is None else f"whisper {features.model}, {features.blocks} blocks"


_SIZES: Final[dict[str, type]] = {"flow": FlowSpec, "paper": PaperSpec}


def _build(cls: type, fields: Any) -> Any:
    """Builds a spec from its parsed JSON, with lists as tuples."""
    if not isinstance(fields, dict):
        raise WeightsError(f"the spec of the weights has no {cls.__name__}; download or make them again")
    known = {field.name for field in dataclasses.fields(cls)}
    unknown = sorted(set(fields) - known)
    if unknown:
        names = ", ".join(unknown)
        raise WeightsError(
            f"the weights' {cls.__name__} has fields that this version does not know ({names}); update pcavs"
        )
    return cls(**{name: _parsed(name, value) for name, value in fields.items()})


def _parsed(name: str, value: Any) -> Any:
    """Turns lists into tuples, and the features' object into their spec."""
    if isinstance(value, list):
        return tuple(_parsed(name, each) for each in value)
    return _build(FeatureSpec, value) if name == "features" and value is not None else value
