"""A model as four functions of plain tensors: what a runtime runs, and what `weights.export` converts.

The wrappers take frames as uint8 images and unpack the models' named tuples, because an exported network has tensors
as inputs and outputs only. `runtime.Runtime` documents the same interface for arrays.
"""

from typing import Final

from jaxtyping import Float, UInt8
from torch import Tensor, nn

from pcavs.models.fan import FanEncoder
from pcavs.models.flow import FlowModel
from pcavs.models.generator import FlowGenerator
from pcavs.models.identity import IdentityEncoder, IdentityFeatures
from pcavs.models.motion import Codes, MotionEncoder
from pcavs.models.paper import FaceGenerator, PaperModel
from pcavs.models.resnet import PaperIdentity, ResNeXtEncoder
from pcavs.models.seresnet import SeResNetEncoder

_HALF_RANGE: Final = 127.5
"""Half of the range of uint8."""


def inference_networks(model: FlowModel | PaperModel) -> dict[str, nn.Module]:
    """Returns `identity`, `motion`, `speech` and `generator`, which share the model's weights.

    The model is put into evaluation mode. Speech content of a `paper` model comes multiplied by its speech gain;
    content that the motion encoder reads from the lips does not.
    """
    model.eval()
    if isinstance(model, PaperModel):
        return {
            "identity": _PaperIdentityNetwork(model.identity),
            "motion": _MotionNetwork(model.motion),
            "speech": _ScaledSpeech(model.speech, model.speech_gain),
            "generator": FaceNetwork(model.generator),
        }
    return {
        "identity": _FlowIdentityNetwork(model.identity),
        "motion": _MotionNetwork(model.motion),
        "speech": model.speech,
        "generator": _FieldsNetwork(model.generator),
    }


class _FlowIdentityNetwork(nn.Module):
    """RGB crops (batch, side, side, 3) to the identity vector and the feature maps, coarse to fine."""

    def __init__(self, encoder: IdentityEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, faces: UInt8[Tensor, "batch side side 3"]) -> tuple[Tensor, ...]:
        features = self.encoder(_signed(faces))
        return features.vector, *features.maps


class _PaperIdentityNetwork(nn.Module):
    """RGB crops (batch, side, side, 3) to the identity vector and the map that the generator starts from."""

    def __init__(self, encoder: ResNeXtEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, faces: UInt8[Tensor, "batch side side 3"]) -> tuple[Tensor, Tensor]:
        identity = self.encoder(_signed(faces))
        return identity.vector, identity.seed


class _MotionNetwork(nn.Module):
    """RGB crops (batch, side, side, 3) to content and pose code."""

    def __init__(self, encoder: MotionEncoder | FanEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, faces: UInt8[Tensor, "batch side side 3"]) -> tuple[Tensor, Tensor]:
        codes = self.encoder(_signed(faces))
        return codes.content, codes.pose


class _ScaledSpeech(nn.Module):
    """Mel windows to content times the speech gain."""

    def __init__(self, encoder: SeResNetEncoder, gain: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.gain = gain

    def forward(self, mel: Float[Tensor, "batch 1 80 20"]) -> Float[Tensor, "batch content"]:
        return self.encoder(mel) * self.gain


class FaceNetwork(nn.Module):
    """Generator of a `paper` model: driving content and pose code, identity vector and map to the face."""

    def __init__(self, generator: FaceGenerator, *, bounded: bool = True) -> None:
        """Wraps a generator; `bounded=False` leaves the final `tanh` out, to compare implementations."""
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
        """Renders faces, RGB in [-1, 1] if bounded."""
        return self.paint(PaperIdentity(vector, seed), Codes(content, pose))


class _FieldsNetwork(nn.Module):
    """Generator of a `flow` model, to displacement field, mask and colours (`generator.Fields`).

    Takes driving content and pose code, then the photograph's identity vector, content, pose code and feature maps.
    """

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
    """Converts from levels of 0 to 255 to [-1, 1], channels first."""
    return faces.permute(0, 3, 1, 2).float() / _HALF_RANGE - 1
