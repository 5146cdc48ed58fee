"""Training, one flat recipe: read it from top to bottom."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pcavs.data.library import Library
from pcavs.data.pack import find_packs
from pcavs.errors import DataError, InputError
from pcavs.models.state import tensors_of
from pcavs.models.talker import build_flow
from pcavs.spec import TINY_FLOW, TINY_PAPER, FlowSpec, PaperSpec, TalkerSpec
from pcavs.train.checkpoint import Position, RunFolder, load_checkpoint, load_judges, load_start
from pcavs.train.generator import GeneratorStage
from pcavs.train.identity import IdentityStage
from pcavs.train.journal import Journal
from pcavs.train.options import TrainOptions, verify
from pcavs.train.preview import preview, validate
from pcavs.train.rebuild import Rebuilder, make_rebuilder
from pcavs.train.stage import AnyTalker, Drawn, Learner, Stage, TrainingHeads
from pcavs.train.sync import SyncStage

logger = logging.getLogger(__name__)

LARGEST_GRADIENT = 5.0
"""Norm to which a larger gradient is cut."""

STAGES = {"identity": IdentityStage, "visual": GeneratorStage, "sync": SyncStage, "generator": GeneratorStage}


def run(options: TrainOptions) -> Path:
    """Trains one stage and gives its last checkpoint; an existing run goes on where it was saved.

    Raises:
        InputError: Two settings disagree.
        DataError: The packs are missing, damaged or of another size than the talker.
        WeightsError: `start` or a checkpoint does not fit.
        OutputError: The run folder cannot be written.
    """
    verify(options)
    session = _start(options)
    talker, stage, average = session.talker, session.stage, session.average
    journal = Journal(options)

    done, seconds = session.position
    step = done
    began = saved = time.monotonic()
    session.live.train()
    for step, drawn, waited in _batches(stage, done, options.steps, session.device):
        rate = learning_rate(options, step)
        values = _take(session, drawn, step, rate)
        if values is None:
            journal.skip(step, rate)
        else:
            _update(average, talker, options.ema, step)
            journal.add(step, rate, waited, values)

        now = time.monotonic()
        stop = options.stop_minutes is not None and now - began > options.stop_minutes * 60
        if stop or now - saved > options.save_minutes * 60 or step == options.steps:
            saved = now
            position = Position(step, seconds + now - began)
            session.folder.save(position, session.spec, session.live, average, session.optimizers)
            _look(session, journal, step)
        if stop:
            break
    logger.info("stopped at step %d of %d", step, options.steps)
    return session.folder.checkpoints()[-1]


class _Session(NamedTuple):
    """All that a run works with, built or resumed."""

    device: torch.device
    spec: TalkerSpec
    talker: AnyTalker
    live: nn.ModuleDict
    """Talker, heads, and what the stage adds."""
    stage: Stage
    optimizers: dict[str, torch.optim.Optimizer]
    """By learner."""
    precision: str
    seed: int
    average: dict[str, Tensor]
    """Running average of the talker's weights: what is validated, and shipped."""
    rebuilder: Rebuilder
    """For validation and previews."""
    seen: Library
    """Clips for validation and previews."""
    folder: RunFolder
    position: Position


def _start(options: TrainOptions) -> _Session:
    device = _device(options)
    packs = find_packs(options.packs)
    library = Library.load(packs, "train", dict(options.source_weights))
    tiny = options.size == "tiny"
    spec = TalkerSpec(
        kind=options.kind, flow=TINY_FLOW if tiny else FlowSpec(), paper=TINY_PAPER if tiny else PaperSpec()
    )
    if library.frame_px != spec.sizes.frame_px:
        raise DataError(
            f"packs hold faces of {library.frame_px} px, the talker needs {spec.sizes.frame_px}; pack again"
        )

    torch.manual_seed(options.seed)
    talker = build_flow(spec.flow, spec.mel)
    heads = TrainingHeads(spec, library.clips[0].lips.shape[1])
    if options.start:
        # Before the stage is built: a perceptual loss looks through the encoder that it starts with.
        load_start(options.start, nn.ModuleDict({"talker": talker, "heads": heads}))
    stage: Stage = STAGES[options.stage](talker, heads, library, options)
    live = stage.modules
    if options.start:
        load_judges(options.start, live)
    live.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - missing in torch's types
    optimizers = {name: _optimizer(learner, options) for name, learner in stage.learners.items()}
    average = {name: torch.from_numpy(value) for name, value in tensors_of(talker).items()}
    folder, position = RunFolder(options.run), Position(0, 0.0)
    if folder.checkpoints():
        position, average = load_checkpoint(folder.checkpoints()[-1], live, optimizers)
        logger.info("resumed at step %d", position.step)
    average = {name: value.to(device) for name, value in average.items()}
    return _Session(
        device=device,
        spec=spec,
        talker=talker,
        live=live,
        stage=stage,
        optimizers=optimizers,
        precision=options.precision,
        seed=options.seed,
        average=average,
        rebuilder=make_rebuilder(talker, options),
        seen=_seen(packs, library),
        folder=folder,
        position=position,
    )


def _optimizer(learner: Learner, options: TrainOptions) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        learner.modules.parameters(),
        lr=options.lr * learner.rate,
        betas=learner.betas,
        weight_decay=learner.weight_decay,
        amsgrad=learner.amsgrad,
    )


def learning_rate(options: TrainOptions, step: int) -> float:
    """Rises over the warm-up, holds, falls over the decay (first step is 1)."""
    rise = min(1.0, step / max(1, options.warmup_steps))
    fall = min(1.0, (options.steps - step + 1) / max(1, options.decay_steps))
    return options.lr * rise * fall


def _device(options: TrainOptions) -> torch.device:
    if options.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda is asked for, and torch finds none here; use --device cpu or auto")
    if options.device != "auto":
        return torch.device(options.device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _seen(packs: list[Path], library: Library) -> Library:
    """Held-out clips; the training's own where none with speech are held out."""
    try:
        held_out = Library.load(packs, "val")
    except DataError:
        held_out = None
    if held_out is not None and held_out.num_heard:
        return held_out
    logger.warning("no clip with speech is held out: validation looks at clips that training sees")
    return library


def _batches(stage: Stage, done: int, steps: int, device: torch.device) -> Iterator[tuple[int, Drawn, float]]:
    """Draws one batch ahead in a thread; gives step, batch and the seconds waited for it."""
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(stage.batch, done + 1)
        for step in range(done + 1, steps + 1):
            asked = time.monotonic()
            drawn = ahead.result()
            waited = time.monotonic() - asked
            if step < steps:
                ahead = pool.submit(stage.batch, step + 1)
            yield step, drawn.to(device), waited


def _take(session: _Session, drawn: Drawn, step: int, rate: float) -> dict[str, Tensor] | None:
    """Runs the phases of a step; gives the journal's values, or nothing where a gradient was not finite."""
    scratch: dict[str, Tensor] = {}
    values: dict[str, Tensor] = {}
    buffers = [(buffer, buffer.clone()) for buffer in session.live.buffers()]
    for phase in session.stage.phases:
        if not phase.due(step):
            continue
        learner, optimizer = session.stage.learners[phase.learner], session.optimizers[phase.learner]
        for group in optimizer.param_groups:
            group["lr"] = rate * learner.rate
        # What another learner owns lets gradients through, but is given none.
        session.live.requires_grad_(False)
        learner.modules.requires_grad_(True)
        # Dropout and the paper generator's noise draw from the global state, so that a resumed step draws the same.
        torch.manual_seed(session.seed * 1_000_003 + step)
        with torch.autocast(session.device.type, torch.bfloat16, enabled=session.precision == "bf16-mixed"):
            loss, terms = phase.loss(drawn, step, scratch)
        optimizer.zero_grad(set_to_none=True)
        norm = _gradient(learner, loss)
        if not bool(torch.isfinite(norm)):
            # The batch has been through the normalisations: their running statistics hold it already.
            for buffer, before in buffers:
                buffer.copy_(before)
            return None
        optimizer.step()
        first = not values
        values |= ({"loss": loss, "gradient": norm} if first else {f"{phase.name}_gradient": norm}) | terms
    return values


def _gradient(learner: Learner, loss: Tensor) -> Tensor:
    """Fills the gradients and gives their norm before it was cut."""
    if not bool(torch.isfinite(loss)):
        # Backwards through a warp, a flow of NaN would read outside of the picture and end the process.
        return loss.detach()
    loss.backward()
    return nn.utils.clip_grad_norm_(learner.modules.parameters(), LARGEST_GRADIENT)


@torch.no_grad()
def _update(average: dict[str, Tensor], talker: AnyTalker, memory: float, step: int) -> None:
    # A young average would remember the random start for thousands of steps.
    share = 1 - min(memory, (step + 1) / (step + 10))
    for name, value in talker.state_dict().items():
        if name in average:
            average[name].lerp_(value.float(), share)


def _look(session: _Session, journal: Journal, step: int) -> None:
    """Validates and pictures the running average, then puts the live weights back."""
    talker = session.talker
    live = {name: value.clone() for name, value in talker.state_dict().items()}
    talker.load_state_dict(session.average, strict=False)
    talker.eval()
    journal.row({"step": step, "validation": validate(talker, session.rebuilder, session.seen)})
    preview(talker, session.rebuilder, session.seen, session.folder.folder / "previews" / f"{step:08d}.png")
    talker.load_state_dict(live)
    talker.train()
