"""Stage `sync`: speech content, heard and seen, meets in one space; the pose head learns the head's pose."""

from torch import Tensor, nn

from pcavs.data.library import Library
from pcavs.models.talker import Talker
from pcavs.train.bind import bind
from pcavs.train.options import TrainOptions
from pcavs.train.stage import Drawn, Learner, Phase, Scratch, Terms, TrainingHeads, draw, weigh
from pcavs.train.weights import SYNC, chosen


class SyncStage:
    """Contrastive pretraining of the motion and speech encoders (Zhou et al., CVPR 2021, section 3.2)."""

    def __init__(self, talker: Talker, heads: TrainingHeads, library: Library, options: TrainOptions) -> None:
        """Trains the two encoders and the heads; generator and identity encoder stay out."""
        self.modules = nn.ModuleDict({"talker": talker, "heads": heads})
        self.learners = {
            "talker": Learner(nn.ModuleDict({"motion": talker.motion, "speech": talker.speech, "heads": heads}))
        }
        self.phases = (Phase("bind", "talker", self.loss),)
        self._talker, self._heads, self._library, self._options = talker, heads, library, options
        self._weights = chosen(SYNC, options.term_weights)

    def batch(self, step: int) -> Drawn:
        """Draws clips with speech only."""
        options = self._options
        return draw(self._library, options.seed, step, (options.clips, options.moments), heard_only=True)

    def loss(self, drawn: Drawn, step: int, scratch: Scratch) -> tuple[Tensor, Terms]:
        """Weighs the terms of `bind.bind`."""
        terms = bind(self._talker, self._heads, drawn, self._options.moments).terms
        return weigh(terms, self._weights), terms
