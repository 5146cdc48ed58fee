"""The `paper` model: the published networks, composed."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pcavs.models.fan import FanEncoder
from pcavs.models.motion import Codes
from pcavs.models.resnet import PaperIdentity, ResNeXtEncoder
from pcavs.models.seresnet import SeResNetEncoder
from pcavs.models.stylegan2 import StyleGenerator
from pcavs.spec import MelSpec, PaperSpec


class FaceGenerator(nn.Module):
    """Joins identity vector, content and pose code into the style, and paints the face under it (G of the paper)."""

    def __init__(self, spec: PaperSpec) -> None:
        """Builds the layers at the sizes of the spec."""
        super().__init__()
        self.content_embedding = nn.Sequential(nn.ReLU(), nn.Linear(spec.content_dim, spec.content_embedding_dim))
        self.synthesis = StyleGenerator(spec)

    def forward(self, identity: PaperIdentity, driving: Codes) -> Float[Tensor, "batch 3 side side"]:
        """Renders faces, RGB in [-1, 1]."""
        return torch.tanh(self.unbounded(identity, driving))

    def unbounded(self, identity: PaperIdentity, driving: Codes) -> Float[Tensor, "batch 3 side side"]:
        """Renders faces without the final `tanh`, which would hide differences between two implementations."""
        return self.synthesis(identity.seed, self.style(identity, driving))

    def style(self, identity: PaperIdentity, driving: Codes) -> Float[Tensor, "batch style"]:
        """Concatenates identity vector, content embedding and pose code, in the published order."""
        return torch.cat([identity.vector, self.content_embedding(driving.content), driving.pose], dim=1)


class PaperModel(nn.Module):
    """Identity, speech content and head pose in; a talking face out.

    identity reference -> ResNeXtEncoder -> identity code ---------------+
    mel window ---------> SeResNetEncoder -> content -------------------+-> style -> FaceGenerator -> face
    pose source frame --> FanEncoder ----> pose head -----> pose (12) --+
                               +---------> content head --> content     training only: aligned with speech content

    No method applies the speech gain, because training does not use it. `models.inference` multiplies speech content
    by it, and no other content.

    Reference: Zhou et al., "Pose-controllable talking face generation by implicitly modularized audio-visual
    representation", CVPR 2021, figure 2.
    """

    def __init__(
        self,
        identity: ResNeXtEncoder,
        motion: FanEncoder,
        speech: SeResNetEncoder,
        generator: FaceGenerator,
        speech_gain: float,
    ) -> None:
        """Takes its four networks already built."""
        super().__init__()
        self.speech_gain = speech_gain
        self.identity = identity
        self.motion = motion
        self.speech = speech
        self.generator = generator

    def encode_identity(self, face: Float[Tensor, "batch 3 side side"]) -> PaperIdentity:
        """Encodes aligned crops of identity references, RGB in [-1, 1]; needed once per film."""
        return self.identity(face)

    def encode_speech(self, windows: Float[Tensor, "batch 1 80 20"]) -> Float[Tensor, "batch content"]:
        """Encodes mel windows, values in [0, 1], into speech content, without the speech gain."""
        return self.speech(windows)

    def encode_pose(self, faces: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch pose"]:
        """Encodes aligned crops, RGB in [-1, 1], into pose codes."""
        return self.motion(faces).pose

    def encode_lips(self, faces: Float[Tensor, "batch 3 side side"]) -> Float[Tensor, "batch content"]:
        """Encodes aligned crops, RGB in [-1, 1], into the content that the lips show; same space as speech content."""
        return self.motion(faces).content

    def render(self, identity: PaperIdentity, driving: Codes) -> Float[Tensor, "batch 3 side side"]:
        """Renders one face per sample, RGB in [-1, 1]."""
        return self.generator(identity, driving)


def build_paper(spec: PaperSpec, mel: MelSpec) -> PaperModel:
    """Builds a `paper` model with random weights."""
    speech = SeResNetEncoder(spec, mel)
    return PaperModel(ResNeXtEncoder(spec), FanEncoder(spec), speech, FaceGenerator(spec), spec.speech_gain)
