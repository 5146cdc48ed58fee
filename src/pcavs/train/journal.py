"""The journal of a run: what was asked for, and the means of every term, one JSON object a line."""

import dataclasses
import json
import logging
import time
from typing import Any

import torch
from torch import Tensor

from pcavs.errors import OutputError
from pcavs.train.options import TrainOptions

logger = logging.getLogger(__name__)


class Journal:
    """Gathers steps and writes a row every `log_every` of them."""

    def __init__(self, options: TrainOptions) -> None:
        """Writes the options down.

        Raises:
            OutputError: The run folder cannot be written.
        """
        self._path = options.run / "journal.jsonl"
        self._every, self._frames = options.log_every, options.clips * options.moments
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._steps = self._skipped = 0
        self._began = time.monotonic()
        settings = {name: str(value) for name, value in dataclasses.asdict(options).items()}
        try:
            options.run.mkdir(parents=True, exist_ok=True)
            (options.run / "options.json").write_text(json.dumps(settings, indent=1))
        except OSError as error:
            raise OutputError(f"cannot write the run folder {options.run}: {error}; choose another --run") from error

    def row(self, fields: dict[str, Any]) -> None:
        """Appends a row."""
        with self._path.open("a") as file:
            file.write(json.dumps(fields) + "\n")

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
        self.row(row | {name: round(total / self._counts[name], 5) for name, total in self._sums.items()})
        self._sums, self._counts = {}, {}
        self._steps, self._skipped, self._began = 0, 0, time.monotonic()
