"""The composed model: figure 2 of the paper as five verbs; here the `flow` talker, in `paper` the published one."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from pcavs.models.generator import Codes, Fields, FlowGenerator
from pcavs.models.identity import IdentityEncoder, IdentityFeatures
from pcavs.models.motion import Motion, MotionEncoder
from pcavs.models.paper import PaperModel, build_paper
from pcavs.models.speech import SpeechEncoder
from pcavs.spec import FlowSpec, MelSpec, TalkerSpec


class IdentityCode(NamedTuple):
    """All that the generator needs of the person: looks, and the codes that the picture itself shows."""

    features: IdentityFeatures
    own: Codes


class FlowModel(nn.Module):
    """Identity, speech content and head pose in; a talking face out (Zhou et al., CVPR 2021, figure 2).

    identity reference -> IdentityEncoder -> identity code --------------+
    mel window ---------> SpeechEncoder --> content --------------------+-> style -> FlowGenerator -> fields
    pose source frame --> MotionEncoder --> pose head ----> pose (12) --+
                                 +--------> content head -> content     training only: meets the speech content
    """

    def __init__(
        self, identity: IdentityEncoder, motion: MotionEncoder, speech: SpeechEncoder, generator: FlowGenerator
    ) -> None:
        """Takes its parts already built."""
        super().__init__()
        self.identity = identity
        self.motion = motion
        self.speech = speech
        self.generator = generator

    def encode_identity(self, face: Float[Tensor, "batch 3 side side"]) -> IdentityCode:
        """Encodes identity references, once a film."""
        own: Motion = self.motion(face)
        return IdentityCode(self.identity(face), Codes(own.content, own.pose))

    def encode_speech(self, windows: Float[Tensor, "batch 1 80 20"]) -> Float[Tensor, "batch content"]:
        """Encodes what is heard."""
        return self.speech(windows)

    def encode_pose(self, faces: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch pose"]:
        """Encodes where the head is."""
        return self.motion(faces).pose

    def encode_lips(self, faces: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch content"]:
        """Encodes what is seen to be said: the visual twin of `encode_speech`."""
        return self.motion(faces).content

    def render(self, identity: IdentityCode, driving: Codes) -> Fields:
        """Gives the fields of each driving code; `generator.compose` makes the picture."""
        return self.generator(identity.features, identity.own, driving)[0]


def build_talker(spec: TalkerSpec) -> FlowModel | PaperModel:
    """Builds an untrained talker of the spec's kind."""
    return build_paper(spec.paper, spec.mel) if spec.kind == "paper" else build_flow(spec.flow, spec.mel)


def build_flow(spec: FlowSpec, mel: MelSpec) -> FlowModel:
    """Builds an untrained `flow` talker."""
    return FlowModel(IdentityEncoder(spec), MotionEncoder(spec), SpeechEncoder(spec, mel), FlowGenerator(spec))
