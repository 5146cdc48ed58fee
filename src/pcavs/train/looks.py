"""Augmentation of clips: who is seen, how they are framed and in what light changes; what is said and done stays.

Of each clip, its identity frame and its targets change alike, and landmarks, lip shapes and poses with them: one more
person, for a generator that has met few.
"""

import functools
from collections.abc import Callable
from typing import Final, TypeAlias

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional

from pcavs.data.corpus import Batch
from pcavs.face.regions import LIPS, mirrored_points
from pcavs.spec import exact_div

WIDEST: Final = 0.1
"""Change of a face's width over its height, as a natural logarithm."""
LARGEST_ZOOM: Final = 0.06
"""As a natural logarithm."""
LARGEST_SHIFT: Final = 0.06
"""Along either axis, as a share of half the picture's side."""
BRIGHTNESS, TINT, DARKENING = 0.25, 0.1, 0.3
"""Of all colours, of each, and of the exponent, as natural logarithms."""
GREYEST, GAUDIEST = 0.4, 1.3

LookChange: TypeAlias = Callable[[Batch, torch.Generator], Batch]
"""The generator is the only chance."""

_MIRRORED_POSE: Final = (1, -1, -1, -1, 1, 1, -1, 1, 1, -1, 1, 1)
"""Signs of the rotation's rows, of the place and of the size: mirroring x, turning, and mirroring x again."""


def change_looks(batch: Batch, generator: torch.Generator) -> Batch:
    """Gives each clip another face, another framing and another light, the same in its identity frame and targets.

    Half of the clips are mirrored. Faces get up to a tenth wider or narrower, the frame moves by up to 3 % of its side
    and zooms by up to 6 %, what lies beyond the rim being continued; then brightness, tint, contrast and saturation
    change. The exact pose of a render stays exact but for the width, of which a turn of the head would change the
    depth, too.

    Args:
        batch: Clips as they were recorded.
        generator: The source of randomness.

    Reference: Zhou et al., CVPR 2021, section 3.3, changes the motion encoder's input in such ways; here it is what
    the whole network is to rebuild that changes.
    """
    clips = len(batch.identity)
    moments = exact_div(len(batch.target), clips)

    def draw(*shape: int) -> Tensor:
        return torch.rand((clips, *shape), generator=generator) * 2 - 1

    flipped = torch.rand(clips, generator=generator) < 0.5
    wider, zoom = draw() * WIDEST / 2, draw() * LARGEST_ZOOM
    scale = torch.exp(zoom[:, None] + torch.stack([wider, -wider], dim=1))
    shift = draw(2) * LARGEST_SHIFT
    gain = torch.exp(draw(1) * BRIGHTNESS + draw(3) * TINT)[:, :, None, None]
    gamma = torch.exp(draw(1) * DARKENING)[:, :, None, None]
    colour = (GREYEST + (GAUDIEST - GREYEST) * (draw(1) + 1) / 2)[:, :, None, None]

    def seen(faces: Tensor, times: int) -> Tensor:
        each = [values.repeat_interleave(times, dim=0) for values in (flipped, scale, shift, gain, gamma, colour)]
        return _lit(_framed(faces, *each[:3]), *each[3:])

    def marked(mesh: Tensor, times: int) -> Tensor:
        each = [values.repeat_interleave(times, dim=0) for values in (flipped, scale, shift)]
        return _moved(mesh, *each)

    long = flipped.repeat_interleave(moments)
    return batch._replace(
        identity=seen(batch.identity, 1),
        target=seen(batch.target, moments),
        identity_mesh=marked(batch.identity_mesh, 1),
        target_mesh=marked(batch.target_mesh, moments),
        lips=_shaped(batch.lips, long, wider.repeat_interleave(moments)),
        pose=_posed(batch.pose, long, *(v.repeat_interleave(moments, dim=0) for v in (scale, shift, zoom))),
    )


def _framed(faces: Tensor, flipped: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    side = torch.where(flipped[:, None, None, None], faces.flip(3), faces)
    back = torch.zeros(len(faces), 2, 3)
    back[:, 0, 0], back[:, 1, 1] = 1 / scale[:, 0], 1 / scale[:, 1]
    back[:, :, 2] = -shift / scale
    grid = functional.affine_grid(back, list(faces.shape), align_corners=False)
    return functional.grid_sample(side, grid, padding_mode="border", align_corners=False)


def _lit(faces: Tensor, gain: Tensor, gamma: Tensor, colour: Tensor) -> Tensor:
    bright = ((faces + 1) / 2).clamp(1e-3, 1) ** gamma * gain
    grey = bright.mean(dim=1, keepdim=True)
    return ((grey + (bright - grey) * colour) * 2 - 1).clamp(-1, 1)


def _moved(mesh: Tensor, flipped: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    other = mesh[:, _mirrored()] * torch.tensor([-1.0, 1.0])
    return torch.where(flipped[:, None, None], other, mesh) * scale[:, None] + shift[:, None]


def _shaped(lips: Tensor, flipped: Tensor, wider: Tensor) -> Tensor:
    points = lips.unflatten(1, (-1, 2))
    other = points[:, _mirrored_lips()] * torch.tensor([-1.0, 1.0])
    chosen = torch.where(flipped[:, None, None], other, points)
    return (chosen * torch.exp(torch.stack([wider, -wider], dim=1))[:, None]).flatten(1)


def _posed(pose: Tensor, flipped: Tensor, scale: Tensor, shift: Tensor, zoom: Tensor) -> Tensor:
    signs = torch.tensor(_MIRRORED_POSE, dtype=pose.dtype)
    chosen = torch.where(flipped[:, None], pose * signs, pose)
    place = chosen[:, 9:11] * scale + shift
    return torch.cat([chosen[:, :9], place, chosen[:, 11:] + zoom[:, None]], dim=1)


@functools.cache
def _mirrored() -> Int[Tensor, " points"]:
    return torch.from_numpy(mirrored_points())


@functools.cache
def _mirrored_lips() -> Int[Tensor, " points"]:
    mirrored = mirrored_points()
    return torch.tensor([LIPS.index(int(mirrored[point])) for point in LIPS])


def _keep(batch: Batch, generator: torch.Generator) -> Batch:
    return batch


LOOKS: Final[dict[str, LookChange]] = {"kept": _keep, "changed": change_looks}
"""By the name that a recipe gives them."""
