"""Stage `sync`: trains the motion and speech encoders, so that speech content and visual content share a space."""

from torch import Tensor, nn

from pcavs.data.corpus import Corpus
from pcavs.train.contrast import ContrastiveLoss
from pcavs.train.loss_weights import weights_of
from pcavs.train.options import TrainOptions
from pcavs.train.stage import (
    PUBLISHED_LEARNER,
    SINGLE_PROCESS,
    Learner,
    Model,
    Phase,
    Scratch,
    StepBatch,
    Terms,
    TrainingHeads,
    World,
    make_sampler,
    weighted_sum,
)


class SyncStage:
    """Contrastive pretraining of the motion and speech encoders, and supervision of the pose head.

    Reference: Zhou et al., CVPR 2021, section 3.2.
    """

    def __init__(
        self,
        model: Model,
        heads: TrainingHeads,
        corpus: Corpus,
        options: TrainOptions,
        world: World = SINGLE_PROCESS,
    ) -> None:
        """Trains the two encoders and the heads; generator and identity encoder are left as they are."""
        trained = nn.ModuleDict({"motion": model.motion, "speech": model.speech, "heads": heads})
        self.modules = nn.ModuleDict({"model": model, "heads": heads})
        self.learners = {"model": Learner(trained, **(PUBLISHED_LEARNER if options.losses == "published" else {}))}
        self.phases = (Phase("contrast", "model", self.loss),)
        self._contrast, self._corpus = ContrastiveLoss(model, heads, options, world), corpus
        self._sampler = make_sampler(options, world, heard_only=True)
        self._weights = weights_of("sync", options.kind, options.losses, options.term_weights)

    def batch(self, step: int) -> StepBatch:
        """Draws clips with speech."""
        return self._sampler.sample(self._corpus, step)

    def loss(self, inputs: StepBatch, step: int, scratch: Scratch) -> tuple[Tensor, Terms]:
        """Sums the terms of `ContrastiveLoss.encode`, weighted."""
        terms = self._contrast.encode(inputs).terms
        return weighted_sum(terms, self._weights), terms
