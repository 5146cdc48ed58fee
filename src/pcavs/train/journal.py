"""The journal of a run: what was asked for, and the means of every term, one JSON object a line; in TensorBoard too."""

import contextlib
import json
import logging
import time
from typing import Any

import torch
from torch import Tensor

from pcavs.errors import OutputError
from pcavs.train.options import TrainOptions, frames_a_step
from pcavs.train.recipe import OPTIONS, write_recipe

logger = logging.getLogger(__name__)

ALARM_STEP = 300
"""The contrast of the talker that ships had left the chance level fivefold by then."""

CHANCE_LEFT = 1.3
"""Times chance that counts as having left it."""


class Journal:
    """Gathers steps and writes a row every `log_every` of them."""

    def __init__(self, options: TrainOptions) -> None:
        """Writes the options down.

        Raises:
            OutputError: The run folder cannot be written.
        """
        self._path = options.run / "journal.jsonl"
        self._every, self._frames = options.log_every, frames_a_step(options)
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._steps = self._skipped = 0
        self._began = time.monotonic()
        self._chance = 1 / options.moments if options.stage == "sync" and options.losses == "repaired" else 0.0
        self._alarmed = False
        self._board: Any = None
        try:
            options.run.mkdir(parents=True, exist_ok=True)
            write_recipe(options, options.run / OPTIONS)
        except OSError as error:
            raise OutputError(f"cannot write the run folder {options.run}: {error}; choose another --run") from error
        with contextlib.suppress(ModuleNotFoundError):  # a bare machine has no TensorBoard, and needs none
            from torch.utils.tensorboard.writer import SummaryWriter

            self._board = SummaryWriter(str(options.run / "tensorboard"))

    def row(self, fields: dict[str, Any]) -> None:
        """Appends a row."""
        try:
            with self._path.open("a") as file:
                file.write(json.dumps(fields) + "\n")
        except OSError as error:
            raise OutputError(f"cannot write {self._path}: {error}; free some space, then resume the run") from error
        if self._board is not None:
            flat = fields | {f"validation/{name}": value for name, value in fields.get("validation", {}).items()}
            for name, value in flat.items():
                if isinstance(value, float | int) and name != "step":
                    self._board.add_scalar(name, value, fields["step"])
            self._board.flush()

    def add(self, step: int, rate: float, waited_s: float, values: dict[str, Tensor]) -> None:
        """Gathers a step that was taken; writes a row where one is due."""
        # Read as one tensor: twenty readings would stop an accelerator twenty times.
        numbers = torch.stack([value.detach().float() for value in values.values()]).tolist()
        for name, number in {"waited_s": waited_s, **dict(zip(values, numbers, strict=True))}.items():
            self._sums[name] = self._sums.get(name, 0.0) + number
            self._counts[name] = self._counts.get(name, 0) + 1
        self._end_step(step, rate)

    def skip(self, step: int, rate: float) -> None:
        """Counts a step that was not taken."""
        logger.warning("step %d: the gradient is not finite; the step is skipped", step)
        self._skipped += 1
        self._end_step(step, rate)

    def _end_step(self, step: int, rate: float) -> None:
        self._steps += 1
        if step % self._every:
            return
        seconds = (time.monotonic() - self._began) / self._steps
        row = {"step": step, "frames_shown": step * self._frames, "lr": rate, "seconds_a_step": round(seconds, 4)}
        if self._skipped:
            row["skipped"] = self._skipped
        # A term that only some steps have is a mean over those.
        means = {name: round(total / self._counts[name], 5) for name, total in self._sums.items()}
        self.row(row | means)
        self._watch(step, means)
        self._sums, self._counts = {}, {}
        self._steps, self._skipped, self._began = 0, 0, time.monotonic()

    def _watch(self, step: int, means: dict[str, float]) -> None:
        """Says so, once, when the contrast has not left the chance level after a while."""
        found = means.get("found_within", 1.0)
        if step < ALARM_STEP or self._alarmed or found > CHANCE_LEFT * self._chance:
            return
        self._alarmed = True
        alarm = f"found_within {found:.3f} is at the chance level, {self._chance:.3f}, after {step} steps"
        logger.warning("%s: sound and picture may not belong together, or lr is too high", alarm)
        self.row({"step": step, "alarm": alarm})
