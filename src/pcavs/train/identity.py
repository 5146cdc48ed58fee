"""Stage `identity`: pretrains the identity encoder as a classifier of speakers."""

from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pcavs.data.corpus import Corpus
from pcavs.models.paper import PaperModel
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

MARGIN_SCALE: Final = 16.0
"""Factor on the cosines where a margin is used: cosines alone would make all speakers nearly equally likely. CosFace
uses 64 for thousands of people; tuned by hand for hundreds, not measured."""


class SpeakerClassifier(nn.Module):
    """Predicts the speaker from the identity vector, in training only.

    With a margin, the right speaker's cosine must exceed the others' by it.

    Reference: Wang et al., CosFace, CVPR 2018, equation 4.
    """

    def __init__(self, identity_dim: int, num_speakers: int, margin: float = 0.0) -> None:
        """Builds a linear layer; without a margin it is used as published."""
        super().__init__()
        self.margin = margin
        self.linear = nn.Linear(identity_dim, num_speakers)

    def forward(self, vectors: Float[Tensor, "batch identity"]) -> Float[Tensor, "batch speakers"]:
        """Computes logits, without the margin."""
        if self.margin == 0:
            return self.linear(vectors.float())
        weights = functional.normalize(self.linear.weight.float(), dim=1)
        return functional.normalize(vectors.float(), dim=1) @ weights.T * MARGIN_SCALE

    def loss(self, vectors: Tensor, speakers: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the cross-entropy, and the share of vectors whose speaker is predicted."""
        logits = self(vectors)
        accuracy = (logits.argmax(dim=1) == speakers).float().mean()
        if self.margin:
            logits = logits - functional.one_hot(speakers, logits.shape[1]) * self.margin * MARGIN_SCALE
        return functional.cross_entropy(logits, speakers), accuracy


class IdentityStage:
    """Classification of speakers, on photographs and video frames alike.

    Reference: Zhou et al., CVPR 2021, section 3.1.
    """

    def __init__(
        self,
        model: Model,
        heads: TrainingHeads,
        corpus: Corpus,
        options: TrainOptions,
        world: World = SINGLE_PROCESS,
    ) -> None:
        """Trains the identity encoder, and a classifier that the talker does not keep."""
        classifier = SpeakerClassifier(identity_dim(model), len(corpus.speakers), options.margin)
        trained = nn.ModuleDict({"identity": model.identity, "classifier": classifier})
        self.modules = nn.ModuleDict({"model": model, "heads": heads, "classifier": classifier})
        self.learners = {"identity": Learner(trained, **(PUBLISHED_LEARNER if options.losses == "published" else {}))}
        self.phases = (Phase("classify", "identity", self.loss),)
        self._model, self._classifier, self._corpus = model, classifier, corpus
        self._sampler = make_sampler(options, world)
        self._weights = weights_of("identity", options.kind, options.losses, options.term_weights)

    def batch(self, step: int) -> StepBatch:
        """Draws clips with and without speech."""
        return self._sampler.sample(self._corpus, step)

    def loss(self, inputs: StepBatch, step: int, scratch: Scratch) -> tuple[Tensor, Terms]:
        """Classifies identity frames as they are, and targets after the motion encoder's augmentation."""
        batch = inputs.batch
        moments = len(batch.target) // len(batch.identity)
        faces = torch.cat([batch.identity, inputs.augmented])
        speakers = torch.cat([batch.speaker, batch.speaker.repeat_interleave(moments)])
        loss, accuracy = self._classifier.loss(identity_vectors(self._model, faces), speakers)
        terms = {"identity": loss, "speaker_accuracy": accuracy}
        return weighted_sum(terms, self._weights), terms


def identity_dim(model: Model) -> int:
    """Returns the length of the identity vector."""
    if isinstance(model, PaperModel):
        return model.identity.seed.in_channels
    return model.identity.head.out_features


def identity_vectors(model: Model, faces: Tensor) -> Tensor:
    """Encodes faces, RGB in [-1, 1], into identity vectors: (batch, identity)."""
    return model.identity(faces).vector
