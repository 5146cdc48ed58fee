"""Appearance augmentation: mirrors clips and changes the width of the face, the framing and the light.

For sets in which few people appear (docs/decisions/0018). A clip's identity frame and targets change alike, and
landmarks, lip shapes and pose codes with them, so that every clip becomes one of another person. Speech stays. Amounts
below were chosen by eye.
"""

import functools
from typing import Final

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional

from pcavs.data.corpus import Batch
from pcavs.face.regions import LIPS, mirrored_points
from pcavs.spec import exact_div

MAX_WIDENING: Final = 0.1
"""Largest change of a face's width divided by its height, as a natural logarithm."""
MAX_ZOOM: Final = 0.06
"""Largest change of scale, as a natural logarithm."""
MAX_SHIFT: Final = 0.06
"""Largest shift along either axis, where the crop spans [-1, 1]: 3 % of its side."""
BRIGHTNESS_GAIN: Final = 0.25
"""Largest change of the gain of all channels, as a natural logarithm."""
TINT_GAIN: Final = 0.1
"""Largest change of each channel's gain, as a natural logarithm."""
GAMMA: Final = 0.3
"""Largest change of the exponent, as a natural logarithm."""
MIN_SATURATION: Final = 0.4
MAX_SATURATION: Final = 1.3
"""Range of the factor on the difference from grey."""
MIN_LEVEL: Final = 1e-3
"""Levels are clipped from below to this, where white is 1: the slope of a power below 1 is infinite at 0."""

_MIRRORED_POSE: Final = (1, -1, -1, -1, 1, 1, -1, 1, 1, -1, 1, 1)
"""Signs of a mirrored pose code. With M = diag(-1, 1, 1) a rotation R becomes M R M, x changes sign, and y and the
logarithm of scale stay."""


def augment_appearance(batch: Batch, generator: torch.Generator) -> Batch:
    """Changes each clip of a batch by one draw.

    Half of the clips are mirrored. Faces become up to a tenth wider or narrower, the frame shifts by up to 3 % of its
    side and zooms by up to 6 %, its edge being repeated; then brightness, tint, contrast and saturation change. A
    render's exact pose stays exact but for the width: that of a turned head would have to change its depth as well.

    Args:
        batch: Clips as they were recorded.
        generator: The only source of randomness.

    Reference: Zhou et al., CVPR 2021, section 3.3, changes the motion encoder's input in such ways; here what the
    whole network reconstructs is changed.
    """
    clips = len(batch.identity)
    moments = exact_div(len(batch.target), clips)

    def draw(*shape: int) -> Tensor:
        return torch.rand((clips, *shape), generator=generator) * 2 - 1

    flipped = torch.rand(clips, generator=generator) < 0.5
    widening, zoom = draw() * MAX_WIDENING / 2, draw() * MAX_ZOOM
    scale = torch.exp(zoom[:, None] + torch.stack([widening, -widening], dim=1))
    shift = draw(2) * MAX_SHIFT
    gain = torch.exp(draw(1) * BRIGHTNESS_GAIN + draw(3) * TINT_GAIN)[:, :, None, None]
    gamma = torch.exp(draw(1) * GAMMA)[:, :, None, None]
    saturation = (MIN_SATURATION + (MAX_SATURATION - MIN_SATURATION) * (draw(1) + 1) / 2)[:, :, None, None]

    def faces(pictures: Tensor, times: int) -> Tensor:
        each = [values.repeat_interleave(times, dim=0) for values in (flipped, scale, shift, gain, gamma, saturation)]
        return _change_light(_change_geometry(pictures, *each[:3]), *each[3:])

    def landmarks(mesh: Tensor, times: int) -> Tensor:
        each = [values.repeat_interleave(times, dim=0) for values in (flipped, scale, shift)]
        return _change_mesh(mesh, *each)

    long = flipped.repeat_interleave(moments)
    return batch._replace(
        identity=faces(batch.identity, 1),
        target=faces(batch.target, moments),
        identity_mesh=landmarks(batch.identity_mesh, 1),
        target_mesh=landmarks(batch.target_mesh, moments),
        lips=_change_lips(batch.lips, long, widening.repeat_interleave(moments)),
        confidence=_change_geometry(
            batch.confidence, *(values.repeat_interleave(moments, dim=0) for values in (flipped, scale, shift))
        ),
        pose=_change_pose(batch.pose, long, *(v.repeat_interleave(moments, dim=0) for v in (scale, shift, zoom))),
    )


def _change_geometry(faces: Tensor, flipped: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    pictures = torch.where(flipped[:, None, None, None], faces.flip(3), faces)
    inverse = torch.zeros(len(faces), 2, 3)
    inverse[:, 0, 0], inverse[:, 1, 1] = 1 / scale[:, 0], 1 / scale[:, 1]
    inverse[:, :, 2] = -shift / scale
    grid = functional.affine_grid(inverse, list(faces.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _change_light(faces: Tensor, gain: Tensor, gamma: Tensor, saturation: Tensor) -> Tensor:
    bright = ((faces + 1) / 2).clamp(MIN_LEVEL, 1) ** gamma * gain
    grey = bright.mean(dim=1, keepdim=True)
    return ((grey + (bright - grey) * saturation) * 2 - 1).clamp(-1, 1)


def _change_mesh(mesh: Tensor, flipped: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    mirrored = mesh[:, _mirrored()] * torch.tensor([-1.0, 1.0])
    return torch.where(flipped[:, None, None], mirrored, mesh) * scale[:, None] + shift[:, None]


def _change_lips(lips: Tensor, flipped: Tensor, widening: Tensor) -> Tensor:
    points = lips.unflatten(1, (-1, 2))
    mirrored = points[:, _mirrored_lips()] * torch.tensor([-1.0, 1.0])
    chosen = torch.where(flipped[:, None, None], mirrored, points)
    return (chosen * torch.exp(torch.stack([widening, -widening], dim=1))[:, None]).flatten(1)


def _change_pose(pose: Tensor, flipped: Tensor, scale: Tensor, shift: Tensor, zoom: Tensor) -> Tensor:
    signs = torch.tensor(_MIRRORED_POSE, dtype=pose.dtype)
    chosen = torch.where(flipped[:, None], pose * signs, pose)
    rotation, translation, log_scale = chosen.split([9, 2, 1], dim=1)
    return torch.cat([rotation, translation * scale + shift, log_scale + zoom[:, None]], dim=1)


@functools.cache
def _mirrored() -> Int[Tensor, " points"]:
    """Returns the landmark that mirrors each landmark."""
    return torch.from_numpy(mirrored_points())


@functools.cache
def _mirrored_lips() -> Int[Tensor, " points"]:
    """Returns the point of a lip shape that mirrors each of its points."""
    mirrored = mirrored_points()
    return torch.tensor([LIPS.index(int(mirrored[point])) for point in LIPS])
