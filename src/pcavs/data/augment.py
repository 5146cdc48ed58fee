"""Augmentation of the motion encoder's input: what a face looks like goes, where it is and what it says stays.

Two recipes. `destroy_identity` changes colour, sharpness and noise only: 6 % of scale already drowned the small head
motions of most clips (dev/LOG.md). `destroy_like_paper` is the published one, with its geometry.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pcavs.spec import exact_div

PUBLISHED_PX = 224
"""Side for which the published amounts are given; they are scaled to other sides."""

MEDIAN_SIDES = (3, 5, 7, 9)
SHARPEN = ((0.0, -1.0, 0.0), (-1.0, 5.0, -1.0), (0.0, -1.0, 0.0))

Augmentation: TypeAlias = Callable[[Tensor, int, torch.Generator], Tensor]
"""From faces, ordered clip by clip, and the number of each clip's faces; the generator is the only randomness."""


def destroy_identity(
    faces: Float[Tensor, "batch 3 side side"], generator: torch.Generator, *, strength: float = 1.0
) -> Float[Tensor, "batch 3 side side"]:
    """Changes colour, contrast, sharpness and noise of each face by its own draw; RGB in [-1, 1] in and out.

    Args:
        faces: Aligned faces.
        generator: The source of randomness.
        strength: 0 leaves faces alone, 1 is the training default.

    Reference: Zhou et al., CVPR 2021, section 3.3, without its geometry.
    """

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) * 2 - 1

    batch = faces.shape[0]
    gain = torch.exp(draw(batch, 3, 1, 1) * 0.35 * strength + draw(batch, 1, 1, 1) * 0.35 * strength)
    offset = draw(batch, 3, 1, 1) * 0.15 * strength
    gamma = torch.exp(draw(batch, 1, 1, 1) * 0.4 * strength)
    bright = ((faces + 1) / 2).clamp(1e-3, 1) ** gamma * gain + offset
    grey = bright.mean(dim=1, keepdim=True)
    colour = torch.rand((batch, 1, 1, 1), generator=generator) * strength
    mixed = grey * colour + bright * (1 - colour)
    blurred = functional.avg_pool2d(functional.pad(mixed, (1, 1, 1, 1), mode="replicate"), 3, 1)
    sharpness = draw(batch, 1, 1, 1) * strength
    mixed = mixed + (mixed - blurred) * sharpness
    noise = torch.randn(mixed.shape, generator=generator) * 0.04 * strength * draw(batch, 1, 1, 1).abs()
    return ((mixed + noise) * 2 - 1).clamp(-1, 1)


def destroy_like_paper(
    faces: Float[Tensor, "batch 3 side side"], moments: int, generator: torch.Generator
) -> Float[Tensor, "batch 3 side side"]:
    """Changes colour, proportions, perspective and sharpness by one draw a clip; RGB in [-1, 1] in and out.

    Colour: one factor of 0.3 to 1.6 on neighbouring channels. Proportions: narrowed and heightened by 15 to 25 px of
    224 a side, or the other way, the missing rim mirrored. Perspective: one side of the picture shrinks and the other
    grows by 20 to 30 px, all of it by 20 to 40 px in or out. Then a median over 3 to 9 px, drawn for each face, or
    sharpening.

    Args:
        faces: Aligned faces, ordered clip by clip.
        moments: Faces of each clip.
        generator: The source of randomness.

    Reference: published code, data/base_dataset.py, which its author calls the paper's augmentation.
    """
    clips = exact_div(len(faces), moments)
    coloured = _coloured(faces, clips, moments, generator)
    grid = _paper_grid(clips, int(faces.shape[-1]), generator).repeat_interleave(moments, dim=0)
    moved = functional.grid_sample(coloured, grid, padding_mode="border", align_corners=False)
    blurred = (torch.rand(clips, generator=generator) < 0.5).repeat_interleave(moments)
    sides = torch.randint(len(MEDIAN_SIDES), (len(faces),), generator=generator)
    result = _sharpened(moved)
    for index, side in enumerate(MEDIAN_SIDES):
        chosen = blurred & (sides == index)
        if bool(chosen.any()):
            result[chosen] = _median(moved[chosen], _scaled_odd(side, int(faces.shape[-1])))
    return result


def _coloured(faces: Tensor, clips: int, moments: int, generator: torch.Generator) -> Tensor:
    factor = 0.3 + 1.3 * torch.rand(clips, generator=generator)
    first = torch.randint(2, (clips,), generator=generator)
    # The range ends after its first channel at the earliest and after the third at the latest.
    last = first + (torch.rand(clips, generator=generator) * (3 - first)).long()
    channel = torch.arange(3)
    touched = (channel >= first[:, None]) & (channel <= last[:, None])
    gain = torch.where(touched, factor[:, None], torch.ones(())).repeat_interleave(moments, dim=0)[:, :, None, None]
    return ((faces + 1) * gain - 1).clamp(-1, 1)


def _paper_grid(clips: int, side: int, generator: torch.Generator) -> Float[Tensor, "clips side side 2"]:
    """Where each pixel of the result comes from, the picture spanning [-1, 1]; in pixels of 224 until the end."""

    def uniform(low: int, high: int) -> Tensor:
        return low + (high - low) * torch.rand((clips, 1, 1), generator=generator)

    def sign() -> Tensor:
        return torch.randint(2, (clips, 1, 1), generator=generator) * 2.0 - 1

    squeeze = uniform(15, 25)
    rim = uniform(0, 1) * squeeze / 2
    tilt, growth = uniform(20, 30) * sign(), uniform(20, 40) * sign()
    narrowed, sideways = (torch.rand((clips, 1, 1), generator=generator) < 0.5 for _ in range(2))

    line = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = (axis.expand(clips, side, side) for axis in torch.meshgrid(line, line, indexing="ij"))
    half = PUBLISHED_PX / 2
    # Divided by a depth that falls from one side to the other, a square becomes a trapezium.
    depth = 1 + tilt / half * torch.where(sideways, x, y)
    scale = (half + rim) / (half + growth) / depth
    limit = half + rim
    x, y = ((axis * half * scale).clamp(-limit, limit) for axis in (x, y))
    thin, thick = half - squeeze, half + squeeze
    x, y = (
        torch.where(narrowed, _mirrored(x, thin) / thin, x / thick),
        torch.where(narrowed, y / thick, _mirrored(y, thin) / thin),
    )
    return torch.stack([x, y], dim=3)


def _mirrored(x: Tensor, limit: Tensor) -> Tensor:
    """Folds coordinates back at -limit and limit, once."""
    return torch.where(x.abs() > limit, x.sign() * (2 * limit - x.abs()), x)


def _scaled_odd(side: int, frame_px: int) -> int:
    return 2 * max(1, round((side - 1) / 2 * frame_px / PUBLISHED_PX)) + 1


def _median(faces: Tensor, side: int) -> Tensor:
    padded = functional.pad(faces, (side // 2,) * 4, mode="replicate")
    windows = padded.unfold(2, side, 1).unfold(3, side, 1).flatten(4)
    return windows.median(dim=4).values


def _sharpened(faces: Tensor) -> Tensor:
    kernel = torch.tensor(SHARPEN, dtype=faces.dtype).expand(3, 1, 3, 3)
    return functional.conv2d(functional.pad(faces, (1, 1, 1, 1), mode="replicate"), kernel, groups=3).clamp(-1, 1)


def _keep(faces: Tensor, moments: int, generator: torch.Generator) -> Tensor:
    return faces


def _house(faces: Tensor, moments: int, generator: torch.Generator) -> Tensor:
    return destroy_identity(faces, generator)


AUGMENTATIONS: Final[dict[str, Augmentation]] = {"colour": _house, "paper": destroy_like_paper, "none": _keep}
"""By the name that a recipe gives them."""
