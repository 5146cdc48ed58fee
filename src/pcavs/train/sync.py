"""Stage `sync`: speech content, heard and seen, meets in one space; the pose head learns the head's pose."""

import torch
from torch import Tensor, nn

from pcavs.data.library import Batch, Library
from pcavs.models.talker import Talker
from pcavs.train.options import TrainOptions
from pcavs.train.stage import TrainingHeads, bind, draw, weigh

WEIGHTS = {"across": 0.5, "within": 1.0, "meet": 0.5, "lips_seen": 1.0, "lips_heard": 1.0, "pose": 3.0}


class SyncStage:
    """Contrastive pretraining of the motion and speech encoders (Zhou et al., CVPR 2021, section 3.2)."""

    def __init__(self, talker: Talker, heads: TrainingHeads, library: Library, options: TrainOptions) -> None:
        """Trains the two encoders and the heads; generator and identity encoder stay out."""
        self.modules = nn.ModuleDict({"motion": talker.motion, "speech": talker.speech, "heads": heads})
        self._talker, self._heads, self._library, self._options = talker, heads, library, options

    def batch(self, step: int) -> Batch:
        """Draws clips with speech only."""
        options = self._options
        return draw(self._library, options.seed, step, options.clips, options.moments, heard_only=True)

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighs the terms of `stage.bind`."""
        generator = torch.Generator().manual_seed(self._options.seed * 1_000_003 + step)
        terms = bind(self._talker, self._heads, batch, self._options.moments, generator).terms
        return weigh(terms, WEIGHTS), terms
