"""Options of `pcavs batch`."""

import dataclasses
from pathlib import Path

from pcavs.animate.options import Device


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Makes many films with one loaded talker, from a list of jobs (.csv or .jsonl)."""

    jobs: Path
    """A film a row: columns or keys are the settings of `pcavs animate`, with _ for -; `out` and `identity` are
    needed. Names of files are relative to the list."""
    weights: Path | None = None
    """As in `pcavs animate`; the same for all rows."""
    device: Device = "auto"
    """As in `pcavs animate`; the same for all rows."""
    journal: Path | None = None
    """Where each row's outcome is written, as JSON lines; without it, beside the list. Rows that it has as done, and
    whose film is there, are passed over."""
    again: bool = False
    """Makes all films anew, the finished ones included."""
