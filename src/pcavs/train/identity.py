"""Stage `identity`: the identity encoder learns to tell people apart, before anything is generated."""

import torch
from torch import Tensor, nn

from pcavs.data.corpus import Corpus
from pcavs.models.paper import PaperModel
from pcavs.train.options import TrainOptions
from pcavs.train.perceive import SpeakerClassifier
from pcavs.train.stage import (
    ALONE,
    PUBLISHED_LEARNER,
    AnyTalker,
    Crew,
    Drawn,
    Learner,
    Phase,
    Scratch,
    Terms,
    TrainingHeads,
    drawing,
    weigh,
)
from pcavs.train.weights import weights_of


class IdentityStage:
    """Classification of speakers (Zhou et al., CVPR 2021, section 3.1), on stills and clips alike."""

    def __init__(
        self, talker: AnyTalker, heads: TrainingHeads, library: Corpus, options: TrainOptions, crew: Crew = ALONE
    ) -> None:
        """Trains the identity encoder, and a classifier that the talker does not keep."""
        classifier = SpeakerClassifier(identity_dim(talker), len(library.speakers), options.margin)
        trained = nn.ModuleDict({"identity": talker.identity, "classifier": classifier})
        self.modules = nn.ModuleDict({"talker": talker, "heads": heads, "classifier": classifier})
        self.learners = {"identity": Learner(trained, **(PUBLISHED_LEARNER if options.losses == "published" else {}))}
        self.phases = (Phase("classify", "identity", self.loss),)
        self._talker, self._classifier, self._library = talker, classifier, library
        self._drawing = drawing(options, crew)
        self._weights = weights_of("identity", options.kind, options.losses, options.term_weights)

    def batch(self, step: int) -> Drawn:
        """Draws clips of all kinds; every frame is a face to name."""
        return self._drawing.draw(self._library, step)

    def loss(self, drawn: Drawn, step: int, scratch: Scratch) -> tuple[Tensor, Terms]:
        """Names the speaker of each frame, as it is and augmented."""
        batch = drawn.batch
        moments = len(batch.target) // len(batch.identity)
        faces = torch.cat([batch.identity, drawn.augmented])
        speakers = torch.cat([batch.speaker, batch.speaker.repeat_interleave(moments)])
        cost, right = self._classifier.loss(identity_vectors(self._talker, faces), speakers)
        terms = {"identity": cost, "named": right}
        return weigh(terms, self._weights), terms


def identity_dim(talker: AnyTalker) -> int:
    """Length of the identity vector."""
    if isinstance(talker, PaperModel):
        return talker.identity.seed.in_channels
    return talker.identity.head.out_features


def identity_vectors(talker: AnyTalker, faces: Tensor) -> Tensor:
    """Encodes faces, RGB in [-1, 1], into identity vectors alone."""
    return talker.identity(faces).vector
