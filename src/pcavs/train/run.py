"""Training, one flat recipe: read it from top to bottom."""

import contextlib
import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from pcavs.train.checkpoint import Position, keep_weights
from pcavs.train.journal import Journal
from pcavs.train.machine import Machine, begin_training
from pcavs.train.options import TrainOptions, verify
from pcavs.train.preview import SCORES, preview, validate
from pcavs.train.probe import probe_pose
from pcavs.train.session import Session, start
from pcavs.train.stage import RANK_SEEDS, AnyTalker, Drawn, Stage

logger = logging.getLogger(__name__)


def run(options: TrainOptions) -> Path:
    """Trains one stage and gives its last checkpoint; an existing run goes on where it was saved.

    Asked to end (SIGTERM, as by a queue that needs the machine), it finishes its step and saves before it does.

    Raises:
        InputError: Two settings disagree.
        DataError: The data are missing, damaged or of another size than the talker.
        WeightsError: `start` or a checkpoint does not fit.
        OutputError: The run folder cannot be written.
    """
    verify(options)
    machine = Machine(options)
    session = start(options, machine)
    journal = Journal(options) if machine.leads else None

    with _told_to_end() as ending:
        _train(session, journal, ending)
    return session.folder.checkpoints()[-1]


def _train(session: Session, journal: Journal | None, ending: threading.Event) -> None:
    options, machine = session.options, session.machine
    done, seconds = session.position
    step = done
    began = saved = time.monotonic()
    for step, drawn, waited in _batches(session.stage, done, options, machine.device):
        rate = learning_rate(options, step)
        values = _take(session, drawn, step, rate)
        if values is not None:
            _update(session.average, session.talker, options.ema, step)
        if journal and values is not None:
            journal.add(step, rate, waited, values)
        elif journal:
            journal.skip(step, rate)

        now = time.monotonic()
        late = options.stop_minutes is not None and now - began > options.stop_minutes * 60
        stop = machine.any(late or ending.is_set())
        if stop or machine.any(now - saved > options.save_minutes * 60) or step == options.steps:
            saved = now
            if journal:
                position = Position(step, seconds + now - began)
                session.folder.save(position, session.spec, session.live, session.average, session.optimizers)
                _look(session, journal, step)
            machine.wait()
        if stop:
            break
    logger.info("stopped at step %d of %d", step, options.steps)


@contextlib.contextmanager
def _told_to_end() -> Generator[threading.Event]:
    """Notes the system's wish to end this process, and grants it afterwards."""
    ending = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield ending  # signals are the main thread's
        return
    before = signal.signal(signal.SIGTERM, lambda *_: ending.set())
    try:
        yield ending
    finally:
        signal.signal(signal.SIGTERM, before)
    if ending.is_set():
        signal.raise_signal(signal.SIGTERM)


def learning_rate(options: TrainOptions, step: int) -> float:
    """Rises over the warm-up, holds, falls over the decay (first step is 1)."""
    rise = min(1.0, step / max(1, options.warmup_steps))
    fall = min(1.0, (options.steps - step + 1) / max(1, options.decay_steps))
    return options.lr * rise * fall


def _batches(
    stage: Stage, done: int, options: TrainOptions, device: torch.device
) -> Iterator[tuple[int, Drawn, float]]:
    """Draws batches ahead, one a reader; gives step, batch and the seconds waited for it."""
    steps = range(done + 1, options.steps + 1)
    with ThreadPoolExecutor(options.readers) as pool:
        ahead: deque[Future[Drawn]] = deque(pool.submit(stage.batch, step) for step in steps[: options.readers])
        try:
            for step in steps:
                asked = time.monotonic()
                drawn = ahead.popleft().result()
                waited = time.monotonic() - asked
                if step + options.readers <= options.steps:
                    ahead.append(pool.submit(stage.batch, step + options.readers))
                yield step, drawn.to(device), waited
        finally:
            for future in ahead:
                future.cancel()


def _take(session: Session, drawn: Drawn, step: int, rate: float) -> dict[str, Tensor] | None:
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
        torch.manual_seed(session.options.seed * 1_000_003 + step + session.machine.rank * RANK_SEEDS)
        with session.machine.autocast():
            loss, terms = phase.loss(drawn, step, scratch)
        optimizer.zero_grad(set_to_none=True)
        norm = session.machine.descend(loss, learner.modules.parameters())
        if not bool(torch.isfinite(norm)):
            # The batch has been through the normalisations: their running statistics hold it already.
            for buffer, before in buffers:
                buffer.copy_(before)
            return None
        optimizer.step()
        first = not values
        values |= ({"loss": loss, "gradient": norm} if first else {f"{phase.name}_gradient": norm}) | terms
    return session.machine.mean(values)


@torch.no_grad()
def _update(average: dict[str, Tensor], talker: AnyTalker, memory: float, step: int) -> None:
    # A young average would remember the random start for thousands of steps.
    share = 1 - min(memory, (step + 1) / (step + 10))
    for name, value in talker.state_dict().items():
        if name in average:
            average[name].lerp_(value.float(), share)


def _look(session: Session, journal: Journal, step: int) -> None:
    """Validates, pictures and keeps the running average, then puts the live weights back."""
    talker, folder = session.talker, session.options.run
    live = {name: value.clone() for name, value in talker.state_dict().items()}
    talker.load_state_dict(session.average, strict=False)
    talker.eval()
    scores = validate(talker, session.rebuilder, session.seen)
    facts = {"pose_probe": probe_pose(talker, session.seen).text()}
    preview(talker, session.rebuilder, session.seen, folder / "previews" / f"{step:08d}.png")
    talker.load_state_dict(live)
    begin_training(session.live, frozen=session.options.frozen_statistics)
    name, better = SCORES[session.options.stage]
    facts |= {"steps": str(step), "score": f"{scores[name] * better:.6f}"}
    best = keep_weights(folder, session.spec, session.average, facts)
    journal.row({"step": step, "validation": scores} | ({"best": name} if best else {}))
