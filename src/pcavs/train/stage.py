"""What all training stages share: their protocol, the draw of a step's inputs, and the heads that only training needs.

A stage names modules, learners (modules that share an optimiser) and phases (a loss, its learner, and the steps in
which it is due). The loop in `run.py` only runs the phases (docs/decisions/0017).
"""

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.data.augment import AUGMENTATIONS, Augmentation
from pcavs.data.augment_audio import augment_audio
from pcavs.data.corpus import Batch, Corpus
from pcavs.models.flow import FlowModel
from pcavs.models.paper import PaperModel
from pcavs.spec import TalkerSpec
from pcavs.train.augment_appearance import augment_appearance
from pcavs.train.options import TrainOptions, joined_frames

START_SCALE: Final = 10.0
"""Inverse temperature of the contrast at the start of training. Tuned by hand; not measured."""

MAX_SCALE: Final = 50.0
"""Upper bound of the inverse temperature: beyond it the noise of a batch decides the loss. Tuned by hand; not
measured."""

SEED_STRIDE: Final = 1_000_003
"""Distance between the seeds of two runs, a prime above any number of steps, so that runs do not share draws."""

RANK_SEEDS: Final = 999_999_937
"""Distance between the seeds of two processes of a run, a prime that small seeds and their steps do not reach."""

APPEARANCE_SEEDS: Final = 500_000_003
"""Distance from a step's seed to that of its appearance augmentation."""

Model: TypeAlias = FlowModel | PaperModel
"""The networks of a talker."""

Terms: TypeAlias = dict[str, Tensor]
"""Scalars by journal name, not yet weighted. Terms without a weight are only recorded."""

Scratch: TypeAlias = dict[str, Tensor]
"""Detached tensors that phases of a step hand to later phases of the same step."""


class StepBatch(NamedTuple):
    """A batch with all random choices of its step: losses are functions of it and of the weights alone."""

    batch: Batch
    augmented: Float[Tensor, "targets 3 side side"]
    """Targets as the motion encoder sees them, RGB in [-1, 1] (`data.augment`)."""
    uniform: Float[Tensor, "2 targets"]
    """Random numbers in [0, 1) for the choices of a loss."""

    def to(self, device: torch.device) -> "StepBatch":
        """Copies every tensor to a device."""
        batch = Batch(*(tensor.to(device, non_blocking=True) for tensor in self.batch))
        augmented, uniform = (x.to(device, non_blocking=True) for x in (self.augmented, self.uniform))
        return StepBatch(batch, augmented, uniform)


@runtime_checkable
class Inputs(Protocol):
    """The batch of a step; each stage has a type of its own."""

    def to(self, device: torch.device) -> "Inputs":
        """Copies every tensor to a device."""
        ...


def _identity(tensor: Tensor) -> Tensor:
    return tensor


class World(NamedTuple):
    """What a stage needs to know of the processes of a run."""

    rank: int = 0
    """Number of this process."""
    gather: Callable[[Tensor], Tensor] = _identity
    """Concatenates the rows of all processes; gradients flow back."""

    def mean(self, value: Tensor) -> Tensor:
        """Averages a scalar over the processes, without a gradient."""
        return self.gather(value.detach()[None]).mean()


SINGLE_PROCESS: Final = World()


class Learner(NamedTuple):
    """Modules that share an AdamW optimiser, and its settings."""

    modules: nn.ModuleDict
    rate: float = 1.0
    """Factor on the run's learning rate."""
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    amsgrad: bool = False
    generator_rate: float = 1.0
    """Factor on the rate of those modules whose name is `generator`."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Returns the parameters with the factor on their rate: one group where all have the same."""
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in self.modules.named_parameters():
            factor = self.generator_rate if "generator" in name.split(".") else 1.0
            groups.setdefault(factor, []).append(parameter)
        return [{"params": parameters, "factor": factor} for factor, parameters in groups.items()]


PUBLISHED_LEARNER: Final[dict[str, Any]] = {"betas": (0.0, 0.9), "weight_decay": 0.0, "amsgrad": True}
"""The published code's optimiser; its discriminators use the same without amsgrad."""


class Phase(NamedTuple):
    """One update of one learner within a step."""

    name: str
    learner: str
    loss: Callable[[Any, int, Scratch], tuple[Tensor, Terms]]
    """Returns the loss to minimise and the terms for the journal, from batch, step and earlier phases' tensors."""
    due: Callable[[int], bool] = lambda step: True
    """Whether a step has this phase."""


@runtime_checkable
class Stage(Protocol):
    """One kind of training: owns modules, learners and losses; the loop owns schedule, optimisers and checkpoints."""

    modules: nn.ModuleDict
    """Everything that a checkpoint must keep: `model`, `heads`, and what the stage adds."""
    learners: dict[str, Learner]
    phases: tuple[Phase, ...]
    """In the order in which a step runs them."""

    def batch(self, step: int) -> Inputs:
        """Draws the batch of a step: a function of the run's seed and the step alone. It is what phases take."""
        ...


class TrainingHeads(nn.Module):
    """Parameters that only training needs: the contrast's temperature, and a linear readout of lip shape."""

    def __init__(self, spec: TalkerSpec, lip_numbers: int) -> None:
        """Builds the heads.

        Args:
            spec: Spec of the talker.
            lip_numbers: Length of a lip shape.
        """
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(START_SCALE)))
        self.lips = nn.Linear(spec.sizes.content_dim, lip_numbers)

    @property
    def scale(self) -> Tensor:
        """Inverse temperature of the contrast, 1 to `MAX_SCALE`."""
        return self.log_scale.exp().clamp(1.0, MAX_SCALE)

    def read_lips(self, content: Tensor, *, trained: bool = True) -> Tensor:
        """Reads the lip shape minus its clip's mean, in centimetres, from visual or speech content.

        Content is normalised to unit mean square first, because only its direction matters to the contrast. Without
        `trained` the loss on the result does not train the readout.
        """
        direction = self.direction(content)
        if trained:
            return self.lips(direction)
        return functional.linear(direction, self.lips.weight.detach(), self.lips.bias.detach())

    def direction(self, content: Float[Tensor, "batch content"]) -> Float[Tensor, "batch content"]:
        """Normalises content to unit mean square."""
        return functional.normalize(content.float(), dim=1) * content.shape[1] ** 0.5


def step_rng(seed: int, step: int, rank: int = 0) -> np.random.Generator:
    """Returns the random generator of one step of one process; it does not depend on earlier steps."""
    return np.random.default_rng([seed, step, rank] if rank else [seed, step])


def torch_seed(seed: int, step: int, rank: int = 0) -> int:
    """Returns the seed of torch's generators for one step of one process."""
    return seed * SEED_STRIDE + step + rank * RANK_SEEDS


class BatchSampler(NamedTuple):
    """Draws the batches of a stage."""

    seed: int
    clips: int
    moments: int
    augment: Augmentation
    """Of the motion encoder's input."""
    heard_only: bool = False
    """Draws clips with speech only."""
    rank: int = 0
    """Number of this process; each draws different batches."""
    joined: int = 1
    """Consecutive frames of a moment."""
    without_speech: bool = False
    """Marks every clip as one without speech."""
    augment_audio: bool = False
    augment_appearance: bool = False

    def sample(self, corpus: Corpus, step: int) -> StepBatch:
        """Draws the batch of a step.

        Each augmentation takes its randomness from where it does not change the others' draws, so that runs with and
        without it see the same clips and frames.
        """
        rng = step_rng(self.seed, step, self.rank)
        batch = corpus.batch(rng, self.clips, self.moments, joined=self.joined, heard_only=self.heard_only)
        if self.without_speech:
            batch = batch._replace(heard=torch.zeros_like(batch.heard))
        seed = torch_seed(self.seed, step, self.rank)
        if self.augment_appearance:
            batch = augment_appearance(batch, torch.Generator().manual_seed(seed + APPEARANCE_SEEDS))
        generator = torch.Generator().manual_seed(seed)
        frames = self.moments * self.joined
        augmented = self.augment(batch.target, frames, generator)
        uniform = torch.rand(2, len(batch.heard), generator=generator)
        if self.augment_audio:
            batch = batch._replace(speech=augment_audio(batch.speech, frames, generator))
        return StepBatch(batch, augmented, uniform)


def make_sampler(options: TrainOptions, world: World, *, heard_only: bool = False) -> BatchSampler:
    """Builds the sampler that the options ask for."""
    return BatchSampler(
        seed=options.seed,
        clips=options.clips,
        moments=options.moments,
        augment=AUGMENTATIONS[options.augmentation],
        heard_only=heard_only,
        rank=world.rank,
        joined=joined_frames(options),
        without_speech=options.stage == "visual",
        augment_audio=options.augment_audio,
        augment_appearance=options.augment_appearance,
    )


def weighted_sum(terms: Terms, weights: dict[str, float]) -> Tensor:
    """Sums the terms that have a weight, times it."""
    return torch.stack([terms[name] * weight for name, weight in weights.items() if name in terms]).sum()
