"""The `flow` model: the paper's structure, with a generator that warps the photograph."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from pcavs.models.generator import Fields, FlowGenerator
from pcavs.models.identity import IdentityEncoder, IdentityFeatures
from pcavs.models.motion import Codes, MotionEncoder
from pcavs.models.speech import MelEncoder, StateEncoder, build_speech_encoder
from pcavs.spec import FlowSpec, MelSpec


class IdentityCode(NamedTuple):
    """What the generator needs of the photograph."""

    features: IdentityFeatures
    own: Codes
    """Content and pose code that the photograph itself shows."""


class FlowModel(nn.Module):
    """Identity, speech content and head pose in; a talking face out.

    identity reference -> IdentityEncoder -> identity code --------------+
    sound of the frame -> speech encoder -> content --------------------+-> style -> FlowGenerator -> fields
    pose source frame --> MotionEncoder --> pose head ----> pose (12) --+
                                 +--------> content head -> content     training only: aligned with speech content

    Reference: Zhou et al., "Pose-controllable talking face generation by implicitly modularized audio-visual
    representation", CVPR 2021, figure 2.
    """

    def __init__(
        self,
        identity: IdentityEncoder,
        motion: MotionEncoder,
        speech: MelEncoder | StateEncoder,
        generator: FlowGenerator,
    ) -> None:
        """Takes its four networks already built."""
        super().__init__()
        self.identity = identity
        self.motion = motion
        self.speech = speech
        self.generator = generator

    def encode_identity(self, face: Float[Tensor, "batch 3 side side"]) -> IdentityCode:
        """Encodes aligned crops of identity references, RGB in [-1, 1]; needed once per film."""
        own: Codes = self.motion(face)
        return IdentityCode(self.identity(face), own)

    def encode_speech(self, windows: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch content"]:
        """Encodes windows of speech into content: mel windows (1, 80, 20) in [0, 1], or states (states, dim)."""
        return self.speech(windows)

    def encode_pose(self, faces: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch pose"]:
        """Encodes aligned crops, RGB in [-1, 1], into pose codes."""
        return self.motion(faces).pose

    def encode_lips(self, faces: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch content"]:
        """Encodes aligned crops, RGB in [-1, 1], into the content that the lips show; same space as speech content."""
        return self.motion(faces).content

    def render(self, identity: IdentityCode, driving: Codes) -> Fields:
        """Predicts the fields of one frame per sample; `generator.compose` makes the frames from them."""
        return self.generator(identity.features, identity.own, driving)[0]


def build_flow(spec: FlowSpec, mel: MelSpec) -> FlowModel:
    """Builds a `flow` model with random weights."""
    speech = build_speech_encoder(spec, mel)
    return FlowModel(IdentityEncoder(spec), MotionEncoder(spec), speech, FlowGenerator(spec))
