"""Training, one flat recipe: read it from top to bottom."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pcavs.data.library import Batch, Library
from pcavs.data.pack import find_packs
from pcavs.errors import DataError, InputError
from pcavs.models.state import tensors_of
from pcavs.models.talker import Talker, build_talker
from pcavs.spec import TINY_FLOW, FlowSpec, TalkerSpec
from pcavs.train.checkpoint import Position, RunFolder, load_checkpoint, load_start
from pcavs.train.generator import GeneratorStage
from pcavs.train.journal import Journal
from pcavs.train.options import TrainOptions, verify
from pcavs.train.preview import preview, validate
from pcavs.train.stage import Stage, TrainingHeads
from pcavs.train.sync import SyncStage

logger = logging.getLogger(__name__)

LARGEST_GRADIENT = 5.0
"""Norm to which a larger gradient is cut."""

STAGES = {"sync": SyncStage, "generator": GeneratorStage}


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
    talker, stage, optimizer, average = session.talker, session.stage, session.optimizer, session.average
    journal = Journal(options)

    done, seconds = session.position
    step = done
    began = saved = time.monotonic()
    session.live.train()
    for step, batch, waited in _batches(stage, done, options.steps, session.device):
        rate = learning_rate(options, step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        buffers = [(buffer, buffer.clone()) for buffer in session.live.buffers()]
        with torch.autocast(session.device.type, torch.bfloat16, enabled=options.precision == "bf16-mixed"):
            loss, terms = stage.loss(batch, step)
        optimizer.zero_grad(set_to_none=True)
        norm = _gradient(stage, loss)
        if bool(torch.isfinite(norm)):
            optimizer.step()
            _update(average, talker, options.ema, step)
            journal.add(step, rate, waited, {"loss": loss, "gradient": norm} | terms)
        else:
            # The batch has been through the normalisations: their running statistics hold it already.
            for buffer, before in buffers:
                buffer.copy_(before)
            journal.skip(step, rate)

        now = time.monotonic()
        stop = options.stop_minutes is not None and now - began > options.stop_minutes * 60
        if stop or now - saved > options.save_minutes * 60 or step == options.steps:
            saved = now
            position = Position(step, seconds + now - began)
            session.folder.save(position, session.spec, session.live, average, optimizer)
            _look(talker, average, session.seen, session.folder, journal, step)
        if stop:
            break
    logger.info("stopped at step %d of %d", step, options.steps)
    return session.folder.checkpoints()[-1]


class _Session(NamedTuple):
    """All that a run works with, built or resumed."""

    device: torch.device
    spec: TalkerSpec
    talker: Talker
    live: nn.ModuleDict
    """Talker and heads."""
    stage: Stage
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor]
    """Running average of the talker's weights: what is validated, and shipped."""
    seen: Library
    """Clips for validation and previews."""
    folder: RunFolder
    position: Position


def _start(options: TrainOptions) -> _Session:
    device = _device(options)
    packs = find_packs(options.packs)
    library = Library.load(packs, "train", dict(options.source_weights))
    spec = TalkerSpec(flow=TINY_FLOW if options.size == "tiny" else FlowSpec())
    if library.frame_px != spec.sizes.frame_px:
        raise DataError(
            f"packs hold faces of {library.frame_px} px, the talker needs {spec.sizes.frame_px}; pack again"
        )

    torch.manual_seed(options.seed)
    talker = build_talker(spec)
    heads = TrainingHeads(spec, library.clips[0].lips.shape[1])
    if options.start:
        load_start(options.start, talker, heads)
    live = nn.ModuleDict({"talker": talker, "heads": heads})
    live.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - missing in torch's types
    stage: Stage = STAGES[options.stage](talker, heads, library, options)
    optimizer = torch.optim.AdamW(stage.modules.parameters(), lr=options.lr, betas=(0.9, 0.99), weight_decay=0.01)
    average = {name: torch.from_numpy(value) for name, value in tensors_of(talker).items()}
    folder, position = RunFolder(options.run), Position(0, 0.0)
    if folder.checkpoints():
        position, average = load_checkpoint(folder.checkpoints()[-1], talker, heads, optimizer)
        logger.info("resumed at step %d", position.step)
    average = {name: value.to(device) for name, value in average.items()}
    return _Session(device, spec, talker, live, stage, optimizer, average, _seen(packs, library), folder, position)


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


def _batches(stage: Stage, done: int, steps: int, device: torch.device) -> Iterator[tuple[int, Batch, float]]:
    """Draws one batch ahead in a thread; gives step, batch and the seconds waited for it."""
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(stage.batch, done + 1)
        for step in range(done + 1, steps + 1):
            asked = time.monotonic()
            batch = ahead.result()
            waited = time.monotonic() - asked
            if step < steps:
                ahead = pool.submit(stage.batch, step + 1)
            yield step, Batch(*(tensor.to(device) for tensor in batch)), waited


def _gradient(stage: Stage, loss: Tensor) -> Tensor:
    """Fills the gradients and gives their norm before it was cut."""
    if not bool(torch.isfinite(loss)):
        # Backwards through a warp, a flow of NaN would read outside of the picture and end the process.
        return loss.detach()
    loss.backward()
    return nn.utils.clip_grad_norm_(stage.modules.parameters(), LARGEST_GRADIENT)


@torch.no_grad()
def _update(average: dict[str, Tensor], talker: Talker, memory: float, step: int) -> None:
    # A young average would remember the random start for thousands of steps.
    share = 1 - min(memory, (step + 1) / (step + 10))
    for name, value in talker.state_dict().items():
        if name in average:
            average[name].lerp_(value.float(), share)


def _look(
    talker: Talker, average: dict[str, Tensor], library: Library, folder: RunFolder, journal: Journal, step: int
) -> None:
    """Validates and pictures the running average, then puts the live weights back."""
    live = {name: value.clone() for name, value in talker.state_dict().items()}
    talker.load_state_dict(average, strict=False)
    talker.eval()
    journal.row({"step": step, "validation": validate(talker, library)})
    preview(talker, library, folder.folder / "previews" / f"{step:08d}.png")
    talker.load_state_dict(live)
    talker.train()
