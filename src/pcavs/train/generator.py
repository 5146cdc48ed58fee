"""Stage `generator`: rebuild frame k from the identity picture, the speech at k and the augmented frame k."""

import dataclasses
import functools

import torch
from torch import Tensor, nn

from pcavs.data.library import Library
from pcavs.models.discriminator import MultiscaleDiscriminator
from pcavs.models.generator import Codes
from pcavs.models.talker import Talker
from pcavs.spec import exact_div
from pcavs.train.adversarial import R1_EVERY, Judge
from pcavs.train.bind import Bound, bind
from pcavs.train.options import TrainOptions
from pcavs.train.rebuild import FlowRebuilder
from pcavs.train.stage import Drawn, Learner, Phase, Scratch, Terms, TrainingHeads, draw, weigh
from pcavs.train.sync import SyncStage
from pcavs.train.weights import FLOW_GENERATOR, JUDGE, chosen

SYNC_SIZE = {"clips": 4, "moments": 16}
"""Of the sync steps between: few moments a clip teach who speaks, many teach when."""

SPEECH_SHARE = 0.6
"""Share of heard targets driven by speech; the others are driven by the content seen, the easier teacher."""

JUDGE_WIDTHS = (32, 64, 128, 128)
"""Of the flow talker's judges: its pictures keep the person's own texture, so less has to be told apart."""


class GeneratorStage:
    """Reconstruction; every network learns, but rebuilding frames never teaches the pose or the content head.

    A pose head that reconstruction may train carries the mouth (docs/decisions/0003).
    """

    def __init__(self, talker: Talker, heads: TrainingHeads, library: Library, options: TrainOptions) -> None:
        """Trains all parts of the talker, and the judges that the options ask for."""
        self._talker, self._heads, self._library, self._options = talker, heads, library, options
        self._weights = chosen(FLOW_GENERATOR | JUDGE, options.term_weights)
        self._sync = SyncStage(talker, heads, library, dataclasses.replace(options, **SYNC_SIZE))
        self._rebuilder = FlowRebuilder(talker, options.moments, options.colour_from_step)
        self._judges = build_judges(options.judges, library.frame_px)
        self.modules = nn.ModuleDict({"talker": talker, "heads": heads})
        self.modules.update({f"{judge.name}_judge": judge for judge in self._judges})
        self.learners = {"talker": Learner(nn.ModuleDict({"talker": talker, "heads": heads}))}
        self.phases = (
            Phase("sync", "talker", self._bind, self._is_sync),
            Phase("rebuild", "talker", self._rebuild, self._is_rebuild),
        )
        for judge in self._judges:
            name = f"{judge.name}_judge"
            self.learners[name] = Learner(nn.ModuleDict({name: judge}), options.judge_rate, (0.0, 0.99))
            self.phases += (
                Phase(name, name, functools.partial(self._judge, judge), self._is_rebuild),
                Phase(f"{judge.name}_r1", name, functools.partial(self._calm, judge), self._is_r1),
            )

    def batch(self, step: int) -> Drawn:
        """Draws clips of all kinds, silent ones too."""
        options = self._options
        if self._is_sync(step):
            return self._sync.batch(step)
        return draw(self._library, options.seed, step, (options.clips, options.moments), heard_only=False)

    def _bind(self, drawn: Drawn, step: int, scratch: Scratch) -> tuple[Tensor, Terms]:
        loss, terms = self._sync.loss(drawn, step, scratch)
        return loss, {f"sync_{name}": value for name, value in terms.items()}

    def _rebuild(self, drawn: Drawn, step: int, scratch: Scratch) -> tuple[Tensor, Terms]:
        bound = bind(self._talker, self._heads, drawn, self._options.moments)
        made, terms = self._rebuilder.rebuild(drawn.batch, self._choose(bound, drawn), step)
        for judge in self._judges:
            terms |= judge.charge(made, drawn.batch.target, drawn.batch.target_mesh)
        scratch["made"] = made.detach()
        terms = bound.terms | terms
        return weigh(terms, self._weights), terms

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
        by_speech = (first < SPEECH_SHARE) & (batch.heard > 0)
        content = torch.where(by_speech[:, None], bound.heard, bound.seen.content.detach())
        pose = torch.where((second < 0.5)[:, None], batch.pose, bound.seen.pose.detach().float())
        return Codes(content, pose)


def build_judges(names: tuple[str, ...], frame_px: int) -> list[Judge]:
    """Builds untrained judges: `face` of whole pictures at two scales, `mouth` of three eighths of a side."""
    built: list[Judge] = []
    if "mouth" in names:
        built.append(Judge("mouth", MultiscaleDiscriminator(1, JUDGE_WIDTHS[:3]), exact_div(frame_px * 3, 8)))
    if "face" in names:
        built.append(Judge("face", MultiscaleDiscriminator(2, JUDGE_WIDTHS)))
    return built
