"""Generator of the `flow` model: predicts how to warp the photograph, instead of painting every pixel.

Modulated convolutions turn identity, speech content and pose into three fields: a displacement field, a mask and
colours. `compose` makes the frame from them and the photograph. Why: docs/decisions/0007.

Reference: Wang et al., "Latent image animator: learning to animate images via latent space navigation", ICLR 2022
(displacement fields at several resolutions).
"""

from typing import Final, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pcavs.models.blocks import LEAKY_SLOPE, ModulatedConv, resize, warp
from pcavs.models.identity import IdentityFeatures
from pcavs.models.motion import Codes
from pcavs.spec import FlowSpec, exact_div

FLOW_GAIN: Final = 0.1
"""Displacement for one unit of a level's output: a twentieth of the image, about the motion of a lively head.

Unit: half the image's side. The training losses divide by it too. Tuned by hand; not measured.
"""

POSE_GAIN: Final = 5.0
"""Factor on the difference between the driving and the photograph's own pose code.

A turn of ten degrees changes the pose code by 0.17 only, which content of unit size would outweigh. Tuned by hand, on
one batch that the network was fitted to.
"""

MASK_BIAS: Final = 3.0
"""Initial mask before its sigmoid (0.95): the network learns to warp first and to paint later. Tuned by hand."""

_MOTION_INIT_STD: Final = 0.01
"""Spread of the initial weights of a level's displacement: close to no motion. Tuned by hand; not measured."""

_PAINT_INIT_STD: Final = 0.02
"""Spread of the initial weights of colours and mask. Tuned by hand; not measured."""

_PAINTED_CHANNELS: Final = 4
"""RGB and mask."""

_SHUFFLE: Final = 2
"""Colours and mask have twice the side of the last level: four pixels are painted at each of its positions.

Reference: Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional
neural network", CVPR 2016.
"""


class Fields(NamedTuple):
    """What the generator predicts for a frame; `compose` applies it to a photograph of any size."""

    flow: Float[Tensor, "batch 2 half half"]
    """Displacement (x, y): where each pixel comes from in the photograph, minus its own position.

    The photograph spans [-1, 1].
    """
    mask: Float[Tensor, "batch 1 frame frame"]
    """Share of the warped photograph, 0 to 1; the rest is `colours`."""
    colours: Float[Tensor, "batch 3 frame frame"]
    """RGB in [-1, 1]."""


class StyleMapper(nn.Module):
    """Joins identity vector, content and pose code into the style, each through a projection of its own.

    In one common layer the twelve numbers of the pose would be outweighed by hundreds of content. The codes of the
    photograph enter beside the driving ones, because displacement depends on the difference between the two.
    """

    def __init__(self, spec: FlowSpec) -> None:
        """Builds the layers at the sizes of the spec."""
        super().__init__()
        embedding = spec.content_embedding_dim
        self.content = nn.Linear(spec.content_dim, embedding)
        self.pose = nn.Sequential(
            nn.Linear(2 * spec.pose_dim, spec.pose_embedding_dim),
            nn.LeakyReLU(LEAKY_SLOPE),
            nn.Linear(spec.pose_embedding_dim, spec.pose_embedding_dim),
        )
        self.identity = nn.Linear(spec.identity_dim, embedding)
        self.join = nn.Sequential(
            nn.LeakyReLU(LEAKY_SLOPE),
            nn.Linear(3 * embedding + spec.pose_embedding_dim, spec.style_dim),
            nn.LeakyReLU(LEAKY_SLOPE),
            nn.Linear(spec.style_dim, spec.style_dim),
            nn.LeakyReLU(LEAKY_SLOPE),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                # torch's default initialisation shrinks the signal from layer to layer: the style then hardly
                # modulates anything, and training does not get the flow away from zero.
                nn.init.kaiming_normal_(layer.weight, a=LEAKY_SLOPE)
                nn.init.zeros_(layer.bias)

    def forward(
        self, vector: Float[Tensor, "batch identity"], own: Codes, driving: Codes
    ) -> Float[Tensor, "batch style"]:
        """Returns the style of each sample.

        Args:
            vector: Identity vector.
            own: Codes of the photograph.
            driving: Codes of the frame to render. Content is normalised here, so its length has no effect.
        """
        own_content, content = self.content(_normalised(own.content)), self.content(_normalised(driving.content))
        pose = self.pose(torch.cat([own.pose, (driving.pose - own.pose) * POSE_GAIN], dim=1))
        return self.join(torch.cat([self.identity(vector), content, content - own_content, pose], dim=1))


def _normalised(content: Tensor) -> Tensor:
    """Scales each row to a root mean square of 1."""
    return nn.functional.normalize(content.float(), dim=1) * content.shape[1] ** 0.5


class FlowGenerator(nn.Module):
    """Refines displacement field, mask and colours from the coarsest identity map to half the frame's side."""

    def __init__(self, spec: FlowSpec) -> None:
        """Builds one level per generator width; each reads the identity map of its size."""
        super().__init__()
        widths, style = spec.generator_widths, spec.style_dim
        map_widths = spec.identity_widths[-2::-1]
        self.style = StyleMapper(spec)
        self.seed = nn.Conv2d(map_widths[0], widths[0], 1)
        coarse_px = exact_div(spec.frame_px, 2 ** len(widths))
        # A learned constant for each position. The displacement of a turned head depends on the position, which the
        # network learned too slowly from features alone.
        self.place = nn.Parameter(torch.randn(1, widths[0], coarse_px, coarse_px))
        self.levels = nn.ModuleList(
            _Level(before, after, style, map_width)
            for before, after, map_width in zip((widths[0], *widths[:-1]), widths, map_widths, strict=True)
        )
        self.refine = ModulatedConv(widths[-1], widths[-1] // 2, style)
        pixels = _SHUFFLE**2
        self.paint = nn.Conv2d(widths[-1] // 2, pixels * _PAINTED_CHANNELS, 3, padding=1)
        nn.init.normal_(self.paint.weight, std=_PAINT_INIT_STD)
        bias = self.paint.get_parameter("bias")
        nn.init.zeros_(bias[:-pixels])
        nn.init.constant_(bias[-pixels:], MASK_BIAS)

    def forward(self, identity: IdentityFeatures, own: Codes, driving: Codes) -> tuple[Fields, tuple[Tensor, ...]]:
        """Predicts the fields of one frame per sample.

        Args:
            identity: Appearance of the photograph.
            own: Codes of the photograph.
            driving: Codes of the frame to render.

        Returns:
            The fields, and the displacement field of every level from coarse to fine, for supervision in training.
        """
        style = self.style(identity.vector, own, driving)
        x = self.seed(identity.maps[0]) + self.place
        flow = x.new_zeros((x.shape[0], 2, x.shape[2], x.shape[3]), dtype=torch.float32)
        flows = []
        for index, (level, identity_map) in enumerate(zip(self.levels, identity.maps, strict=True)):
            if index:
                side = int(identity_map.shape[-1])  # int: a plain number also where the network is traced
                x, flow = resize(x, side), resize(flow, side)
            x, flow = level(x, flow, style, identity_map)
            flows.append(flow)
        painted = nn.functional.pixel_shuffle(self.paint(self.refine(x, style)), _SHUFFLE).float()
        fields = Fields(flow, torch.sigmoid(painted[:, 3:]), torch.tanh(painted[:, :3]))
        return fields, tuple(flows)


class _Level(nn.Module):
    """Corrects the displacement field at one resolution, and adds the identity map warped by it to the features."""

    def __init__(self, in_channels: int, out_channels: int, style_dim: int, map_channels: int) -> None:
        super().__init__()
        self.first = ModulatedConv(in_channels, out_channels, style_dim)
        self.second = ModulatedConv(out_channels, out_channels, style_dim)
        self.motion = nn.Conv2d(out_channels, 3, 3, padding=1)
        self.bring = nn.Conv2d(map_channels, out_channels, 1)
        nn.init.normal_(self.motion.weight, std=_MOTION_INIT_STD)
        nn.init.zeros_(self.motion.get_parameter("bias"))

    def forward(self, x: Tensor, flow: Tensor, style: Tensor, identity_map: Tensor) -> tuple[Tensor, Tensor]:
        x = self.second(self.first(x, style), style)
        motion = self.motion(x).float()
        flow = flow + motion[:, :2] * FLOW_GAIN
        gate = torch.sigmoid(motion[:, 2:]).to(x.dtype)
        return x + self.bring(warp(identity_map, flow)) * gate, flow


def compose(picture: Float[Tensor, "batch 3 side side"], fields: Fields) -> Float[Tensor, "batch 3 side side"]:
    """Warps the photograph by the displacement field and blends the colours in where the mask is below 1.

    Args:
        picture: Photograph, RGB in [-1, 1]. Fields are resized to its side.
        fields: As the generator gives them.

    Returns:
        The frame, RGB in [-1, 1], at the side of the photograph.
    """
    side = picture.shape[-1]
    mask, colours = resize(fields.mask, side), resize(fields.colours, side)
    return mask * warp(picture.float(), resize(fields.flow, side)) + (1 - mask) * colours
