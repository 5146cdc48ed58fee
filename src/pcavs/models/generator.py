"""Generator of the `flow` talker: modulated convolutions that move the identity picture instead of repainting it."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pcavs.models.blocks import LEAK, ModulatedConv, resize, warp
from pcavs.models.identity import IdentityFeatures
from pcavs.spec import FlowSpec, exact_div

FLOW_GAIN = 0.1
"""A head's unit of flow: a tenth of half the picture, the size of a lively head's motion."""

POSE_GAIN = 5.0
"""A turn of ten degrees changes the pose code by a fifth: as a difference it would be faint beside content."""

MASK_BIAS = 3.0
"""Starts the mask near one: flow is learnt first, colours come in where they pay."""

PAINTED = 4
"""Colours and mask; painted at half the frame's side, four pixels at a time (Shi et al., CVPR 2016)."""


class Codes(NamedTuple):
    """Motion of one face: what it says and where its head is."""

    content: Float[Tensor, "batch content"]
    pose: Float[Tensor, "batch pose"]


class Fields(NamedTuple):
    """What the generator says of a frame; `compose` turns it into a picture of any size."""

    flow: Float[Tensor, "batch 2 half half"]
    """Where each pixel comes from in the identity picture, minus its own place; the picture spans [-1, 1]."""
    mask: Float[Tensor, "batch 1 frame frame"]
    """Share of the moved identity picture, 0 to 1; the rest is colours."""
    colours: Float[Tensor, "batch 3 frame frame"]
    """RGB in [-1, 1]."""


class StyleMapper(nn.Module):
    """Joins identity vector, content and pose into the style, each through a projection of its own.

    Twelve pose numbers would drown among hundreds of content numbers in one layer. The identity picture's own
    codes stand beside the driving ones, because flow is a difference between the two.
    """

    def __init__(self, spec: FlowSpec) -> None:
        """Sizes follow from the spec."""
        super().__init__()
        embedding = spec.content_embedding_dim
        self.content = nn.Linear(spec.content_dim, embedding)
        self.pose = nn.Sequential(
            nn.Linear(2 * spec.pose_dim, spec.pose_embedding_dim),
            nn.LeakyReLU(LEAK),
            nn.Linear(spec.pose_embedding_dim, spec.pose_embedding_dim),
        )
        self.identity = nn.Linear(spec.identity_dim, embedding)
        self.join = nn.Sequential(
            nn.LeakyReLU(LEAK),
            nn.Linear(3 * embedding + spec.pose_embedding_dim, spec.style_dim),
            nn.LeakyReLU(LEAK),
            nn.Linear(spec.style_dim, spec.style_dim),
            nn.LeakyReLU(LEAK),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                # The default start shrinks what passes: the style would hardly modulate, and flow starts in vain.
                nn.init.kaiming_normal_(layer.weight, a=LEAK)
                nn.init.zeros_(layer.bias)

    def forward(
        self, vector: Float[Tensor, "batch identity"], own: Codes, driving: Codes
    ) -> Float[Tensor, "batch style"]:
        """Content enters at unit length times the root of its size, so its loudness says nothing."""
        own_content, content = self.content(_unit(own.content)), self.content(_unit(driving.content))
        pose = self.pose(torch.cat([own.pose, (driving.pose - own.pose) * POSE_GAIN], dim=1))
        return self.join(torch.cat([self.identity(vector), content, content - own_content, pose], dim=1))


def _unit(content: Tensor) -> Tensor:
    return nn.functional.normalize(content.float(), dim=1) * content.shape[1] ** 0.5


class FlowGenerator(nn.Module):
    """Grows the identity's coarse map into flow, mask and colours (flow as in Wang et al., ICLR 2022)."""

    def __init__(self, spec: FlowSpec) -> None:
        """One level a width; each has an identity map of its size."""
        super().__init__()
        widths, style = spec.generator_widths, spec.style_dim
        maps = spec.identity_widths[-2::-1]
        self.style = StyleMapper(spec)
        self.seed = nn.Conv2d(maps[0], widths[0], 1)
        coarse_px = exact_div(spec.frame_px, 2 ** len(widths))
        # A turned head moves each place its own way; features alone tell places apart too slowly.
        self.place = nn.Parameter(torch.randn(1, widths[0], coarse_px, coarse_px))
        self.levels = nn.ModuleList(
            _Level(before, after, style, carried)
            for before, after, carried in zip((widths[0], *widths[:-1]), widths, maps, strict=True)
        )
        self.refine = ModulatedConv(widths[-1], widths[-1] // 2, style)
        self.paint = nn.Conv2d(widths[-1] // 2, 4 * PAINTED, 3, padding=1)
        nn.init.normal_(self.paint.weight, std=0.02)
        bias = self.paint.get_parameter("bias")
        nn.init.zeros_(bias[:-4])
        nn.init.constant_(bias[-4:], MASK_BIAS)

    def forward(self, identity: IdentityFeatures, own: Codes, driving: Codes) -> tuple[Fields, tuple[Tensor, ...]]:
        """Gives the fields of a frame, and the flow of every level, coarse to fine, for supervision."""
        style = self.style(identity.vector, own, driving)
        x = self.seed(identity.maps[0]) + self.place
        flow = x.new_zeros((x.shape[0], 2, x.shape[2], x.shape[3]), dtype=torch.float32)
        flows = []
        for index, (level, carried) in enumerate(zip(self.levels, identity.maps, strict=True)):
            if index:
                side = int(carried.shape[-1])  # a plain number also where the network is traced
                x, flow = resize(x, side), resize(flow, side)
            x, flow = level(x, flow, style, carried)
            flows.append(flow)
        painted = nn.functional.pixel_shuffle(self.paint(self.refine(x, style)), 2).float()
        fields = Fields(flow, torch.sigmoid(painted[:, 3:]), torch.tanh(painted[:, :3]))
        return fields, tuple(flows)


class _Level(nn.Module):
    """Two modulated convolutions; then a flow and a share bring the identity's map of this size in."""

    def __init__(self, before: int, after: int, style_dim: int, carried: int) -> None:
        super().__init__()
        self.first = ModulatedConv(before, after, style_dim)
        self.second = ModulatedConv(after, after, style_dim)
        self.motion = nn.Conv2d(after, 3, 3, padding=1)
        self.bring = nn.Conv2d(carried, after, 1)
        nn.init.normal_(self.motion.weight, std=0.01)
        nn.init.zeros_(self.motion.get_parameter("bias"))

    def forward(self, x: Tensor, flow: Tensor, style: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        x = self.second(self.first(x, style), style)
        motion = self.motion(x).float()
        flow = flow + motion[:, :2] * FLOW_GAIN
        share = torch.sigmoid(motion[:, 2:]).to(x.dtype)
        return x + self.bring(warp(carried, flow)) * share, flow


def compose(picture: Float[Tensor, "batch 3 side side"], fields: Fields) -> Float[Tensor, "batch 3 side side"]:
    """Moves the identity picture and lays the colours in, at the picture's own size; RGB in [-1, 1]."""
    side = picture.shape[-1]
    mask, colours = resize(fields.mask, side), resize(fields.colours, side)
    return mask * warp(picture.float(), resize(fields.flow, side)) + (1 - mask) * colours
