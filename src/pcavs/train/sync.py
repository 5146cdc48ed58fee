"""Stage `sync`: speech content, heard and seen, meets in one space; the pose head learns the head's pose."""

from torch import Tensor, nn

from pcavs.data.corpus import Corpus
from pcavs.train.bind import Binder
from pcavs.train.options import TrainOptions
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


class SyncStage:
    """Contrastive pretraining of the motion and speech encoders (Zhou et al., CVPR 2021, section 3.2)."""

    def __init__(
        self, talker: AnyTalker, heads: TrainingHeads, library: Corpus, options: TrainOptions, crew: Crew = ALONE
    ) -> None:
        """Trains the two encoders and the heads; generator and identity encoder stay out."""
        trained = nn.ModuleDict({"motion": talker.motion, "speech": talker.speech, "heads": heads})
        self.modules = nn.ModuleDict({"talker": talker, "heads": heads})
        self.learners = {"talker": Learner(trained, **(PUBLISHED_LEARNER if options.losses == "published" else {}))}
        self.phases = (Phase("bind", "talker", self.loss),)
        self._binder, self._library = Binder(talker, heads, options, crew), library
        self._drawing = drawing(options, crew, heard_only=True)
        self._weights = weights_of("sync", options.kind, options.losses, options.term_weights)

    def batch(self, step: int) -> Drawn:
        """Draws clips with speech only."""
        return self._drawing.draw(self._library, step)

    def loss(self, drawn: Drawn, step: int, scratch: Scratch) -> tuple[Tensor, Terms]:
        """Weighs the terms of `bind.Binder`."""
        terms = self._binder.bind(drawn).terms
        return weigh(terms, self._weights), terms
