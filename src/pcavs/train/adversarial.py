"""Judges: discriminators of the whole face or of the mouth, and what they charge for."""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.face.regions import OUTER_LIPS
from pcavs.models.discriminator import MultiscaleDiscriminator
from pcavs.train.stage import Terms

MOUTH_HALF = 0.36
"""Half the side of the mouth's window, the face spanning [-1, 1]: lips, teeth and the skin that moves with them."""

R1_EVERY = 16
"""Steps between gradient penalties: as good as at every step, for a sixteenth of it (Karras et al., CVPR 2020)."""


class Judge(nn.Module):
    """Tells real pictures from made ones."""

    def __init__(self, name: str, discriminator: MultiscaleDiscriminator, window_px: int | None = None) -> None:
        """Judges whole pictures, or windows of `window_px` about the mouth."""
        super().__init__()
        self.name, self.window_px = name, window_px
        self.discriminator = discriminator

    def look(
        self, pictures: Float[Tensor, "batch 3 side side"], mesh: Float[Tensor, "batch 478 2"]
    ) -> Float[Tensor, "batch 3 window window"]:
        """Cuts out what this judge sees."""
        return pictures if self.window_px is None else mouth_windows(pictures, mesh, self.window_px)

    def charge(self, made: Tensor, target: Tensor, mesh: Tensor) -> Terms:
        """What the maker of a picture pays: for being found out, and for features unlike the target's."""
        judged = self.discriminator(self.look(made, mesh))
        with torch.no_grad():
            wanted = self.discriminator(self.look(target, mesh))
        return {
            f"{self.name}_adversarial": fooling(judged),
            f"{self.name}_features": matching(judged, wanted),
        }

    def learn(self, made: Tensor, target: Tensor, mesh: Tensor) -> Terms:
        """What the judge pays for its mistakes; how sure it is of either kind is only watched."""
        found = self.discriminator(self.look(target, mesh))
        thought = self.discriminator(self.look(made, mesh))
        return {
            f"{self.name}_judge": telling(found, thought),
            f"{self.name}_real": torch.stack([scale[-1].float().mean() for scale in found]).mean(),
            f"{self.name}_made": torch.stack([scale[-1].float().mean() for scale in thought]).mean(),
        }

    def calm(self, target: Tensor, mesh: Tensor) -> Terms:
        """What the judge pays for steep judgements about real pictures (R1); computed in float32."""
        with torch.autocast(target.device.type, enabled=False):
            real = self.look(target, mesh).detach().requires_grad_()
            return {f"{self.name}_steepness": steepness(self.discriminator(real), real)}


def mouth_windows(
    pictures: Float[Tensor, "batch 3 side side"], mesh: Float[Tensor, "batch 478 2"], window_px: int
) -> Float[Tensor, "batch 3 window window"]:
    """Cuts a square about the lips out of each picture; outside of the picture its edge goes on."""
    middles = mesh[:, list(OUTER_LIPS)].mean(dim=1)
    line = ((torch.arange(window_px, device=mesh.device) * 2 + 1) / window_px - 1) * MOUTH_HALF
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    grid = torch.stack([columns, rows], dim=2) + middles[:, None, None]
    return functional.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False)


def telling(real: list[list[Tensor]], made: list[list[Tensor]]) -> Float[Tensor, ""]:
    """Hinge loss of a discriminator, averaged over its scales (Lim and Ye, 2017)."""
    losses = [
        functional.relu(1 - ours[-1].float()).mean() + functional.relu(1 + theirs[-1].float()).mean()
        for ours, theirs in zip(real, made, strict=True)
    ]
    return torch.stack(losses).mean()


def fooling(made: list[list[Tensor]]) -> Float[Tensor, ""]:
    """Hinge loss of a maker of pictures, averaged over the scales; falls without bound as he is believed."""
    return torch.stack([-scale[-1].float().mean() for scale in made]).mean()


def matching(made: list[list[Tensor]], target: list[list[Tensor]]) -> Float[Tensor, ""]:
    """Mean absolute difference of the maps before the logits, summed over maps, averaged over scales.

    The first map is the picture itself, so this is the published pixel loss too (docs/decisions/0015).
    """
    scales = zip(made, target, strict=True)
    pairs = [zip(ours[:-1], theirs[:-1], strict=True) for ours, theirs in scales]
    differences = [(a.float() - b.float().detach()).abs().mean() for a, b in itertools.chain.from_iterable(pairs)]
    return torch.stack(differences).sum() / len(made)


def steepness(judged: list[list[Tensor]], pictures: Tensor) -> Float[Tensor, ""]:
    """Squared gradient of the logits at real pictures, R1 (Mescheder et al., ICML 2018)."""
    logits = torch.stack([scale[-1].float().mean(dim=(1, 2, 3)).sum() for scale in judged]).sum()
    (gradient,) = torch.autograd.grad(logits, pictures, create_graph=True)
    return gradient.float().square().sum(dim=(1, 2, 3)).mean()
