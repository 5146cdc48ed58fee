"""Augmentation of the motion encoder's input: what a face looks like goes, where it is and what it says stays.

Colour, sharpness and noise only. Geometry is left alone here: 6 % of scale already drowned the small head motions
of most clips (docs/LOG.md).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


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
