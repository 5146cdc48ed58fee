"""Losses of the stages: pure functions of tensors."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from pcavs.models.generator import FLOW_GAIN


def retrieval(
    visual: Float[Tensor, "n content"], heard: Float[Tensor, "n content"], scale: Tensor
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Symmetric cross-entropy of finding each one's partner among all, and the share found.

    Args:
        visual: Content seen.
        heard: Content heard, in the same order.
        scale: Inverse temperature of the cosine.

    Reference: Zhou et al., CVPR 2021, equations 1 and 2, with a learned temperature.
    """
    cosine = functional.normalize(visual.float(), dim=1) @ functional.normalize(heard.float(), dim=1).T
    wanted = torch.arange(len(cosine), device=cosine.device)
    loss = functional.cross_entropy(cosine * scale, wanted) + functional.cross_entropy(cosine.T * scale, wanted)
    found = (cosine.argmax(dim=1) == wanted).float().mean()
    return loss / 2, found


def retrieval_within(
    visual: Float[Tensor, "n content"], heard: Float[Tensor, "n content"], moments: int, scale: Tensor
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The same among the moments of one clip only: there, only time tells partners apart."""
    seen = functional.normalize(visual.float(), dim=1).unflatten(0, (-1, moments))
    sound = functional.normalize(heard.float(), dim=1).unflatten(0, (-1, moments))
    cosine = seen @ sound.transpose(1, 2)
    wanted = torch.arange(moments, device=cosine.device).expand(len(cosine), -1)
    forth = functional.cross_entropy((cosine * scale).flatten(0, 1), wanted.flatten())
    back = functional.cross_entropy((cosine.transpose(1, 2) * scale).flatten(0, 1), wanted.flatten())
    found = (cosine.argmax(dim=2) == wanted).float().mean()
    return (forth + back) / 2, found


def published_contrast(
    visual: Float[Tensor, "clips n"], heard: Float[Tensor, "clips n"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The contrast as published: clip vectors found by the inverse of their distance, and the share found.

    Each direction sees the other side as given. There is no guard: two equal vectors are infinitely close, the loss
    is then not finite and the step is skipped (docs/decisions/0016).

    Args:
        visual: Content seen of each clip, its moments in a row.
        heard: Content heard of the same clips.

    Reference: published code, SoftmaxContrastiveLoss.
    """
    seen, sound = (functional.normalize(vectors.float(), dim=1) for vectors in (visual, heard))
    wanted = torch.arange(len(seen), device=seen.device)

    def logits(a: Tensor, b: Tensor) -> Tensor:
        return 1 / (a[:, None] - b[None]).norm(dim=2)

    forth, back = logits(seen, sound.detach()), logits(sound, seen.detach())
    loss = functional.cross_entropy(forth, wanted) + functional.cross_entropy(back, wanted)
    return loss, (forth.argmax(dim=1) == wanted).float().mean()


def masked_mean(values: Float[Tensor, " n"], share: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Averages the values that a mask lets through; zero where it lets none."""
    return (values * share).sum() / share.sum().clamp(min=1)


def flow_at(
    flow: Float[Tensor, "batch 2 h w"], mesh: Float[Tensor, "batch points 2"]
) -> Float[Tensor, "batch points 2"]:
    """Reads a flow at points, the picture spanning [-1, 1]."""
    return functional.grid_sample(flow, mesh[:, None], padding_mode="border", align_corners=False)[:, :, 0].mT


def landmark_flow(
    flow: Float[Tensor, "batch 2 h w"],
    identity_mesh: Float[Tensor, "batch points 2"],
    target_mesh: Float[Tensor, "batch points 2"],
    weights: Float[Tensor, " points"],
) -> Float[Tensor, " batch"]:
    """Distance between the flow at the target's landmarks and the way back to the identity picture's.

    In units of `FLOW_GAIN`, so that a lively head's motion is about one.
    """
    error = flow_at(flow, target_mesh) - (identity_mesh - target_mesh)
    distance = (error / FLOW_GAIN).square().sum(dim=2).add(1e-6).sqrt()
    return (distance * weights).sum(dim=1) / weights.sum()


def edges(pictures: Float[Tensor, "batch c h w"]) -> tuple[Tensor, Tensor]:
    """Differences between neighbouring pixels, along x and along y."""
    return pictures[..., :, 1:] - pictures[..., :, :-1], pictures[..., 1:, :] - pictures[..., :-1, :]


def edge_distance(a: Float[Tensor, "batch c h w"], b: Float[Tensor, "batch c h w"]) -> Float[Tensor, ""]:
    """Mean absolute difference of the edges: blur costs here what it saves in pixel distance."""
    (ax, ay), (bx, by) = edges(a), edges(b)
    return (ax - bx).abs().mean() + (ay - by).abs().mean()


def roughness(flow: Float[Tensor, "batch 2 h w"]) -> Float[Tensor, ""]:
    """Mean absolute second difference: a flow may be steep, but should not be bent."""
    x, y = edges(flow)
    return ((x[..., :, 1:] - x[..., :, :-1]).abs().mean() + (y[..., 1:, :] - y[..., :-1, :]).abs().mean()) / FLOW_GAIN
