"""The journal of a run: the mean of every loss term over some steps, as JSON lines and for TensorBoard."""

import contextlib
import json
import logging
import math
import time
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor

from pcavs.errors import OutputError
from pcavs.train.options import TrainOptions, frames_per_step
from pcavs.train.recipe import RUN_RECIPE, write_recipe
from pcavs.train.validation import NUM_MOMENTS

logger = logging.getLogger(__name__)

ALARM_STEP: Final = 300
"""Step from which a contrast at the chance level is reported. The sync run of the first default talker was at six times
the chance level by then (dev/LOG.md)."""

HEART_FACTOR: Final = 2.0
"""Accuracy on training clips, as a factor on the chance level, from which a contrast that is at the chance level on
held-out clips counts as learnt by heart. Tuned by hand; not measured."""

HELD_OUT_CHANCE: Final = {"found_within": 1 / NUM_MOMENTS, "found_of_32": 1 / 32}
"""Chance levels of the validation's accuracies."""

CHANCE_FACTOR: Final = 1.3
"""Accuracy, as a factor on the chance level, up to which the contrast counts as being at it. Above the spread of a mean
over 20 steps; tuned by hand, not measured."""


DEAD_SPREAD: Final = 1e-5
"""Standard deviation of visual content over a batch, of content of unit mean square, below which the motion encoder
counts as dead. That of a dead one is the rounding of equal numbers; that of random weights is above 1e-3."""


class Journal:
    """Collects the terms of steps, and writes a row of their means every `log_every` steps."""

    def __init__(self, options: TrainOptions) -> None:
        """Creates the run's folder and stores the options in it.

        Raises:
            OutputError: The folder cannot be written.
        """
        self._path = options.run / "journal.jsonl"
        self._every, self._frames = options.log_every, frames_per_step(options)
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._steps = self._skipped = 0
        self._began = time.monotonic()
        self._contrast = _contrast_of(options)
        self._found: float | None = None
        self._alarms: set[str] = set()
        self._board: Any = None
        try:
            options.run.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write the run folder {options.run}: {error}; choose another --run") from error
        write_recipe(options, options.run / RUN_RECIPE)
        with contextlib.suppress(ModuleNotFoundError):  # a machine without TensorBoard can train too
            from torch.utils.tensorboard.writer import SummaryWriter

            self._board = SummaryWriter(str(options.run / "tensorboard"))

    def row(self, fields: dict[str, Any]) -> None:
        """Appends a row.

        Raises:
            OutputError: The journal cannot be written.
        """
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
        """Adds the terms of a step, and writes a row if one is due.

        Args:
            step: Number of the step, from 1.
            rate: Learning rate.
            waited_s: Seconds that the step waited for its batch.
            values: Scalars by name.
        """
        # Copied to the processor as one tensor: each copy makes an accelerator wait.
        numbers = torch.stack([value.detach().float() for value in values.values()]).tolist()
        for name, number in {"waited_s": waited_s, **dict(zip(values, numbers, strict=True))}.items():
            self._sums[name] = self._sums.get(name, 0.0) + number
            self._counts[name] = self._counts.get(name, 0) + 1
        self._end_step(step, rate)

    def skip(self, step: int, rate: float) -> None:
        """Counts a step that was skipped."""
        logger.warning("step %d: the gradient is not finite; the step is skipped", step)
        self._skipped += 1
        self._end_step(step, rate)

    def _end_step(self, step: int, rate: float) -> None:
        self._steps += 1
        if step % self._every:
            return
        seconds = (time.monotonic() - self._began) / self._steps
        row = {"step": step, "frames_shown": step * self._frames, "lr": rate, "seconds_per_step": round(seconds, 4)}
        if self._skipped:
            row["skipped"] = self._skipped
        # A term that only some steps have is averaged over those.
        means = {name: round(total / self._counts[name], 5) for name, total in self._sums.items()}
        self.row(row | means)
        self._check_spread(step, means)
        self._check_contrast(step, means)
        self._sums, self._counts = {}, {}
        self._steps, self._skipped, self._began = 0, 0, time.monotonic()

    def _check_spread(self, step: int, means: dict[str, float]) -> None:
        """Reports once if the motion encoder says the same of every frame: it has no gradient then, and stays so."""
        spread = means.get("visual_spread", math.inf)
        if step >= ALARM_STEP and spread < DEAD_SPREAD:
            alarm = f"the motion encoder gives all frames the same content after {step} steps"
            self._alarm(
                step, alarm, "it no longer learns; start a new run, with a lower lr or other random weights (--seed)"
            )

    def _check_contrast(self, step: int, means: dict[str, float]) -> None:
        """Reports once if the contrast of stage `sync` is still at the chance level."""
        if self._contrast is None or self._contrast.name not in means:
            return
        name, chance, _ = self._contrast
        self._found = means[name]
        if step >= ALARM_STEP and self._found <= CHANCE_FACTOR * chance:
            alarm = f"{name} {self._found:.3f} is at the chance level, {chance:.3f}, after {step} steps"
            self._alarm(step, alarm, "sound and picture may not belong together, or lr is too high")

    def check_held_out(self, step: int, scores: dict[str, float]) -> None:
        """Reports once if the contrast of stage `sync` finds speech in training clips, and not in held-out ones.

        Args:
            step: Number of the step.
            scores: Scores of the validation.
        """
        if self._contrast is None or self._found is None or self._contrast.held_out not in scores:
            return
        name, chance, held_out = self._contrast
        score, held_out_chance = scores[held_out], HELD_OUT_CHANCE[held_out]
        is_learnt = self._found >= HEART_FACTOR * chance and score <= CHANCE_FACTOR * held_out_chance
        if step >= ALARM_STEP and is_learnt:
            alarm = (
                f"the run learns its clips by heart: {name} is {self._found:.3f} on them (chance {chance:.3f}), and "
                f"{held_out} {score:.3f} on held-out clips (chance {held_out_chance:.3f}) after {step} steps"
            )
            self._alarm(step, alarm, "give more clips and people, or add --augment-audio")

    def _alarm(self, step: int, alarm: str, advice: str) -> None:
        if advice not in self._alarms:
            self._alarms.add(advice)
            logger.warning("%s; %s", alarm, advice)
            self.row({"step": step, "alarm": alarm})


class _Contrast(NamedTuple):
    """The accuracy by which a contrast is watched."""

    name: str
    """Term of training."""
    chance: float
    held_out: str
    """Score of the validation."""


def _contrast_of(options: TrainOptions) -> _Contrast | None:
    if options.stage != "sync":
        return None
    if options.losses == "published":  # between clips, of all processes
        return _Contrast("found_across", 1 / (options.clips * options.devices * options.nodes), "found_of_32")
    return _Contrast("found_within", 1 / options.moments, "found_within")
