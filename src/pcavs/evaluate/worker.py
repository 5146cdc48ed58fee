"""Runs the evaluation of one clip in a worker process and stores each finished part, so that a run can be continued."""

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from pcavs.evaluate import protocols
from pcavs.evaluate.observe import load_judges
from pcavs.evaluate.protocols import ClipInputs, ClipJob
from pcavs.media.files import write_json


def run_job(job: ClipJob) -> dict[str, Any]:
    """Makes and measures all films of a clip; parts that were finished before are read back.

    Returns:
        The clip's row of report.json.

    Raises:
        OutputError: A file cannot be written.
    """
    judges = load_judges(job.judges)
    inputs = cache(partial(protocols.load_inputs, job, judges))  # Loaded only if something is left to do.
    work = job.out / "work"
    row = _stored(work / f"{job.key}.json", lambda: protocols.measure_baselines(job, inputs(), judges))
    for name, weights in job.weights:
        make = partial(_measure_talker, job, name, weights, inputs)
        for field, values in _stored(work / f"{job.key}--{name}.json", make).items():
            row[field] |= values
    return row


def _measure_talker(job: ClipJob, name: str, weights: Path | None, inputs: Callable[[], ClipInputs]) -> dict[str, Any]:
    return protocols.measure_talker(job, name, weights, inputs(), load_judges(job.judges))


def _stored(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Reads a stored part, or makes and stores it."""
    if not path.exists():
        write_json(path, make())
    return json.loads(path.read_text())
