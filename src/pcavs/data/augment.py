"""Augmentation of the motion encoder's input: changes the look of a face, so that its codes cannot describe identity.

`augment_colour`, the default, changes colour, sharpness and noise only. `augment_like_paper` is the published
augmentation, which bends the geometry as well. In our prototype a change of scale by 6 % already hid the small head
motion of most clips (dev/LOG.md).
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pcavs.spec import exact_div

# Amounts of `augment_colour`. Chosen by eye, so that faces stay readable and their colours say little.
CHANNEL_GAIN: Final = 0.35
"""Largest change of each channel's gain, as a natural logarithm: a factor of 0.70 to 1.42."""
BRIGHTNESS_GAIN: Final = 0.35
"""Largest change of the gain of all channels, as a natural logarithm."""
CHANNEL_OFFSET: Final = 0.15
"""Largest offset of each channel, where white is 1."""
GAMMA: Final = 0.4
"""Largest change of the exponent, as a natural logarithm: 0.67 to 1.49."""
NOISE_DEVIATION: Final = 0.04
"""Largest standard deviation of the noise, where white is 1."""
MIN_LEVEL: Final = 1e-3
"""Levels are clipped from below to this, where white is 1: the slope of a power below 1 is infinite at 0."""

# Amounts of `augment_like_paper`, as published, in pixels of a face of `PUBLISHED_PX`.
PUBLISHED_PX: Final = 224
"""Side of the face to which the published amounts refer; other sides scale them."""
PAPER_GAIN: Final = (0.3, 1.6)
"""Range of the factor on one to three neighbouring channels."""
PAPER_SQUEEZE_PX: Final = (15.0, 25.0)
"""Range by which each side of the face moves in along one axis, and out along the other."""
PAPER_TILT_PX: Final = (20.0, 30.0)
"""Range by which one side of the picture shrinks, and the opposite side grows, at each end."""
PAPER_GROWTH_PX: Final = (20.0, 40.0)
"""Range by which each side moves in or out in the perspective change."""
MEDIAN_SIDES_PX: Final = (3, 5, 7, 9)
"""Sides of the median filter's window, one of which is drawn."""
SHARPEN_KERNEL: Final = ((0.0, -1.0, 0.0), (-1.0, 5.0, -1.0), (0.0, -1.0, 0.0))
"""Identity minus the 4-neighbour Laplacian."""

Augmentation: TypeAlias = Callable[[Tensor, int, torch.Generator], Tensor]
"""Takes faces ordered clip by clip (RGB in [-1, 1]), the number of faces per clip, and the source of randomness."""


def augment_colour(
    faces: Float[Tensor, "batch 3 side side"], generator: torch.Generator, *, strength: float = 1.0
) -> Float[Tensor, "batch 3 side side"]:
    """Changes colour, contrast, sharpness and noise of each face independently; positions stay.

    Args:
        faces: Aligned faces, RGB in [-1, 1]; the result has the same range.
        generator: The only source of randomness.
        strength: Factor on all amounts; 0 leaves faces as they are, 1 is the training default.

    Reference: Zhou et al., CVPR 2021, section 3.3, without its geometry.
    """

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator) * 2 - 1

    batch = faces.shape[0]
    gain = torch.exp(draw(batch, 3, 1, 1) * CHANNEL_GAIN * strength + draw(batch, 1, 1, 1) * BRIGHTNESS_GAIN * strength)
    offset = draw(batch, 3, 1, 1) * CHANNEL_OFFSET * strength
    gamma = torch.exp(draw(batch, 1, 1, 1) * GAMMA * strength)
    bright = ((faces + 1) / 2).clamp(MIN_LEVEL, 1) ** gamma * gain + offset
    grey = bright.mean(dim=1, keepdim=True)
    desaturation = torch.rand((batch, 1, 1, 1), generator=generator) * strength
    mixed = grey * desaturation + bright * (1 - desaturation)
    blurred = functional.avg_pool2d(functional.pad(mixed, (1, 1, 1, 1), mode="replicate"), 3, 1)
    sharpness = draw(batch, 1, 1, 1) * strength  # below 0 blurs, above 0 sharpens
    mixed = mixed + (mixed - blurred) * sharpness
    noise = torch.randn(mixed.shape, generator=generator) * NOISE_DEVIATION * strength * draw(batch, 1, 1, 1).abs()
    return ((mixed + noise) * 2 - 1).clamp(-1, 1)


def augment_like_paper(
    faces: Float[Tensor, "batch 3 side side"], moments: int, generator: torch.Generator
) -> Float[Tensor, "batch 3 side side"]:
    """Changes colour, proportions, perspective and sharpness, as published; one draw per clip.

    In this order:

    - Colour: one factor of 0.3 to 1.6 on one to three neighbouring channels.
    - Perspective: one side of the picture shrinks and the opposite one grows by 20 to 30 of 224 px at each end, and all
      sides move in or out by 20 to 40 px.
    - Proportions: the face narrows and gets taller by 15 to 25 px a side, or the other way; what is missing at the rim
      is mirrored.
    - Sharpness: for half of the clips a median filter of 3 to 9 px, whose side is drawn for each face; for the others
      a sharpening kernel.

    Args:
        faces: Aligned faces, RGB in [-1, 1], ordered clip by clip; the result has the same range.
        moments: Number of faces per clip.
        generator: The only source of randomness.

    Reference: published code, data/base_dataset.py, which its author calls the paper's augmentation.
    """
    clips = exact_div(len(faces), moments)
    coloured = _scale_channels(faces, clips, moments, generator)
    grid = _paper_grid(clips, int(faces.shape[-1]), generator).repeat_interleave(moments, dim=0)
    moved = functional.grid_sample(coloured, grid, padding_mode="border", align_corners=False)
    blurred = (torch.rand(clips, generator=generator) < 0.5).repeat_interleave(moments)
    sides = torch.randint(len(MEDIAN_SIDES_PX), (len(faces),), generator=generator)
    result = _sharpen(moved)
    for index, side in enumerate(MEDIAN_SIDES_PX):
        chosen = blurred & (sides == index)
        if bool(chosen.any()):
            result[chosen] = _median(moved[chosen], _scaled_odd(side, int(faces.shape[-1])))
    return result


def _scale_channels(faces: Tensor, clips: int, moments: int, generator: torch.Generator) -> Tensor:
    low, high = PAPER_GAIN
    factor = low + (high - low) * torch.rand(clips, generator=generator)
    # The first channel is the first or the second; the last is any from the first to the third.
    first = torch.randint(2, (clips,), generator=generator)
    last = first + (torch.rand(clips, generator=generator) * (3 - first)).long()
    channel = torch.arange(3)
    changed = (channel >= first[:, None]) & (channel <= last[:, None])
    gain = torch.where(changed, factor[:, None], torch.ones(())).repeat_interleave(moments, dim=0)[:, :, None, None]
    return ((faces + 1) * gain - 1).clamp(-1, 1)


def _paper_grid(clips: int, side: int, generator: torch.Generator) -> Float[Tensor, "clips side side 2"]:
    """Computes where each output pixel is sampled, the picture spanning [-1, 1]; in published pixels until the end."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand((clips, 1, 1), generator=generator)

    def sign() -> Tensor:
        return torch.randint(2, (clips, 1, 1), generator=generator) * 2.0 - 1

    squeeze = uniform(*PAPER_SQUEEZE_PX)
    rim = uniform(0.0, 1.0) * squeeze / 2
    tilt, growth = uniform(*PAPER_TILT_PX) * sign(), uniform(*PAPER_GROWTH_PX) * sign()
    narrow, sideways = (torch.rand((clips, 1, 1), generator=generator) < 0.5 for _ in range(2))

    line = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = (axis.expand(clips, side, side) for axis in torch.meshgrid(line, line, indexing="ij"))
    half = PUBLISHED_PX / 2
    # Division by a depth that changes from one side to the other turns the square into a trapezium.
    depth = 1 + tilt / half * torch.where(sideways, x, y)
    scale = (half + rim) / (half + growth) / depth
    limit = half + rim
    x, y = ((axis * half * scale).clamp(-limit, limit) for axis in (x, y))
    thin, thick = half - squeeze, half + squeeze
    x, y = (
        torch.where(narrow, _mirror(x, thin) / thin, x / thick),
        torch.where(narrow, y / thick, _mirror(y, thin) / thin),
    )
    return torch.stack([x, y], dim=3)


def _mirror(x: Tensor, limit: Tensor) -> Tensor:
    """Reflects coordinates beyond -limit and limit, once."""
    return torch.where(x.abs() > limit, x.sign() * (2 * limit - x.abs()), x)


def _scaled_odd(side: int, frame_px: int) -> int:
    """Scales an odd filter side from the published size to `frame_px`; at least 3."""
    return 2 * max(1, round((side - 1) / 2 * frame_px / PUBLISHED_PX)) + 1


def _median(faces: Tensor, side: int) -> Tensor:
    padded = functional.pad(faces, (side // 2,) * 4, mode="replicate")
    windows = padded.unfold(2, side, 1).unfold(3, side, 1).flatten(4)
    return windows.median(dim=4).values


def _sharpen(faces: Tensor) -> Tensor:
    kernel = torch.tensor(SHARPEN_KERNEL, dtype=faces.dtype).expand(3, 1, 3, 3)
    return functional.conv2d(functional.pad(faces, (1, 1, 1, 1), mode="replicate"), kernel, groups=3).clamp(-1, 1)


def _unchanged(faces: Tensor, moments: int, generator: torch.Generator) -> Tensor:
    return faces


def _colour(faces: Tensor, moments: int, generator: torch.Generator) -> Tensor:
    return augment_colour(faces, generator)


AUGMENTATIONS: Final[dict[str, Augmentation]] = {"colour": _colour, "paper": augment_like_paper, "none": _unchanged}
"""By the value of the setting `augmentation`."""
