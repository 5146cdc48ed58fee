"""Stage `speech`: trains the speech encoder alone, on stretches of speech with lip shapes.

Most clips need no pictures: lip shapes are landmarks, and tracks of synthetic voices have no more than these. Where a
clip has faces, its speech content is also tied to the visual content that the motion encoder reads from some of them;
the motion encoder stays as it is, so that the generator still understands the content.
"""

from typing import Final, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from pcavs.data.corpus import Corpus, SpeechBatch
from pcavs.errors import InputError
from pcavs.models.speech import StateEncoder
from pcavs.train.contrast import LIP_UNITS_PER_CM
from pcavs.train.loss_weights import weights_of
from pcavs.train.losses import contrast_across
from pcavs.train.options import TrainOptions
from pcavs.train.stage import (
    SINGLE_PROCESS,
    Learner,
    Model,
    Phase,
    Scratch,
    Terms,
    TrainingHeads,
    World,
    step_rng,
    weighted_sum,
)

STRETCH_FRAMES: Final = 64
"""Consecutive frames of a clip in a batch (2.56 s). Tuned by hand; not measured."""

SPEED_SCALE: Final = 2.0
"""Factor on the differences between consecutive lip shapes before their error is taken, as they are smaller than the
shapes' own. Tuned by hand; not measured."""


class SpeechStepBatch(NamedTuple):
    """A batch of stage `speech`."""

    batch: SpeechBatch

    def to(self, device: torch.device) -> "SpeechStepBatch":
        """Copies every tensor to a device."""
        return SpeechStepBatch(SpeechBatch(*(tensor.to(device, non_blocking=True) for tensor in self.batch)))


class SpeechStage:
    """Pretraining of the speech encoder on lip shapes, and on the visual content of clips with faces."""

    def __init__(
        self,
        model: Model,
        heads: TrainingHeads,
        corpus: Corpus,
        options: TrainOptions,
        world: World = SINGLE_PROCESS,
    ) -> None:
        """Trains the speech encoder and the heads; motion encoder, identity encoder and generator stay as they are.

        Raises:
            InputError: The speech encoder hears mel windows, which this stage has none of.
        """
        if not isinstance(model.speech, StateEncoder):
            raise InputError("stage speech trains on speech features; add --features whisper")
        self._model, self._speech, self._heads = model, model.speech, heads
        self._corpus, self._options, self._rank = corpus, options, world.rank
        self.modules = nn.ModuleDict({"model": model, "heads": heads})
        self.learners = {"model": Learner(nn.ModuleDict({"speech": model.speech, "heads": heads}))}
        self.phases = (Phase("speech", "model", self.loss),)
        self._weights = weights_of("speech", options.kind, options.losses, options.term_weights)

    def batch(self, step: int) -> SpeechStepBatch:
        """Draws stretches of clips with speech, with or without faces."""
        rng = step_rng(self._options.seed, step, self._rank)
        options = self._options
        return SpeechStepBatch(self._corpus.stretches(rng, options.clips, STRETCH_FRAMES, options.moments))

    def loss(self, inputs: SpeechStepBatch, step: int, scratch: Scratch) -> tuple[Tensor, Terms]:
        """Sums the weighted terms of a batch.

        - `lips_heard`, `lips_speed`: error of the lip shape read from speech content, and of its change from frame to
          frame.
        - `lips_seen`: error of the lip shape read from visual content; trains the readout alone.
        - `cross_modal`: one minus the cosine between speech content and visual content.
        - `across`: cross-entropy of finding each face's speech among the batch's, and the reverse. Other moments of the
          same clip are among the negatives. `found_across` is recorded only.
        """
        batch = inputs.batch
        content = self._speech.sequence(batch.states)
        # The readout learns from visual content alone: else speech content could say the lips in directions of its own,
        # which the generator does not know.
        read = self._heads.read_lips(content.flatten(0, 1), trained=False).unflatten(0, content.shape[:2])
        terms: Terms = {
            "lips_heard": _error(read, batch.lips),
            "lips_speed": _error(read.diff(dim=1) * SPEED_SCALE, batch.lips.diff(dim=1) * SPEED_SCALE),
        }
        if len(batch.target):
            terms |= self._seen_terms(content, batch)
        return weighted_sum(terms, self._weights), terms

    def _seen_terms(self, content: Float[Tensor, "clips frames content"], batch: SpeechBatch) -> Terms:
        """Computes the terms of the frames whose faces were read."""
        was_training = self._model.motion.training
        self._model.motion.eval()
        with torch.no_grad():
            visual = self._model.motion(batch.target).content
        self._model.motion.train(was_training)
        said = chosen(content, batch.target_clip, batch.target_frame)
        lips = chosen(batch.lips, batch.target_clip, batch.target_frame)
        across, found = contrast_across(visual, said, self._heads.scale)
        return {
            "lips_seen": _error(self._heads.read_lips(visual), lips),
            "cross_modal": (1 - functional.cosine_similarity(said.float(), visual.float(), dim=1)).mean(),
            "across": across,
            "found_across": found,
        }


def chosen(
    rows: Float[Tensor, "clips frames numbers"], clip: Int[Tensor, " targets"], frame: Int[Tensor, " targets"]
) -> Float[Tensor, "targets numbers"]:
    """Picks single frames of clips."""
    return rows[clip, frame]


def _error(read: Tensor, wanted: Tensor) -> Tensor:
    return functional.smooth_l1_loss(read.float() * LIP_UNITS_PER_CM, wanted * LIP_UNITS_PER_CM)
