"""What the stages share: one shape, the heads that only training needs, and the losses that bind sound to sight."""

import math
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pcavs.data.augment import destroy_identity
from pcavs.data.library import Batch, Library
from pcavs.models.motion import Motion
from pcavs.models.talker import Talker
from pcavs.spec import TalkerSpec
from pcavs.train.losses import masked_mean, retrieval, retrieval_within

POSE_WEIGHTS = (1.0,) * 9 + (2.0, 2.0, 2.0)
"""Translation and scale move every pixel, a column of the rotation only some."""

MAX_SCALE = 50.0
"""Bound of the inverse temperature: above it a batch's noise decides."""


@runtime_checkable
class Stage(Protocol):
    """Owns losses; the loop owns optimiser, schedule and checkpoints."""

    modules: nn.ModuleDict

    def batch(self, step: int) -> Batch:
        """Draws the batch of a step: a pure function of seed and step."""
        ...

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Gives what to minimise, and the terms for the journal, named as their weights are."""
        ...


class TrainingHeads(nn.Module):
    """What only training needs: the temperature of the contrast and a reading of lips from content."""

    def __init__(self, spec: TalkerSpec, lip_numbers: int) -> None:
        """Starts at a temperature of 0.1."""
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.lips = nn.Linear(spec.flow.content_dim, lip_numbers)

    @property
    def scale(self) -> Tensor:
        """Inverse temperature, bounded."""
        return self.log_scale.exp().clamp(1.0, MAX_SCALE)

    def read_lips(self, content: Tensor) -> Tensor:
        """Lip shape minus the clip's average, in centimetres, from content of either kind."""
        return self.lips(functional.normalize(content.float(), dim=1) * content.shape[1] ** 0.5)


class Bound(NamedTuple):
    """Codes of a batch's targets, and the terms that bind them."""

    seen: Motion
    heard: Tensor
    terms: dict[str, Tensor]


def step_rng(seed: int, step: int) -> np.random.Generator:
    """The randomness of one step, the same however often training was interrupted before it."""
    return np.random.default_rng([seed, step])


def bind(talker: Talker, heads: TrainingHeads, batch: Batch, moments: int, generator: torch.Generator) -> Bound:
    """Encodes augmented targets and their speech, and measures how well each says what the other does.

    Terms: `across` and `within` (contrast against everything, and against other moments of the same clip),
    `meet` (speech regresses the content seen), `lips_seen` and `lips_heard` (lip shape read from content),
    `pose` (the twelve numbers).
    """
    augmented = destroy_identity(batch.target.cpu(), generator).to(batch.target.device)
    seen: Motion = talker.motion(augmented)
    heard = talker.encode_speech(batch.mel)
    audible = batch.heard > 0
    terms: dict[str, Tensor] = {}
    if bool(audible.any()):
        terms["across"], terms["found_across"] = retrieval(seen.content[audible], heard[audible], heads.scale)
        terms["within"], terms["found_within"] = retrieval_within(
            seen.content[audible], heard[audible], moments, heads.scale
        )
        meet = 1 - functional.cosine_similarity(heard.float(), seen.content.detach().float(), dim=1)
        terms["meet"] = masked_mean(meet, batch.heard)
        terms["lips_heard"] = masked_mean(_lips_error(heads, heard, batch), batch.heard)
    terms["lips_seen"] = _lips_error(heads, seen.content, batch).mean()
    weights = torch.tensor(POSE_WEIGHTS, device=batch.pose.device)
    terms["pose"] = ((seen.pose.float() - batch.pose).abs() * weights).mean()
    return Bound(seen, heard, terms)


def _lips_error(heads: TrainingHeads, content: Tensor, batch: Batch) -> Tensor:
    # A millimetre of the mean lip point is the size of much of speech; in centimetres the error would vanish.
    return functional.smooth_l1_loss(heads.read_lips(content) * 10, batch.lips * 10, reduction="none").mean(dim=1)


def draw(library: Library, seed: int, step: int, clips: int, moments: int, *, heard_only: bool) -> Batch:
    """Draws the batch of a step."""
    return library.batch(step_rng(seed, step), clips, moments, heard_only=heard_only)


def weigh(terms: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
    """Sums the weighted terms; terms without a weight are only watched."""
    return torch.stack([terms[name] * weight for name, weight in weights.items() if name in terms]).sum()
