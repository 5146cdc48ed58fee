"""Pipelines: several stages, each of which starts from the weights of the one before.

A pipeline is a TOML file. Each of its `[[stages]]` names a `recipe` (relative to the file), gives settings of its own,
or both; `[settings]` hold for all of them. Each stage is a run of its own within the pipeline's folder, so that a
pipeline that was stopped goes on where it was, and stages that are done are not repeated.
"""

import dataclasses
import logging
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from pcavs.errors import InputError, unknown_setting
from pcavs.train.checkpoint import RunFolder
from pcavs.train.distributed import Process
from pcavs.train.options import TrainOptions, verify
from pcavs.train.progress import ShowPace
from pcavs.train.recipe import options_from, read_recipe
from pcavs.train.run import batches, learning_rate, run, train_step
from pcavs.train.session import start

logger = logging.getLogger(__name__)

SHARED_SETTINGS: Final = frozenset(
    [
        "packs",
        "shards",
        "device",
        "devices",
        "nodes",
        "readers",
        "precision",
        "seed",
        "vgg",
        "log_every",
        "save_minutes",
    ]
)
"""Settings of a call that hold for every stage; all others stand in the pipeline."""
_TRIAL_STEPS: Final = 3
"""Steps of each stage that a dry run times, after one that is not timed."""
_MIB: Final = 2**20


class PipelineStage(NamedTuple):
    """One stage of a pipeline."""

    name: str
    """Its number and its kind, for example 2-visual; the name of its folder."""
    options: TrainOptions
    """Settings of its run, with the stage before it as `start`."""

    @property
    def done_steps(self) -> int:
        """Steps that were done and saved."""
        checkpoints = RunFolder(self.options.run).checkpoints()
        return int(checkpoints[-1].name.rpartition("-")[2]) if checkpoints else 0

    @property
    def is_done(self) -> bool:
        """Whether all steps were done."""
        return self.done_steps >= self.options.steps


def run_training(options: TrainOptions, show: ShowPace | None = None) -> Path | list[str]:
    """Runs one stage, or a pipeline; with `dry_run` it trains nothing.

    Args:
        options: What to train.
        show: Shows the progress; None writes a line to the log now and then.

    Returns:
        The last checkpoint; or the lines of a dry run, which times some steps of each stage from random weights.

    Raises:
        InputError: Settings disagree, or the pipeline cannot be read.
        DataError: The data is missing, damaged or of another face size than the talker.
        WeightsError: `start` or a checkpoint does not fit.
        OutputError: A run's folder cannot be written.
    """
    if options.pipeline is not None:
        stages = read_pipeline(options)
        return _estimate(stages) if options.dry_run else run_pipeline(options, stages, show)
    if not options.dry_run:
        return run(options, show)
    verify(options)
    return _estimate([PipelineStage(options.stage, options)])


def run_pipeline(options: TrainOptions, stages: list[PipelineStage], show: ShowPace | None = None) -> Path:
    """Runs the stages that are not done, and returns the last checkpoint.

    Args:
        options: Those of the call; `stop_minutes` is the time of all stages together.
        stages: What `read_pipeline` read.
        show: Shows the progress of each stage, as in `run_training`.
    """
    began = time.monotonic()
    for stage in stages:
        if stage.is_done:
            logger.info("stage %s is done: %d steps", stage.name, stage.done_steps)
            continue
        left = None
        if options.stop_minutes is not None:
            left = max(0.0, options.stop_minutes - (time.monotonic() - began) / 60)
        logger.info("stage %s: step %d of %d", stage.name, stage.done_steps, stage.options.steps)
        run(dataclasses.replace(stage.options, stop_minutes=left), show)
        if not stage.is_done:
            logger.info("stage %s is not done; the same command goes on with it", stage.name)
            return RunFolder(stage.options.run).checkpoints()[-1]
    return RunFolder(stages[-1].options.run).checkpoints()[-1]


def read_pipeline(options: TrainOptions) -> list[PipelineStage]:
    """Reads the stages of a pipeline, and checks the settings of all of them before anything runs.

    Raises:
        InputError: The pipeline cannot be read, or has a setting that does not fit.
    """
    path = options.pipeline
    assert path is not None
    given = _given(options)
    table = _read_table(path)
    stages: list[PipelineStage] = []
    for number, entry in enumerate(table["stages"], start=1):
        own = {name.replace("-", "_"): value for name, value in entry.items()}
        recipe = own.pop("recipe", None)
        fields = table["settings"] | (read_recipe(path.parent / recipe) if recipe else {}) | own
        _check_names(fields, path)
        name = f"{number}-{fields.get('stage', TrainOptions.stage)}"
        run, before = options.run / name, stages[-1].options.run if stages else options.start
        stage = options_from(fields | {"run": run, "start": before, "packs": options.packs, "shards": options.shards})
        stage = dataclasses.replace(stage, **given)
        try:
            verify(stage)
        except InputError as error:
            raise InputError(f"{path}, stage {name}: {error}") from error
        stages.append(PipelineStage(name, stage))
    _check_talkers(stages, path)
    return stages


def _given(options: TrainOptions) -> dict[str, Any]:
    """Returns the settings of the call that hold for every stage.

    Raises:
        InputError: The call gives a setting that stands in the pipeline.
    """
    allowed = SHARED_SETTINGS | {"start", "pipeline", "dry_run", "stop_minutes"}
    given = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(options)
        if field.default is not dataclasses.MISSING and getattr(options, field.name) != field.default
    }
    for name in given:
        if name not in allowed:
            flag = name.replace("_", "-")
            raise InputError(f"--{flag} belongs to a stage: set {name} in {options.pipeline}, or in its recipes")
    return {name: value for name, value in given.items() if name in SHARED_SETTINGS}


def _read_table(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"no pipeline at {path}; give a TOML file such as recipes/paper/pipeline.toml") from error
    except ValueError as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    unknown = sorted(set(table) - {"stages", "settings"})
    if unknown:
        raise InputError(f"{path} has an unknown entry {unknown[0]}; a pipeline has [[stages]] and [settings]")
    stages, settings = table.get("stages"), table.get("settings", {})
    if not isinstance(stages, list) or not stages or not all(isinstance(each, dict) for each in stages):
        raise InputError(f"{path} has no [[stages]]; each names a recipe or gives settings")
    if not isinstance(settings, dict):
        raise InputError(f"{path}: settings must be a table")
    return {"stages": stages, "settings": {name.replace("-", "_"): value for name, value in settings.items()}}


def _check_names(fields: dict[str, Any], path: Path) -> None:
    known = {field.name for field in dataclasses.fields(TrainOptions)} - {"run", "start", "packs", "shards", "pipeline"}
    for name, value in fields.items():
        if name not in known:
            raise InputError(f"{path}: {unknown_setting(name, sorted(known))}")
        if isinstance(value, dict):
            raise InputError(f"{path}: {name} is a table; write pairs as [['a', 1.0], ['b', 2.0]]")


def _check_talkers(stages: list[PipelineStage], path: Path) -> None:
    """Checks that all stages train the same networks."""
    kinds = {(each.options.kind, each.options.size, each.options.pose_dim) for each in stages}
    if len(kinds) > 1:
        raise InputError(f"the stages of {path} differ in kind, size or pose_dim; a pipeline trains one talker")


def _estimate(stages: list[PipelineStage]) -> list[str]:
    """Times some steps of each stage that is not done, from random weights."""
    lines, total_s = [], 0.0
    for stage in stages:
        left = stage.options.steps - stage.done_steps
        if left <= 0:
            lines.append(f"{stage.name}: done, {stage.done_steps} steps")
            continue
        step_s, memory_mib = _time_steps(stage.options)
        total_s += step_s * left
        lines.append(
            f"{stage.name}: {left} of {stage.options.steps} steps, {step_s:.3g} s a step, {_duration(step_s * left)}"
            + ("" if memory_mib is None else f", {memory_mib:.0f} MiB of memory")
        )
    lines.append(f"all: {_duration(total_s)}, without validation; nothing was trained")
    return lines


def _time_steps(options: TrainOptions) -> tuple[float, float | None]:
    """Returns the time of a step in seconds, and the largest memory of this process so far in MiB."""
    steps = _TRIAL_STEPS + 1
    with tempfile.TemporaryDirectory() as folder:
        trial = dataclasses.replace(
            options, run=Path(folder), start=None, prior=0.0, steps=steps, warmup_steps=0, decay_steps=0
        )
        session = start(trial, Process(trial))
        began = time.monotonic()
        for step, inputs, _ in batches(session.stage, 0, trial, session.process.device):
            train_step(session, inputs, step, learning_rate(trial, step))
            if step == 1:
                began = time.monotonic()
        if session.process.device.type == "cuda":
            torch.cuda.synchronize()
    return (time.monotonic() - began) / _TRIAL_STEPS, _peak_memory_mib()


def _peak_memory_mib() -> float | None:
    """Returns the largest memory of this process so far; None where the system does not tell."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (_MIB if sys.platform == "darwin" else 1024)


def _duration(seconds: float) -> str:
    """Writes a length of time, for example 2 h 5 min."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
