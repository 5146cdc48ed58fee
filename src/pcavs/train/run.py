"""Training, one flat recipe: read it from top to bottom."""

import dataclasses
import json
import logging
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pcavs.data.library import Batch, Library
from pcavs.data.pack import find_packs
from pcavs.errors import DataError
from pcavs.models.talker import Talker, build_talker
from pcavs.spec import TINY_FLOW, FlowSpec, TalkerSpec
from pcavs.train.checkpoint import Position, RunFolder, load_checkpoint, load_start, tensors_of
from pcavs.train.generator import GeneratorStage
from pcavs.train.options import TrainOptions, verify
from pcavs.train.preview import preview, validate
from pcavs.train.stage import Stage, TrainingHeads
from pcavs.train.sync import SyncStage

logger = logging.getLogger(__name__)

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
    device = _device(options)
    packs = find_packs(options.packs)
    library = Library.load(packs, "train", dict(options.source_weights))
    held_out = _held_out(packs)
    spec = TalkerSpec(flow=TINY_FLOW if options.size == "tiny" else FlowSpec())
    if library.frame_px != spec.flow.frame_px:
        raise DataError(f"packs hold faces of {library.frame_px} px, the talker needs {spec.flow.frame_px}; pack again")

    torch.manual_seed(options.seed)
    talker = build_talker(spec)
    heads = TrainingHeads(spec, library.clips[0].lips.shape[1])
    if options.start:
        load_start(options.start, talker, heads)
    live = nn.ModuleDict({"talker": talker, "heads": heads}).to(device, memory_format=torch.channels_last)
    stage: Stage = STAGES[options.stage](talker, heads, library, options)
    optimizer = torch.optim.AdamW(stage.modules.parameters(), lr=options.lr, betas=(0.9, 0.99), weight_decay=0.01)
    average = {name: torch.from_numpy(value) for name, value in tensors_of(talker).items()}
    folder, position = RunFolder(options.run), Position(0, 0.0)
    if folder.checkpoints():
        position, average = load_checkpoint(folder.checkpoints()[-1], talker, heads, optimizer)
        logger.info("resumed at step %d", position.step)
    average = {name: value.to(device) for name, value in average.items()}
    journal = _Journal(options)

    started = saved = time.monotonic()
    live.train()
    step = position.step
    for step, batch, waited in _batches(stage, position.step, options.steps, device):
        rate = learning_rate(options, step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16-mixed"):
            loss, terms = stage.loss(batch, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(stage.modules.parameters(), 5.0)
        if bool(torch.isfinite(norm)):
            optimizer.step()
            _update(average, talker, options.ema, step)
        else:
            logger.warning("step %d: the gradient is not finite; the step is skipped", step)
        journal.add(step, rate, waited, loss, norm, terms)
        now = time.monotonic()
        stop = options.stop_minutes is not None and now - started > options.stop_minutes * 60
        if stop or now - saved > options.save_minutes * 60 or step == options.steps:
            saved = now
            position = Position(step, position.seconds + now - started)
            folder.save(position, spec, live, average, optimizer)
            started = now if not stop else started
            _look(talker, average, held_out or library, folder, journal, step)
        if stop:
            break
    logger.info("stopped at step %d of %d", step, options.steps)
    return folder.checkpoints()[-1]


def learning_rate(options: TrainOptions, step: int) -> float:
    """Rises over the warm-up, holds, falls over the decay (first step is 1)."""
    rise = min(1.0, step / max(1, options.warmup_steps))
    fall = min(1.0, (options.steps - step + 1) / max(1, options.decay_steps))
    return options.lr * rise * fall


def _device(options: TrainOptions) -> torch.device:
    if options.device != "auto":
        return torch.device(options.device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _held_out(packs: list[Path]) -> Library | None:
    try:
        return Library.load(packs, "val")
    except DataError:
        return None


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


@torch.no_grad()
def _update(average: dict[str, Tensor], talker: Talker, memory: float, step: int) -> None:
    # A young average would remember the random start for thousands of steps.
    share = 1 - min(memory, (step + 1) / (step + 10))
    for name, value in talker.state_dict().items():
        if name in average:
            average[name].lerp_(value.float(), share)


def _look(
    talker: Talker, average: dict[str, Tensor], library: Library, folder: RunFolder, journal: "_Journal", step: int
) -> None:
    """Validates and pictures the running average, then puts the live weights back."""
    live = {name: value.clone() for name, value in talker.state_dict().items()}
    talker.load_state_dict(average, strict=False)
    talker.eval()
    journal.row({"step": step, "validation": validate(talker, library)})
    preview(talker, library, folder.folder / "previews" / f"{step:08d}.png")
    talker.load_state_dict(live)
    talker.train()


class _Journal:
    """Means of the terms since the last row, one JSON object a line."""

    def __init__(self, options: TrainOptions) -> None:
        options.run.mkdir(parents=True, exist_ok=True)
        self._path = options.run / "journal.jsonl"
        self._every, self._frames = options.log_every, options.clips * options.moments
        self._sums: dict[str, float] = {}
        self._steps, self._began = 0, time.monotonic()
        settings = {name: str(value) for name, value in dataclasses.asdict(options).items()}
        (options.run / "options.json").write_text(json.dumps(settings, indent=1))

    def row(self, fields: dict[str, Any]) -> None:
        """Appends a row."""
        with self._path.open("a") as file:
            file.write(json.dumps(fields) + "\n")

    def add(self, step: int, rate: float, waited: float, loss: Tensor, norm: Tensor, terms: dict[str, Tensor]) -> None:
        """Gathers a step; writes a row where one is due."""
        values = {"loss": loss, "gradient": norm} | terms
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value.detach())
        self._sums["waited_s"] = self._sums.get("waited_s", 0.0) + waited
        self._steps += 1
        if step % self._every:
            return
        means = {name: round(value / self._steps, 5) for name, value in self._sums.items()}
        seconds = (time.monotonic() - self._began) / self._steps
        row = {"step": step, "frames_shown": step * self._frames, "lr": rate, "seconds_a_step": round(seconds, 4)}
        self.row(row | means)
        if not math.isfinite(means["loss"]):
            logger.warning("step %d: the loss is %s", step, means["loss"])
        self._sums, self._steps, self._began = {}, 0, time.monotonic()
