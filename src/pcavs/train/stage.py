"""One shape for all stages: modules, learners, and a list of phases that the loop just runs."""

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.data.augment import AUGMENTATIONS, Augmentation
from pcavs.data.corpus import Batch, Corpus
from pcavs.data.voices import VOICES, VoiceChange
from pcavs.models.flow import FlowModel
from pcavs.models.paper import PaperModel
from pcavs.spec import TalkerSpec
from pcavs.train.looks import LOOKS, LookChange
from pcavs.train.options import TrainOptions, joined_frames

MAX_SCALE = 50.0
"""Bound of the inverse temperature: above it a batch's noise decides."""

RANK_SEEDS = 999_999_937
"""Between the seeds of two processes: a prime that no run's seed and step reach."""

LOOK_SEEDS = 500_000_003
"""From a step's seed to that of its looks."""

AnyTalker: TypeAlias = FlowModel | PaperModel

Terms: TypeAlias = dict[str, Tensor]
"""Scalars by journal name, not yet weighted; terms without a weight are only watched."""

Scratch: TypeAlias = dict[str, Tensor]
"""What earlier phases of the same step made for later ones, cut from their gradients."""


class Drawn(NamedTuple):
    """A batch with all the randomness of its step: what a loss gives follows from it and the weights alone."""

    batch: Batch
    augmented: Float[Tensor, "targets 3 side side"]
    """The targets as the motion encoder sees them: what a face looks like is destroyed."""
    chance: Float[Tensor, "2 targets"]
    """Uniform numbers for the choices of a loss."""

    def to(self, device: torch.device) -> "Drawn":
        """Moves every tensor."""
        batch = Batch(*(tensor.to(device, non_blocking=True) for tensor in self.batch))
        return Drawn(batch, self.augmented.to(device, non_blocking=True), self.chance.to(device, non_blocking=True))


def _alone(tensor: Tensor) -> Tensor:
    return tensor


class Crew(NamedTuple):
    """What a stage must know of the other processes."""

    rank: int = 0
    gather: Callable[[Tensor], Tensor] = _alone
    """Joins the rows of all processes."""

    def mean(self, value: Tensor) -> Tensor:
        """Averages a scalar that needs no gradient over the processes."""
        return self.gather(value.detach()[None]).mean()


ALONE: Final = Crew()


class Learner(NamedTuple):
    """Networks that share an optimiser."""

    modules: nn.ModuleDict
    rate: float = 1.0
    """Times the run's learning rate."""
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    amsgrad: bool = False


PUBLISHED_LEARNER: Final[dict[str, Any]] = {"betas": (0.0, 0.9), "weight_decay": 0.0, "amsgrad": True}
"""Of the published code; its discriminators learn without amsgrad."""


class Phase(NamedTuple):
    """What one optimiser does in a step."""

    name: str
    learner: str
    loss: Callable[[Drawn, int, Scratch], tuple[Tensor, Terms]]
    """Gives what to minimise, and the terms for the journal, from batch, step and the phases before it."""
    due: Callable[[int], bool] = lambda step: True
    """Tells whether a step has this phase."""


@runtime_checkable
class Stage(Protocol):
    """Owns modules, learners and losses; the loop owns schedule, optimisers and checkpoints."""

    modules: nn.ModuleDict
    """Everything that a checkpoint must keep: `talker`, `heads`, and what the stage adds."""
    learners: dict[str, Learner]
    phases: tuple[Phase, ...]
    """Run in this order."""

    def batch(self, step: int) -> Drawn:
        """Draws the batch of a step: a pure function of seed and step."""
        ...


class TrainingHeads(nn.Module):
    """What only training needs: the temperature of the contrast and a reading of lips from content."""

    def __init__(self, spec: TalkerSpec, lip_numbers: int) -> None:
        """Starts at a temperature of 0.1."""
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.lips = nn.Linear(spec.sizes.content_dim, lip_numbers)

    @property
    def scale(self) -> Tensor:
        """Inverse temperature, bounded."""
        return self.log_scale.exp().clamp(1.0, MAX_SCALE)

    def read_lips(self, content: Tensor) -> Tensor:
        """Lip shape minus the clip's average, in centimetres, from content of either kind."""
        return self.lips(functional.normalize(content.float(), dim=1) * content.shape[1] ** 0.5)


def step_rng(seed: int, step: int, rank: int = 0) -> np.random.Generator:
    """The randomness of one step of one process, the same however often training was interrupted before it."""
    return np.random.default_rng([seed, step, rank] if rank else [seed, step])


class Drawing(NamedTuple):
    """How the batches of a stage are drawn."""

    seed: int
    clips: int
    moments: int
    augment: Augmentation
    heard_only: bool = False
    rank: int = 0
    """Number of this process."""
    joined: int = 1
    """Consecutive frames of a moment."""
    deaf: bool = False
    """Every clip counts as one without speech."""
    voices: VoiceChange = VOICES["kept"]
    looks: LookChange = LOOKS["kept"]

    def draw(self, library: Corpus, step: int) -> Drawn:
        """Draws the batch of a step, which differs from process to process."""
        rng = step_rng(self.seed, step, self.rank)
        batch = library.batch(rng, self.clips, self.moments, joined=self.joined, heard_only=self.heard_only)
        if self.deaf:
            batch = batch._replace(heard=torch.zeros_like(batch.heard))
        seed = self.seed * 1_000_003 + step + self.rank * RANK_SEEDS
        # Its own, so that augmentation and chance are the same whether looks change or not.
        batch = self.looks(batch, torch.Generator().manual_seed(seed + LOOK_SEEDS))
        generator = torch.Generator().manual_seed(seed)
        augmented = self.augment(batch.target, self.moments * self.joined, generator)
        chance = torch.rand(2, len(batch.heard), generator=generator)
        # Last, so that faces and chance are the same whether voices change or not.
        mel = self.voices(batch.mel, self.moments * self.joined, generator)
        return Drawn(batch._replace(mel=mel), augmented, chance)


def drawing(options: TrainOptions, crew: Crew, *, heard_only: bool = False) -> Drawing:
    """Draws as the options say."""
    augment = AUGMENTATIONS[options.augmentation]
    return Drawing(
        seed=options.seed,
        clips=options.clips,
        moments=options.moments,
        augment=augment,
        heard_only=heard_only,
        rank=crew.rank,
        joined=joined_frames(options),
        deaf=options.stage == "visual",
        voices=VOICES[options.voices],
        looks=LOOKS[options.looks],
    )


def weigh(terms: Terms, weights: dict[str, float]) -> Tensor:
    """Sums the weighted terms."""
    return torch.stack([terms[name] * weight for name, weight in weights.items() if name in terms]).sum()
