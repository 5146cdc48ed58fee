"""Adversarial losses: discriminators of the whole face or of the mouth, and the losses of both sides."""

import itertools
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.face.regions import OUTER_LIPS
from pcavs.models.discriminator import MultiscaleDiscriminator
from pcavs.train.stage import Terms

MOUTH_HALF_SIDE: Final = 0.36
"""Half the side of the mouth discriminator's window, where the crop spans [-1, 1]: it holds lips, teeth and the skin
that moves with them. Chosen by eye."""

R1_INTERVAL: Final = 16
"""Steps between gradient penalties. Reference: Karras et al., CVPR 2020 (StyleGAN2), lazy regularisation."""


class Discriminator(nn.Module):
    """Tells real pictures from generated ones; the generator is trained against it."""

    def __init__(self, name: str, network: MultiscaleDiscriminator, window_px: int | None = None) -> None:
        """Wraps the network.

        Args:
            name: Prefix of the journal's terms: `mouth` or `face`.
            network: Gives feature maps and logits of several scales.
            window_px: Side of the window around the mouth that the network sees; None shows it the whole picture.
        """
        super().__init__()
        self.name, self.window_px = name, window_px
        self.network = network

    def crop(
        self, pictures: Float[Tensor, "batch 3 side side"], mesh: Float[Tensor, "batch 478 2"]
    ) -> Float[Tensor, "batch 3 window window"]:
        """Returns what the network sees of pictures with these landmarks."""
        return pictures if self.window_px is None else mouth_windows(pictures, mesh, self.window_px)

    def generator_terms(self, generated: Tensor, target: Tensor, mesh: Tensor) -> Terms:
        """Computes what the generator minimises: its hinge loss, and the distance of the feature maps."""
        maps = self.network(self.crop(generated, mesh))
        with torch.no_grad():
            wanted = self.network(self.crop(target, mesh))
        return {
            f"{self.name}_adversarial": generator_hinge(maps),
            f"{self.name}_features": feature_matching(maps, wanted),
        }

    def discriminator_terms(self, generated: Tensor, target: Tensor, mesh: Tensor) -> Terms:
        """Computes the discriminator's hinge loss; its mean logits of either kind are only recorded."""
        real = self.network(self.crop(target, mesh))
        fake = self.network(self.crop(generated, mesh))
        return {
            f"{self.name}_discriminator": discriminator_hinge(real, fake),
            f"{self.name}_real": torch.stack([scale[-1].float().mean() for scale in real]).mean(),
            f"{self.name}_generated": torch.stack([scale[-1].float().mean() for scale in fake]).mean(),
        }

    def penalty_terms(self, target: Tensor, mesh: Tensor) -> Terms:
        """Computes the R1 penalty at real pictures, in float32."""
        with torch.autocast(target.device.type, enabled=False):
            real = self.crop(target, mesh).detach().requires_grad_()
            return {f"{self.name}_r1": r1_penalty(self.network(real), real)}


def mouth_windows(
    pictures: Float[Tensor, "batch 3 side side"], mesh: Float[Tensor, "batch 478 2"], window_px: int
) -> Float[Tensor, "batch 3 window window"]:
    """Resamples a square around the mean of the outer lips of each picture; beyond its edge the edge is repeated."""
    middles = mesh[:, list(OUTER_LIPS)].mean(dim=1)
    line = ((torch.arange(window_px, device=mesh.device) * 2 + 1) / window_px - 1) * MOUTH_HALF_SIDE
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    grid = torch.stack([columns, rows], dim=2) + middles[:, None, None]
    return functional.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False)


def discriminator_hinge(real: list[list[Tensor]], generated: list[list[Tensor]]) -> Float[Tensor, ""]:
    """Computes the hinge loss of a discriminator, averaged over its scales.

    Args:
        real: Maps of real pictures, a list for each scale; logits come last.
        generated: Maps of generated pictures.

    Reference: Lim and Ye, 2017, Geometric GAN.
    """
    losses = [
        functional.relu(1 - ours[-1].float()).mean() + functional.relu(1 + theirs[-1].float()).mean()
        for ours, theirs in zip(real, generated, strict=True)
    ]
    return torch.stack(losses).mean()


def generator_hinge(generated: list[list[Tensor]]) -> Float[Tensor, ""]:
    """Computes the hinge loss of a generator, averaged over the scales: minus the mean logit, without a bound."""
    return torch.stack([-scale[-1].float().mean() for scale in generated]).mean()


def feature_matching(generated: list[list[Tensor]], target: list[list[Tensor]]) -> Float[Tensor, ""]:
    """Computes the mean absolute difference of all maps but the logits, summed over maps, averaged over scales.

    The first map is the picture itself, so the published pixel loss is part of it (docs/decisions/0016).
    """
    scales = zip(generated, target, strict=True)
    pairs = [zip(ours[:-1], theirs[:-1], strict=True) for ours, theirs in scales]
    differences = [(a.float() - b.float().detach()).abs().mean() for a, b in itertools.chain.from_iterable(pairs)]
    return torch.stack(differences).sum() / len(generated)


def r1_penalty(maps: list[list[Tensor]], pictures: Tensor) -> Float[Tensor, ""]:
    """Computes the squared gradient of the logits at real pictures (R1).

    Args:
        maps: Maps of the pictures, a list for each scale; logits come last.
        pictures: Real pictures with a gradient.

    Reference: Mescheder et al., ICML 2018.
    """
    logits = torch.stack([scale[-1].float().mean(dim=(1, 2, 3)).sum() for scale in maps]).sum()
    (gradient,) = torch.autograd.grad(logits, pictures, create_graph=True)
    return gradient.float().square().sum(dim=(1, 2, 3)).mean()
