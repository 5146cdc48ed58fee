"""Stages `generator` and `visual`: reconstruct frame k of a clip from the identity frame and the codes of frame k.

In stage `generator` the content comes from speech, in stage `visual` from the augmented frame itself.
"""

import dataclasses
import functools
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pcavs.data.corpus import Batch, Corpus
from pcavs.models.discriminator import PUBLISHED_WIDTHS, MultiscaleDiscriminator
from pcavs.models.generator import Codes
from pcavs.spec import exact_div
from pcavs.train.adversarial import R1_INTERVAL, Discriminator
from pcavs.train.contrast import ContrastiveLoss, EncodedTargets
from pcavs.train.identity import SpeakerClassifier, identity_dim
from pcavs.train.loss_weights import weights_of
from pcavs.train.options import TrainOptions
from pcavs.train.perceptual import PerceptualLoss, identity_perceptual_loss, vgg_perceptual_loss
from pcavs.train.reconstruction import Reconstructed, make_reconstruction, pixel_trust
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
from pcavs.train.sync import SyncStage

SYNC_STEP: Final = {"stage": "sync", "clips": 4, "moments": 16}
"""Settings of the sync steps between (`sync_every`): many moments of few clips, because the other moments of a clip are
the negatives that teach timing."""

SPEECH_SHARE: Final = 0.85
"""Share of the targets with speech that are driven by speech content; the others are driven by visual content, which is
more exact. At 0.85 instead of 0.6, in a run that also changed the audio augmentation, films followed speech better
(dev/LOG.md)."""

TRUE_POSE_SHARE: Final = 0.5
"""Share of the targets driven by the labelled pose code; the others are driven by the pose head's, so that the
generator learns to take both. Tuned by hand; not measured."""

DISCRIMINATOR_WIDTHS: Final = (32, 64, 128, 128)
"""Channels of the face discriminator by default; of the mouth's, the first three. About a sixth of the published
network's parameters, since a `flow` talker keeps the photograph's texture. Tuned by hand; not measured."""

MOUTH_WINDOW: Final = (3, 8)
"""Side of the mouth discriminator's input as a fraction of the crop's side, numerator and denominator. The window
covers 0.36 of the side (`MOUTH_HALF_SIDE`), so its pixels are about as large as the crop's."""

PUBLISHED_DISCRIMINATOR_BETAS: Final = (0.0, 0.9)
DISCRIMINATOR_BETAS: Final = (0.0, 0.99)
"""Adam's decay rates without a first moment. Reference: Karras et al., CVPR 2020."""
DISCRIMINATOR_WEIGHT_DECAY: Final = 0.01
"""Weight decay of AdamW: torch's default. Not tuned."""


class GeneratorStage:
    """Reconstruction, with the contrast of stage `sync` and optional discriminators beside it.

    All networks are trained, but no reconstruction loss reaches a supervised pose head or the content head: else they
    would carry the mouth past the speech (docs/decisions/0006). `pose_head="free"` trains the pose head by
    reconstruction, as published. In stage `visual`, which has no speech, reconstruction trains the content head too.

    Reference: Zhou et al., CVPR 2021, section 3.3.
    """

    def __init__(
        self,
        model: Model,
        heads: TrainingHeads,
        corpus: Corpus,
        options: TrainOptions,
        world: World = SINGLE_PROCESS,
    ) -> None:
        """Builds the losses, the classifier and the discriminators that the options ask for."""
        self._corpus, self._options = corpus, options
        self._weights = weights_of(options.stage, options.kind, options.losses, options.term_weights)
        self._sampler = make_sampler(options, world)
        self._contrast = ContrastiveLoss(model, heads, options, world)
        self._reconstruction = make_reconstruction(model, options, world)
        self._sync = SyncStage(model, heads, corpus, dataclasses.replace(options, **SYNC_STEP), world)
        self._discriminators = build_discriminators(options, corpus.frame_px)
        self.modules = nn.ModuleDict({"model": model, "heads": heads})
        trained = nn.ModuleDict({"model": model, "heads": heads})
        if options.trained == "face":
            trained = nn.ModuleDict({"identity": model.identity, "generator": model.generator})
        self._prior = Prior(trained, options.prior) if options.prior > 0 else None
        self._classifier: SpeakerClassifier | None = None
        if self._weights.get("identity", 0) > 0:
            self._classifier = SpeakerClassifier(identity_dim(model), len(corpus.speakers), options.margin)
            self.modules["classifier"] = trained["classifier"] = self._classifier
        self._perceptual: PerceptualLoss | None = None
        if self._weights.get("perceptual", 0) > 0:
            self._perceptual = (
                vgg_perceptual_loss(options.vgg) if options.vgg else identity_perceptual_loss(model.identity)
            )
            self.modules["perceptual"] = self._perceptual
        published = PUBLISHED_LEARNER if options.losses == "published" else {}
        self.learners = {"model": Learner(trained, generator_rate=options.generator_rate, **published)}
        self.phases = (
            Phase("sync", "model", self._sync_loss, self._is_sync),
            Phase("reconstruct", "model", self._loss, self._is_reconstruction),
        )
        for discriminator in self._discriminators:
            self._add(discriminator, published=bool(published))

    def batch(self, step: int) -> StepBatch:
        """Draws clips with and without speech; of a sync step, clips with speech."""
        return self._sync.batch(step) if self._is_sync(step) else self._sampler.sample(self._corpus, step)

    def _add(self, discriminator: Discriminator, *, published: bool) -> None:
        """Adds a discriminator's learner and its phases, which follow the generator's."""
        name = f"{discriminator.name}_discriminator"
        self.modules[name] = discriminator
        betas, decay = DISCRIMINATOR_BETAS, DISCRIMINATOR_WEIGHT_DECAY
        if published:
            betas, decay = PUBLISHED_DISCRIMINATOR_BETAS, 0.0
        self.learners[name] = Learner(
            nn.ModuleDict({name: discriminator}), self._options.discriminator_rate, betas, decay
        )
        loss = functools.partial(self._discriminator_loss, discriminator)
        self.phases += (Phase(name, name, loss, self._is_reconstruction),)
        if not published:
            penalty = functools.partial(self._penalty, discriminator)
            self.phases += (Phase(f"{discriminator.name}_r1", name, penalty, self._is_penalty),)

    def _sync_loss(self, inputs: StepBatch, step: int, scratch: Scratch) -> tuple[Tensor, Terms]:
        loss, terms = self._sync.loss(inputs, step, scratch)
        return loss, {f"sync_{name}": value for name, value in terms.items()}

    def _loss(self, inputs: StepBatch, step: int, scratch: Scratch) -> tuple[Tensor, Terms]:
        batch = inputs.batch
        encoded = self._contrast.encode(inputs)
        output = self._reconstruction.reconstruct(batch, self._driving_codes(encoded, inputs), step)
        terms = encoded.terms | output.terms | self._identity_terms(output, inputs)
        generated, target = (greyed(pictures, batch) for pictures in (output.pictures, batch.target))
        for discriminator in self._discriminators:
            terms |= discriminator.generator_terms(generated, target, batch.target_mesh)
        scratch["generated"] = output.pictures.detach()
        loss = weighted_sum(terms, self._weights)
        if self._prior is not None:
            terms["prior"] = self._prior.distance()
            loss = loss + self._prior.weight * terms["prior"]
        return loss, terms

    def _identity_terms(self, output: Reconstructed, inputs: StepBatch) -> Terms:
        """Computes the speaker's classification and the perceptual distance, where they have a weight."""
        terms: Terms = {}
        if self._classifier is not None:
            speaker = inputs.batch.speaker
            terms["identity"], terms["speaker_accuracy"] = self._classifier.loss(output.vector, speaker)
        if self._perceptual is not None:
            pictures = (greyed(each, inputs.batch) for each in (output.pictures, inputs.batch.target))
            terms["perceptual"] = self._perceptual.distance(*pictures)
        return terms

    def _discriminator_loss(
        self, discriminator: Discriminator, inputs: StepBatch, step: int, scratch: Scratch
    ) -> tuple[Tensor, Terms]:
        batch = inputs.batch
        generated, target = (greyed(pictures, batch) for pictures in (scratch["generated"], batch.target))
        terms = discriminator.discriminator_terms(generated, target, batch.target_mesh)
        return weighted_sum(terms, self._weights), terms

    def _penalty(
        self, discriminator: Discriminator, inputs: StepBatch, step: int, scratch: Scratch
    ) -> tuple[Tensor, Terms]:
        batch = inputs.batch
        terms = discriminator.penalty_terms(greyed(batch.target, batch), batch.target_mesh)
        return weighted_sum(terms, self._weights), terms

    def _is_sync(self, step: int) -> bool:
        return self._options.sync_every > 0 and step % self._options.sync_every == 0

    def _is_reconstruction(self, step: int) -> bool:
        return not self._is_sync(step)

    def _is_penalty(self, step: int) -> bool:
        # One after a multiple of the interval: with `sync_every` of 2, all multiples are sync steps.
        return self._is_reconstruction(step) and step % R1_INTERVAL == 1

    def _driving_codes(self, encoded: EncodedTargets, inputs: StepBatch) -> Codes:
        """Chooses for each target speech or visual content, and the labelled or the pose head's pose code."""
        batch, (first, second) = inputs.batch, inputs.uniform
        visual = encoded.visual
        if self._options.stage == "visual":
            content = visual.content
        else:
            share = 1.0 if self._options.losses == "published" else SPEECH_SHARE
            by_speech = (first < share) & (batch.heard > 0)
            content = torch.where(by_speech[:, None], encoded.speech, visual.content.detach())
        if self._options.pose_head == "free":
            return Codes(content, visual.pose)
        by_label = second < TRUE_POSE_SHARE
        return Codes(content, torch.where(by_label[:, None], batch.pose, visual.pose.detach().float()))


def greyed(pictures: Float[Tensor, "targets 3 side side"], batch: Batch) -> Float[Tensor, "targets 3 side side"]:
    """Fades pictures to mid-grey where the targets' pixels were invented, as they count less (`pixel_trust`).

    Done to generated and real pictures alike, it hides from a network that compares them what need not be copied, and
    scales the gradients there. Pictures without invented pixels stay as they are.
    """
    return pictures * pixel_trust(batch)


class Prior:
    """A penalty on the distance of trained weights from those that the run started with.

    Reference: Li et al., Explicit inductive bias for transfer learning, ICML 2018 (L2-SP).
    """

    def __init__(self, modules: nn.Module, weight: float) -> None:
        """Copies the present weights."""
        self.weight = weight
        self._parameters = list(modules.parameters())
        self._starts = [parameter.detach().clone() for parameter in self._parameters]
        self._size = torch.stack([start.square().sum() for start in self._starts]).sum()

    def distance(self) -> Tensor:
        """Computes the squared distance from the start, in percent of the start's squared norm."""
        device = self._parameters[0].device
        self._starts = [start.to(device) for start in self._starts]
        squares = [(now - start).square().sum() for now, start in zip(self._parameters, self._starts, strict=True)]
        return torch.stack(squares).sum() / self._size.to(device) * 100


def build_discriminators(options: TrainOptions, frame_px: int) -> list[Discriminator]:
    """Builds untrained discriminators: `mouth` at one scale, `face` at two."""
    published_size = options.kind == "paper" and options.size == "default"
    built: list[Discriminator] = []
    if "mouth" in options.discriminators:
        window_px = exact_div(frame_px * MOUTH_WINDOW[0], MOUTH_WINDOW[1])
        built.append(Discriminator("mouth", MultiscaleDiscriminator(1, DISCRIMINATOR_WIDTHS[:3]), window_px))
    if "face" in options.discriminators:
        widths = PUBLISHED_WIDTHS if published_size else DISCRIMINATOR_WIDTHS
        built.append(Discriminator("face", MultiscaleDiscriminator(2, widths)))
    return built
