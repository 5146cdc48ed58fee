"""Progress of a run: step, loss and remaining time, now and then as a line of the log or as often as a bar wants it."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from torch import Tensor

logger = logging.getLogger(__name__)

_FIRST_LINE_S: Final = 10.0
_LINE_INTERVAL_S: Final = 60.0
"""Seconds to the first line of the log, and between two: a log that nobody watches stays short."""
_BAR_INTERVAL_S: Final = 1.0
"""Seconds between two updates of a bar. Reading the loss makes an accelerator wait, so it is not done at every step."""


class Pace(NamedTuple):
    """How far a run is."""

    stage: str
    step: int
    steps: int
    loss: float | None
    """The step's own, not a mean; None of a skipped step."""
    left_s: float
    """Seconds to the last step, at the pace of this session, with its saves and validations."""

    def left(self) -> str:
        """Formats the remaining time as hours, minutes and seconds."""
        seconds = round(self.left_s)
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"

    def line(self) -> str:
        """Formats one line."""
        loss = "skipped" if self.loss is None else f"loss {self.loss:.4g}"
        return f"{self.stage}: step {self.step} of {self.steps}, {loss}, {self.left()} left"


ShowPace: TypeAlias = Callable[[Pace], None]
"""Receives the progress of a run about once a second."""


class Progress:
    """Measures the pace of a session and shows it at intervals."""

    def __init__(self, stage: str, done: int, steps: int, show: ShowPace | None) -> None:
        """Starts the clock.

        Args:
            stage: What is trained.
            done: Steps of earlier sessions.
            steps: Last step.
            show: Shows the progress; None writes a line to the log now and then.
        """
        self._stage, self._done, self._steps = stage, done, steps
        self._show = show or (lambda pace: logger.info("%s", pace.line()))
        self._interval_s = _LINE_INTERVAL_S if show is None else _BAR_INTERVAL_S
        self._began = time.monotonic()
        self._due = self._began + (_FIRST_LINE_S if show is None else 0.0)

    def step(self, step: int, values: Mapping[str, Tensor] | None) -> None:
        """Counts a step, and shows the progress where it is due.

        Args:
            step: Number of the step.
            values: Scalars of the step, `loss` among them; None if the step was skipped.
        """
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + self._interval_s
        loss = None if values is None else float(values["loss"].detach())
        left_s = (now - self._began) / (step - self._done) * (self._steps - step)
        self._show(Pace(self._stage, step, self._steps, loss, left_s))
