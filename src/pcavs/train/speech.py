"""Stage `speech`: trains the speech encoder alone, on stretches of speech with lip shapes.

Most clips need no pictures: lip shapes are landmarks, and tracks of synthetic voices have no more than these. Where a
clip has faces, its speech content is also tied to the visual content that the motion encoder reads from them; the
motion encoder stays as it is, so that the generator still understands the content.
"""

from typing import Final, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
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
from pcavs.train.visual_content import VisualContents

STRETCH_FRAMES: Final = 64
"""Consecutive frames of a clip in a batch (2.56 s). Tuned by hand; not measured."""

SPEED_SCALE: Final = 2.0
"""Factor on the differences between consecutive lip shapes before their error is taken, as they are smaller than the
shapes' own. Tuned by hand; not measured."""

READOUT_CLIPS: Final = 200
"""Largest number of clips with faces that the lip readout is fitted to."""

READOUT_RIDGE: Final = 1e-3
"""Weight of the squared coefficients in the fit of the lip readout, against the mean over frames. Tuned by hand; not
measured."""


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
        visual: VisualContents | None = None,
    ) -> None:
        """Fits the lip readout to visual content; then only the speech encoder and the contrast's temperature learn.

        Args:
            model: The talker.
            heads: What only training needs.
            corpus: The clips.
            options: Settings of the run.
            world: The processes that train together.
            visual: Visual content of the corpus by the model's motion encoder; None reads it.

        Raises:
            InputError: The speech encoder hears mel windows, which this stage has none of, or no clip has faces.
        """
        if not isinstance(model.speech, StateEncoder):
            raise InputError("stage speech trains on speech features; add --features whisper")
        self._model, self._speech, self._heads = model, model.speech, heads
        self._corpus, self._options, self._rank = corpus, options, world.rank
        self._visual = visual or VisualContents(model.motion, corpus)
        fit_readout(heads, self._visual, corpus)
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
        - `lips_seen`: error of the lip shape read from visual content; recorded only.
        - `cross_modal`: one minus the cosine between speech content and visual content.
        - `across`: cross-entropy of finding each moment's speech among the batch's by its face, and the reverse. Other
          moments of the same clip are among the negatives. `found_across` is recorded only.
        """
        batch = inputs.batch
        content = self._speech.sequence(batch.states)
        # The readout is fixed: else speech content could say the lips in directions that the generator does not know.
        read = self._heads.read_lips(content.flatten(0, 1), trained=False).unflatten(0, content.shape[:2])
        terms: Terms = {
            "lips_heard": _error(read, batch.lips),
            "lips_speed": _error(read.diff(dim=1) * SPEED_SCALE, batch.lips.diff(dim=1) * SPEED_SCALE),
        }
        has_faces = [self._corpus.entries[clip].faces for clip in batch.clip.tolist()]
        if any(has_faces):
            terms |= self._seen_terms(content, batch, torch.tensor(has_faces, device=content.device))
        return weighted_sum(terms, self._weights), terms

    def _seen_terms(
        self, content: Float[Tensor, "clips frames content"], batch: SpeechBatch, has_faces: Bool[Tensor, " clips"]
    ) -> Terms:
        """Computes the terms of the clips with faces."""
        pairs = zip(batch.clip[has_faces].tolist(), batch.shown[has_faces].cpu(), strict=True)
        visual = torch.stack([self._visual.of(clip)[shown] for clip, shown in pairs]).to(content.device)
        said, lips = content[has_faces], batch.lips[has_faces]
        moments = batch.moments[has_faces]
        rows = torch.arange(len(moments), device=moments.device)[:, None]
        across, found = contrast_across(
            visual[rows, moments].flatten(0, 1), said[rows, moments].flatten(0, 1), self._heads.scale
        )
        read = self._heads.read_lips(visual.flatten(0, 1), trained=False).unflatten(0, visual.shape[:2])
        return {
            "lips_seen": _error(read, lips),
            "cross_modal": (1 - functional.cosine_similarity(said.float(), visual, dim=-1)).mean(),
            "across": across,
            "found_across": found,
        }


@torch.no_grad()
def fit_readout(heads: TrainingHeads, visual: VisualContents, corpus: Corpus) -> None:
    """Sets the linear readout of lip shape by ridge regression on the visual content of clips with faces.

    Raises:
        InputError: No clip has faces.
    """
    with_faces = [number for number, entry in enumerate(corpus.entries) if entry.faces]
    if not with_faces:
        raise InputError("stage speech needs some clips with faces; add packs of `pcavs pack` to the lip tracks")
    content, lips = [], []
    for number in with_faces[:: -(-len(with_faces) // READOUT_CLIPS)]:
        clip = corpus.open_clip(number)
        content.append(heads.direction(visual.of(number)).double())
        lips.append(torch.from_numpy(clip.lips.astype(np.float64) - clip.mean_lips))
    inputs = functional.pad(torch.cat(content), (0, 1), value=1.0)
    ridge = READOUT_RIDGE * len(inputs) * torch.eye(inputs.shape[1], dtype=torch.float64)
    solution = torch.linalg.solve(inputs.T @ inputs + ridge, inputs.T @ torch.cat(lips))
    heads.lips.weight.copy_(solution[:-1].T)
    heads.lips.bias.copy_(solution[-1])


def _error(read: Tensor, wanted: Tensor) -> Tensor:
    return functional.smooth_l1_loss(read.float() * LIP_UNITS_PER_CM, wanted * LIP_UNITS_PER_CM)
