"""Stages `generator` and `visual`: rebuild frame k from the identity frame, speech k and the augmented frame k."""

import dataclasses
import functools

import torch
from torch import Tensor, nn

from pcavs.data.corpus import Corpus
from pcavs.models.discriminator import PUBLISHED_WIDTHS, MultiscaleDiscriminator
from pcavs.models.generator import Codes
from pcavs.spec import exact_div
from pcavs.train.adversarial import R1_EVERY, Judge
from pcavs.train.bind import Binder, Bound
from pcavs.train.identity import identity_dim
from pcavs.train.options import TrainOptions
from pcavs.train.perceive import Perception, SpeakerClassifier, perceive_identity, perceive_vgg
from pcavs.train.rebuild import Rebuilt, make_rebuilder
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
from pcavs.train.sync import SyncStage
from pcavs.train.weights import weights_of

SYNC_STEP = {"stage": "sync", "clips": 4, "moments": 16}
"""Of the sync steps between: few moments a clip teach who speaks, many teach when."""

SPEECH_SHARE = 0.85
"""Share of heard targets driven by speech; the others are driven by the content seen, the easier teacher."""

TRUTH_SHARE = 0.5
"""Share of targets driven by the true pose, so that the generator means the same by it as the pose head does."""

JUDGE_WIDTHS = (32, 64, 128, 128)
"""Of the flow talker's judges: its pictures keep the person's own texture, so less has to be told apart."""


class GeneratorStage:
    """Reconstruction; every network learns, but rebuilding frames never teaches a supervised pose or content head.

    A pose head that reconstruction may train carries the mouth (docs/decisions/0003); `pose_head` of `free` lets it,
    as published. Stage `visual` hears nothing: the content seen drives, and reconstruction teaches it.
    """

    def __init__(
        self, talker: AnyTalker, heads: TrainingHeads, library: Corpus, options: TrainOptions, crew: Crew = ALONE
    ) -> None:
        """Trains all parts of the talker, and the judges that the options ask for."""
        self._library, self._options = library, options
        self._weights = weights_of(options.stage, options.kind, options.losses, options.term_weights)
        self._drawing = drawing(options, crew)
        self._binder, self._rebuilder = Binder(talker, heads, options, crew), make_rebuilder(talker, options, crew)
        self._sync = SyncStage(talker, heads, library, dataclasses.replace(options, **SYNC_STEP), crew)
        self._judges = build_judges(options, library.frame_px)
        self.modules = nn.ModuleDict({"talker": talker, "heads": heads})
        trained = nn.ModuleDict({"talker": talker, "heads": heads})
        if options.trained == "face":
            trained = nn.ModuleDict({"identity": talker.identity, "generator": talker.generator})
        self._prior = Prior(trained, options.prior) if options.prior > 0 else None
        self._classifier: SpeakerClassifier | None = None
        if self._weights.get("identity", 0) > 0:
            self._classifier = SpeakerClassifier(identity_dim(talker), len(library.speakers), options.margin)
            self.modules["classifier"] = trained["classifier"] = self._classifier
        self._perception: Perception | None = None
        if self._weights.get("perceptual", 0) > 0:
            self._perception = perceive_vgg(options.vgg) if options.vgg else perceive_identity(talker.identity)
            self.modules["perception"] = self._perception
        published = PUBLISHED_LEARNER if options.losses == "published" else {}
        self.learners = {"talker": Learner(trained, **published)}
        self.phases = (
            Phase("sync", "talker", self._bind, self._is_sync),
            Phase("rebuild", "talker", self._rebuild, self._is_rebuild),
        )
        for judge in self._judges:
            self._add(judge, published=bool(published))

    def batch(self, step: int) -> Drawn:
        """Draws clips of all kinds, silent ones too."""
        return self._sync.batch(step) if self._is_sync(step) else self._drawing.draw(self._library, step)

    def _add(self, judge: Judge, *, published: bool) -> None:
        name = f"{judge.name}_judge"
        self.modules[name] = judge
        betas, decay = ((0.0, 0.9), 0.0) if published else ((0.0, 0.99), 0.01)
        self.learners[name] = Learner(nn.ModuleDict({name: judge}), self._options.judge_rate, betas, decay)
        self.phases += (Phase(name, name, functools.partial(self._judge, judge), self._is_rebuild),)
        if not published:
            calm = functools.partial(self._calm, judge)
            self.phases += (Phase(f"{judge.name}_r1", name, calm, self._is_r1),)

    def _bind(self, drawn: Drawn, step: int, scratch: Scratch) -> tuple[Tensor, Terms]:
        loss, terms = self._sync.loss(drawn, step, scratch)
        return loss, {f"sync_{name}": value for name, value in terms.items()}

    def _rebuild(self, drawn: Drawn, step: int, scratch: Scratch) -> tuple[Tensor, Terms]:
        batch = drawn.batch
        bound = self._binder.bind(drawn)
        rebuilt = self._rebuilder.rebuild(batch, self._choose(bound, drawn), step)
        terms = bound.terms | rebuilt.terms | self._looks(rebuilt, drawn)
        for judge in self._judges:
            terms |= judge.charge(rebuilt.made, batch.target, batch.target_mesh)
        scratch["made"] = rebuilt.made.detach()
        loss = weigh(terms, self._weights)
        if self._prior is not None:
            terms["prior"] = self._prior.distance()
            loss = loss + self._prior.price * terms["prior"]
        return loss, terms

    def _looks(self, rebuilt: Rebuilt, drawn: Drawn) -> Terms:
        """Whose picture it is, and what a network that stands still sees in it."""
        terms: Terms = {}
        if self._classifier is not None:
            terms["identity"], terms["named"] = self._classifier.loss(rebuilt.vector, drawn.batch.speaker)
        if self._perception is not None:
            terms["perceptual"] = self._perception.distance(rebuilt.made, drawn.batch.target)
        return terms

    def _judge(self, judge: Judge, drawn: Drawn, step: int, scratch: Scratch) -> tuple[Tensor, Terms]:
        terms = judge.learn(scratch["made"], drawn.batch.target, drawn.batch.target_mesh)
        return weigh(terms, self._weights), terms

    def _calm(self, judge: Judge, drawn: Drawn, step: int, scratch: Scratch) -> tuple[Tensor, Terms]:
        terms = judge.calm(drawn.batch.target, drawn.batch.target_mesh)
        return weigh(terms, self._weights), terms

    def _is_sync(self, step: int) -> bool:
        return self._options.sync_every > 0 and step % self._options.sync_every == 0

    def _is_rebuild(self, step: int) -> bool:
        return not self._is_sync(step)

    def _is_r1(self, step: int) -> bool:
        # One after a multiple: with sync_every of 2, multiples are all sync steps.
        return self._is_rebuild(step) and step % R1_EVERY == 1

    def _choose(self, bound: Bound, drawn: Drawn) -> Codes:
        """Speech or sight for the content; the true pose or the pose head's for the pose."""
        batch, (first, second) = drawn.batch, drawn.chance
        seen = bound.seen
        if self._options.stage == "visual":
            content = seen.content
        else:
            share = 1.0 if self._options.losses == "published" else SPEECH_SHARE
            by_speech = (first < share) & (batch.heard > 0)
            content = torch.where(by_speech[:, None], bound.heard, seen.content.detach())
        if self._options.pose_head == "free":
            return Codes(content, seen.pose)
        by_truth = second < TRUTH_SHARE
        return Codes(content, torch.where(by_truth[:, None], batch.pose, seen.pose.detach().float()))


class Prior:
    """Where trained weights started, and how far they are from it."""

    def __init__(self, modules: nn.Module, price: float) -> None:
        """Remembers the weights as they are now."""
        self.price = price
        self._parameters = list(modules.parameters())
        self._starts = [parameter.detach().clone() for parameter in self._parameters]
        self._size = torch.stack([start.square().sum() for start in self._starts]).sum()

    def distance(self) -> Tensor:
        """Squared distance from the start, as a share of the start's squared size, in percent."""
        device = self._parameters[0].device
        self._starts = [start.to(device) for start in self._starts]
        apart = [(now - start).square().sum() for now, start in zip(self._parameters, self._starts, strict=True)]
        return torch.stack(apart).sum() / self._size.to(device) * 100


def build_judges(options: TrainOptions, frame_px: int) -> list[Judge]:
    """Builds untrained judges: `mouth` of three eighths of a side, `face` of whole pictures at two scales."""
    widths = PUBLISHED_WIDTHS if options.kind == "paper" and options.size == "default" else JUDGE_WIDTHS
    built: list[Judge] = []
    if "mouth" in options.judges:
        built.append(Judge("mouth", MultiscaleDiscriminator(1, JUDGE_WIDTHS[:3]), exact_div(frame_px * 3, 8)))
    if "face" in options.judges:
        built.append(Judge("face", MultiscaleDiscriminator(2, widths)))
    return built
