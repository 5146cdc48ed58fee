"""The training loop."""

import contextlib
import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from pcavs.errors import InputError
from pcavs.train.checkpoint import Position, RunFolder, save_weights
from pcavs.train.distributed import Process, begin_training, settle_precision
from pcavs.train.journal import Journal
from pcavs.train.lineage import SUBSTITUTE, write_provenance
from pcavs.train.options import TrainOptions, verify
from pcavs.train.probe import probe_pose
from pcavs.train.progress import Progress, ShowPace
from pcavs.train.recipe import changed_settings
from pcavs.train.session import Session, start
from pcavs.train.stage import Inputs, Model, Stage, torch_seed
from pcavs.train.validate_lips import validate_lips
from pcavs.train.validation import Shown, score_of, validate, write_preview

logger = logging.getLogger(__name__)

AVERAGE_WARMUP_STEPS: Final = 10
"""The moving average's decay is at most (step + 1) / (step + 10), so that it forgets the random start quickly. As
TensorFlow's ExponentialMovingAverage has it."""


CHANGEABLE: Final = frozenset(
    [
        *("steps", "decay_steps", "packs", "shards", "vgg"),
        *("device", "devices", "nodes", "readers", "log_every", "save_minutes", "stop_minutes"),
    ]
)
"""Settings that a run may be continued with other values of: its length, its machine, and where its files are."""


def run(options: TrainOptions, show: ShowPace | None = None) -> Path:
    """Trains one stage and returns its last checkpoint; a run that exists continues from its last one.

    On SIGTERM, which job schedulers send, the run finishes its step and saves before the process ends.

    Args:
        options: What to train.
        show: Shows the progress; None writes a line to the log now and then.

    Raises:
        InputError: Settings disagree, or the device does not exist.
        DataError: The data is missing, damaged or of another face size than the talker.
        WeightsError: `start` or a checkpoint does not fit.
        OutputError: The run's folder cannot be written.
    """
    verify(options)
    options = settle_precision(options)
    changes = _changes_of(options)
    process = Process(options)
    session = start(options, process)
    journal = Journal(options) if process.is_first else None
    if journal:
        _note_origin(session, journal, changes)

    with _sigterm_event() as ending:
        _train(session, journal, ending, show)
    return session.folder.checkpoints()[-1]


def _changes_of(options: TrainOptions) -> dict[str, tuple[Any, Any]]:
    """Returns the settings in which a run that is continued differs from its begin, and says so.

    Raises:
        InputError: The change would make it another experiment.
    """
    if not RunFolder(options.run).checkpoints():
        return {}
    changes = changed_settings(options)
    for name, (begun, now) in changes.items():
        if name not in CHANGEABLE:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(
                f"the run {options.run} was begun with {name} {begun}, not {now}; leave {flag} out, or give a new "
                "--run, with this one as its --start"
            )
        logger.warning("%s is %s from now on; the run was begun with %s", name, now, begun)
    return changes


def _note_origin(session: Session, journal: Journal, changes: dict[str, tuple[Any, Any]]) -> None:
    """Stores where the run comes from, and notes changed settings and a substitute of the perceptual loss."""
    step = session.position.step
    if changes:
        journal.row({"step": step, "changed_settings": changes})
    write_provenance(session.options.run, step, session.facts)
    if session.facts.get("perceptual") == SUBSTITUTE:
        logger.warning("no --vgg FILE: the perceptual loss, unlike the published one, takes features of %s", SUBSTITUTE)
        journal.row({"step": step, "perceptual": SUBSTITUTE})


def _train(session: Session, journal: Journal | None, ending: threading.Event, show: ShowPace | None) -> None:
    options, process = session.options, session.process
    done, seconds = session.position
    step = done
    began = saved = time.monotonic()
    progress = Progress(options.stage, done, options.steps, show)
    for step, inputs, waited_s in batches(session.stage, done, options, process.device):
        rate = learning_rate(options, step)
        values = train_step(session, inputs, step, rate)
        if values is not None:
            update_average(session.average, session.model, options.ema, step)
        if journal and values is not None:
            journal.add(step, rate, waited_s, values)
        elif journal:
            journal.skip(step, rate)
        if journal:
            progress.step(step, values)

        now = time.monotonic()
        late = options.stop_minutes is not None and now - began > options.stop_minutes * 60
        stop = process.any(late or ending.is_set())
        if stop or process.any(now - saved > options.save_minutes * 60) or step == options.steps:
            saved = now
            if journal:
                position = Position(step, seconds + now - began)
                state = session.modules, session.average, session.optimizers
                session.folder.save(position, session.spec, *state, session.facts)
                _validate(session, journal, step)
            process.wait()
        if stop:
            break
    logger.info("stopped at step %d of %d", step, options.steps)


@contextlib.contextmanager
def _sigterm_event() -> Generator[threading.Event]:
    """Yields an event that SIGTERM sets; afterwards passes the signal on to the handler that was there before."""
    ending = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield ending  # only the main thread can handle signals
        return
    before = signal.signal(signal.SIGTERM, lambda *_: ending.set())
    try:
        yield ending
    finally:
        signal.signal(signal.SIGTERM, before)
    if ending.is_set():
        signal.raise_signal(signal.SIGTERM)


def learning_rate(options: TrainOptions, step: int) -> float:
    """Computes the learning rate of a step, from 1: a linear warm-up, a constant part, and a linear decay."""
    warmup = min(1.0, step / max(1, options.warmup_steps))
    decay = min(1.0, (options.steps - step + 1) / max(1, options.decay_steps))
    return options.lr * warmup * decay


def batches(
    stage: Stage, done: int, options: TrainOptions, device: torch.device
) -> Iterator[tuple[int, Inputs, float]]:
    """Yields the steps after `done`, their batches on the device, and the seconds waited for each.

    `readers` threads draw batches ahead. A batch depends on its step alone, so their number changes no result.
    """
    steps = range(done + 1, options.steps + 1)
    with ThreadPoolExecutor(options.readers) as pool:
        ahead: deque[Future[Inputs]] = deque(pool.submit(stage.batch, step) for step in steps[: options.readers])
        try:
            for step in steps:
                asked = time.monotonic()
                inputs = ahead.popleft().result()
                waited_s = time.monotonic() - asked
                if step + options.readers <= options.steps:
                    ahead.append(pool.submit(stage.batch, step + options.readers))
                yield step, inputs.to(device), waited_s
        finally:
            for future in ahead:
                future.cancel()


def train_step(session: Session, inputs: Inputs, step: int, rate: float) -> dict[str, Tensor] | None:
    """Runs the phases of a step that are due.

    Returns:
        The scalars for the journal; None if a loss or a gradient was not finite. Buffers, such as the normalisations'
        running statistics, are then restored; phases before the one that failed have taken effect.
    """
    scratch: dict[str, Tensor] = {}
    values: dict[str, Tensor] = {}
    buffers = [(buffer, buffer.clone()) for buffer in session.modules.buffers()]
    for phase in session.stage.phases:
        if not phase.due(step):
            continue
        learner, optimizer = session.stage.learners[phase.learner], session.optimizers[phase.learner]
        for group in optimizer.param_groups:  # runs of older versions have groups without a factor
            group["lr"] = rate * learner.rate * group.get("factor", 1.0)
        # Gradients pass through the other learners' modules, and are not computed for their parameters.
        session.modules.requires_grad_(False)
        learner.modules.requires_grad_(True)
        # Dropout and the paper generator's noise use the global state: set here, a resumed step draws the same.
        torch.manual_seed(torch_seed(session.options.seed, step, session.process.rank))
        with session.process.autocast():
            loss, terms = phase.loss(inputs, step, scratch)
        optimizer.zero_grad(set_to_none=True)
        norm = session.process.backward(loss, learner.modules.parameters())
        if not bool(torch.isfinite(norm)):
            for buffer, before in buffers:
                buffer.copy_(before)
            return None
        optimizer.step()
        first = not values
        values |= ({"loss": loss, "gradient": norm} if first else {f"{phase.name}_gradient": norm}) | terms
    return session.process.mean(values)


@torch.no_grad()
def update_average(average: dict[str, Tensor], model: Model, decay: float, step: int) -> None:
    """Moves the average of the weights towards those of the model, in place, after a step."""
    share = 1 - min(decay, (step + 1) / (step + AVERAGE_WARMUP_STEPS))
    for name, value in model.state_dict().items():
        if name in average:
            average[name].lerp_(value.float(), share)


def _validate(session: Session, journal: Journal, step: int) -> None:
    """Validates the moving average, draws its preview and writes its weights; then restores the model's own weights."""
    model, folder = session.model, session.options.run
    own = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(session.average, strict=False)
    model.eval()
    shown = Shown(session.untrained)
    scores = validate(model, session.reconstruction, session.held_out, shown=shown)
    if session.options.stage == "speech":
        scores |= validate_lips(model, session.modules["heads"], session.held_out)
    facts = dict(session.facts)
    if "motion" not in session.untrained:
        facts["pose_probe"] = probe_pose(model, session.held_out).text()
    if shown.generator:
        preview = folder / "previews" / f"{step:08d}.png"
        write_preview(model, session.reconstruction, session.held_out, preview, shown=shown)
    model.load_state_dict(own)
    begin_training(session.modules, frozen=session.options.frozen_statistics)
    name, sign = score_of(session.options)
    facts |= {"steps": str(step), "score": f"{scores[name] * sign:.6f}"}
    best = save_weights(folder, session.spec, session.average, facts)
    journal.row({"step": step, "validation": scores} | ({"best": name} if best else {}))
    journal.check_held_out(step, scores)
