"""The `paper` talker: the published networks, composed."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pcavs.models.fan import FanEncoder
from pcavs.models.generator import Codes
from pcavs.models.resnet import PaperIdentity, ResNeXtEncoder
from pcavs.models.seresnet import SeResNetEncoder
from pcavs.models.stylegan2 import StyleGenerator
from pcavs.spec import MelSpec, PaperSpec


class FaceGenerator(nn.Module):
    """Joins identity vector, content and pose into the style, and paints the face under it (G of the paper)."""

    def __init__(self, spec: PaperSpec) -> None:
        """Sizes follow from the spec."""
        super().__init__()
        self.content_embedding = nn.Sequential(nn.ReLU(), nn.Linear(spec.content_dim, spec.content_embedding_dim))
        self.synthesis = StyleGenerator(spec)

    def forward(self, identity: PaperIdentity, driving: Codes) -> Float[Tensor, "batch 3 side side"]:
        """Gives faces, RGB in [-1, 1]."""
        return torch.tanh(self.unbounded(identity, driving))

    def unbounded(self, identity: PaperIdentity, driving: Codes) -> Float[Tensor, "batch 3 side side"]:
        """Gives faces before their `tanh`, which hides differences between two generators."""
        return self.synthesis(identity.seed, self.style(identity, driving))

    def style(self, identity: PaperIdentity, driving: Codes) -> Float[Tensor, "batch style"]:
        """Joins the codes in the published order."""
        return torch.cat([identity.vector, self.content_embedding(driving.content), driving.pose], dim=1)


class PaperModel(nn.Module):
    """Identity, speech content and head pose in; a talking face out (Zhou et al., CVPR 2021, figure 2).

    identity reference -> ResNeXtEncoder -> identity code ---------------+
    mel window ---------> SeResNetEncoder -> content -------------------+-> style -> FaceGenerator -> face
    pose source frame --> FanEncoder ----> pose head -----> pose (12) --+
                               +---------> content head --> content     training only: meets the speech content

    None of the verbs applies the speech gain, since training knows none. It raises heard content, and no other, where
    a trained talker is run (`models.plain`).
    """

    def __init__(
        self,
        identity: ResNeXtEncoder,
        motion: FanEncoder,
        speech: SeResNetEncoder,
        generator: FaceGenerator,
        speech_gain: float,
    ) -> None:
        """Takes its parts already built."""
        super().__init__()
        self.speech_gain = speech_gain
        self.identity = identity
        self.motion = motion
        self.speech = speech
        self.generator = generator

    def encode_identity(self, face: Float[Tensor, "batch 3 side side"]) -> PaperIdentity:
        """Encodes identity references, once a film."""
        return self.identity(face)

    def encode_speech(self, windows: Float[Tensor, "batch 1 80 20"]) -> Float[Tensor, "batch content"]:
        """Encodes what is heard."""
        return self.speech(windows)

    def encode_pose(self, faces: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch pose"]:
        """Encodes where the head is."""
        return self.motion(faces).pose

    def encode_lips(self, faces: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch content"]:
        """Encodes what is seen to be said: the visual twin of `encode_speech`."""
        return self.motion(faces).content

    def render(self, identity: PaperIdentity, driving: Codes) -> Float[Tensor, "batch 3 side side"]:
        """Paints the face of each driving code, RGB in [-1, 1]."""
        return self.generator(identity, driving)


def build_paper(spec: PaperSpec, mel: MelSpec) -> PaperModel:
    """Builds an untrained `paper` talker."""
    speech = SeResNetEncoder(spec, mel)
    return PaperModel(ResNeXtEncoder(spec), FanEncoder(spec), speech, FaceGenerator(spec), spec.speech_gain)
