"""A talker as four functions of plain tensors: what a runtime other than training runs."""

from jaxtyping import Float, UInt8
from torch import Tensor, nn

from pcavs.models.fan import FanEncoder
from pcavs.models.generator import Codes, FlowGenerator
from pcavs.models.identity import IdentityEncoder, IdentityFeatures
from pcavs.models.motion import MotionEncoder
from pcavs.models.paper import FaceGenerator, PaperModel
from pcavs.models.resnet import PaperIdentity, ResNeXtEncoder
from pcavs.models.seresnet import SeResNetEncoder
from pcavs.models.talker import FlowModel


def plain_networks(talker: FlowModel | PaperModel) -> dict[str, nn.Module]:
    """Gives `identity`, `motion`, `speech` and `generator`, sharing the talker's weights, in evaluation.

    Heard content of a `paper` talker comes raised by its speech gain; seen content does not.
    """
    talker.eval()
    if isinstance(talker, PaperModel):
        return {
            "identity": _PlainSeed(talker.identity),
            "motion": _PlainMotion(talker.motion),
            "speech": _Raised(talker.speech, talker.speech_gain),
            "generator": PlainFace(talker.generator),
        }
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

    def __init__(self, encoder: MotionEncoder | FanEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, faces: UInt8[Tensor, "batch side side 3"]) -> tuple[Tensor, Tensor]:
        motion = self.encoder(_signed(faces))
        return motion.content, motion.pose


class _PlainSeed(nn.Module):
    """Faces, RGB 0 to 255 with the colour last, to the vector and the map from which the generator starts."""

    def __init__(self, encoder: ResNeXtEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, faces: UInt8[Tensor, "batch side side 3"]) -> tuple[Tensor, Tensor]:
        identity = self.encoder(_signed(faces))
        return identity.vector, identity.seed


class _Raised(nn.Module):
    """Mel windows to content times the speech gain."""

    def __init__(self, encoder: SeResNetEncoder, gain: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.gain = gain

    def forward(self, mel: Float[Tensor, "batch 1 80 20"]) -> Float[Tensor, "batch content"]:
        return self.encoder(mel) * self.gain


class PlainFace(nn.Module):
    """Driving content and pose, then the identity's vector and map, to the face."""

    def __init__(self, generator: FaceGenerator, *, bounded: bool = True) -> None:
        """Without `bounded` the last `tanh` is left away: for comparing numbers."""
        super().__init__()
        self.generator = generator
        self.bounded = bounded
        self.paint = generator.forward if bounded else generator.unbounded

    def forward(
        self,
        content: Float[Tensor, "batch content"],
        pose: Float[Tensor, "batch pose"],
        vector: Float[Tensor, "batch identity"],
        seed: Float[Tensor, "batch c seed seed"],
    ) -> Float[Tensor, "batch 3 side side"]:
        """Gives RGB, in [-1, 1] where bounded."""
        return self.paint(PaperIdentity(vector, seed), Codes(content, pose))


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
