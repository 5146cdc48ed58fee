"""A talker as four functions of plain tensors: what a runtime other than training runs."""

from jaxtyping import Float, UInt8
from torch import Tensor, nn

from pcavs.models.generator import Codes, FlowGenerator
from pcavs.models.identity import IdentityEncoder, IdentityFeatures
from pcavs.models.motion import MotionEncoder
from pcavs.models.talker import Talker


def plain_networks(talker: Talker) -> dict[str, nn.Module]:
    """Gives `identity`, `motion`, `speech` and `generator`, sharing the talker's weights, in evaluation."""
    talker.eval()
    return {
        "identity": _PlainIdentity(talker.identity),
        "motion": _PlainMotion(talker.motion),
        "speech": talker.speech,
        "generator": _PlainGenerator(talker.generator),
    }


class _PlainIdentity(nn.Module):
    """Faces, RGB 0 to 255 with the colour last, to the vector and the maps, coarse to fine."""

    def __init__(self, encoder: IdentityEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, faces: UInt8[Tensor, "batch side side 3"]) -> tuple[Tensor, ...]:
        features = self.encoder(_signed(faces))
        return features.vector, *features.maps


class _PlainMotion(nn.Module):
    """Faces, RGB 0 to 255 with the colour last, to content and pose."""

    def __init__(self, encoder: MotionEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, faces: UInt8[Tensor, "batch side side 3"]) -> tuple[Tensor, Tensor]:
        motion = self.encoder(_signed(faces))
        return motion.content, motion.pose


class _PlainGenerator(nn.Module):
    """Driving content and pose, then the identity's vector, own content, own pose and maps, to the three fields."""

    def __init__(self, generator: FlowGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(
        self,
        content: Float[Tensor, "batch content"],
        pose: Float[Tensor, "batch pose"],
        vector: Float[Tensor, "batch identity"],
        own_content: Float[Tensor, "batch content"],
        own_pose: Float[Tensor, "batch pose"],
        *maps: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        features = IdentityFeatures(vector, tuple(maps))
        fields = self.generator(features, Codes(own_content, own_pose), Codes(content, pose))[0]
        return fields.flow, fields.mask, fields.colours


def _signed(faces: UInt8[Tensor, "batch side side 3"]) -> Float[Tensor, "batch 3 side side"]:
    return faces.permute(0, 3, 1, 2).float() / 127.5 - 1
