"""Losses as functions of tensors."""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pcavs.models.generator import FLOW_GAIN

ROOT_OFFSET: Final = 1e-6
"""Added under the square root of a squared distance, whose slope would be infinite at 0; in units of `FLOW_GAIN`
squared, far below the error of a landmark."""


def contrast_across(
    visual: Float[Tensor, "n content"], speech: Float[Tensor, "n content"], scale: Tensor
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Computes the symmetric cross-entropy of finding each code's partner among all others.

    Args:
        visual: Visual content.
        speech: Speech content, in the same order.
        scale: Inverse temperature of the cosine similarities.

    Returns:
        The loss, and the share of visual codes whose speech is the most similar one.

    Reference: Zhou et al., CVPR 2021, equations 1 and 2, with a learned temperature.
    """
    cosine = functional.normalize(visual.float(), dim=1) @ functional.normalize(speech.float(), dim=1).T
    wanted = torch.arange(len(cosine), device=cosine.device)
    loss = functional.cross_entropy(cosine * scale, wanted) + functional.cross_entropy(cosine.T * scale, wanted)
    found = (cosine.argmax(dim=1) == wanted).float().mean()
    return loss / 2, found


def contrast_within(
    visual: Float[Tensor, "n content"], speech: Float[Tensor, "n content"], moments: int, scale: Tensor
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Computes `contrast_across` within each clip, where speaker and room are the same and only timing differs.

    Args:
        visual: Visual content, ordered clip by clip.
        speech: Speech content, in the same order.
        moments: Number of codes a clip.
        scale: Inverse temperature of the cosine similarities.

    Returns:
        The loss, and the share of visual codes whose speech is the most similar one of the clip.
    """
    seen = functional.normalize(visual.float(), dim=1).unflatten(0, (-1, moments))
    sound = functional.normalize(speech.float(), dim=1).unflatten(0, (-1, moments))
    cosine = seen @ sound.transpose(1, 2)
    wanted = torch.arange(moments, device=cosine.device).expand(len(cosine), -1)
    to_speech = functional.cross_entropy((cosine * scale).flatten(0, 1), wanted.flatten())
    to_visual = functional.cross_entropy((cosine.transpose(1, 2) * scale).flatten(0, 1), wanted.flatten())
    found = (cosine.argmax(dim=2) == wanted).float().mean()
    return (to_speech + to_visual) / 2, found


def published_contrast(
    visual: Float[Tensor, "clips n"], speech: Float[Tensor, "clips n"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Computes the published contrast: cross-entropy between clips over one divided by the distance of unit vectors.

    Each direction treats the other side as a constant. Two equal vectors give an infinite logit; the loss is then not
    finite, and the step is skipped (docs/decisions/0016).

    Args:
        visual: Visual content of each clip, its frames joined.
        speech: Speech content of the same clips.

    Returns:
        The loss, and the share of clips whose speech is the nearest one.

    Reference: published code, SoftmaxContrastiveLoss.
    """
    seen, sound = (functional.normalize(vectors.float(), dim=1) for vectors in (visual, speech))
    wanted = torch.arange(len(seen), device=seen.device)

    def logits(a: Tensor, b: Tensor) -> Tensor:
        return 1 / (a[:, None] - b[None]).norm(dim=2)

    to_speech, to_visual = logits(seen, sound.detach()), logits(sound, seen.detach())
    loss = functional.cross_entropy(to_speech, wanted) + functional.cross_entropy(to_visual, wanted)
    return loss, (to_speech.argmax(dim=1) == wanted).float().mean()


def masked_mean(values: Float[Tensor, " n"], mask: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Averages the values where the mask is 1; 0 where it is 0 everywhere."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def flow_at(
    flow: Float[Tensor, "batch 2 h w"], mesh: Float[Tensor, "batch points 2"]
) -> Float[Tensor, "batch points 2"]:
    """Samples a displacement field at points, bilinearly; the picture spans [-1, 1], points beyond it take its edge."""
    return functional.grid_sample(flow, mesh[:, None], padding_mode="border", align_corners=False)[:, :, 0].mT


def landmark_flow(
    flow: Float[Tensor, "batch 2 h w"],
    identity_mesh: Float[Tensor, "batch points 2"],
    target_mesh: Float[Tensor, "batch points 2"],
    weights: Float[Tensor, " points"],
) -> Float[Tensor, " batch"]:
    """Computes the error of a displacement field at the target's landmarks.

    The right displacement there leads to the same landmark in the identity frame. The weighted mean distance is in
    units of `FLOW_GAIN`, about the motion of a lively head.
    """
    error = flow_at(flow, target_mesh) - (identity_mesh - target_mesh)
    distance = (error / FLOW_GAIN).square().sum(dim=2).add(ROOT_OFFSET).sqrt()
    return (distance * weights).sum(dim=1) / weights.sum()


def edges(pictures: Float[Tensor, "batch c h w"]) -> tuple[Tensor, Tensor]:
    """Computes differences of neighbouring pixels along x and along y."""
    return pictures[..., :, 1:] - pictures[..., :, :-1], pictures[..., 1:, :] - pictures[..., :-1, :]


def edge_distance(
    a: Float[Tensor, "batch c h w"], b: Float[Tensor, "batch c h w"], weight: Float[Tensor, "batch 1 h w"] | None = None
) -> Float[Tensor, ""]:
    """Computes the mean absolute difference of `edges`, which grows with blur where the pixel distance falls.

    With a weight for each pixel, a difference counts as much as the lesser of its two pixels.
    """
    (ax, ay), (bx, by) = edges(a), edges(b)
    x, y = (ax - bx).abs(), (ay - by).abs()
    if weight is not None:
        x = x * torch.minimum(weight[..., :, 1:], weight[..., :, :-1])
        y = y * torch.minimum(weight[..., 1:, :], weight[..., :-1, :])
    return x.mean() + y.mean()


def roughness(flow: Float[Tensor, "batch 2 h w"]) -> Float[Tensor, ""]:
    """Computes the mean absolute second difference of a displacement field, in units of `FLOW_GAIN` a pixel squared.

    A constant slope, such as a turning head has, costs nothing.
    """
    x, y = edges(flow)
    return ((x[..., :, 1:] - x[..., :, :-1]).abs().mean() + (y[..., 1:, :] - y[..., :-1, :]).abs().mean()) / FLOW_GAIN
