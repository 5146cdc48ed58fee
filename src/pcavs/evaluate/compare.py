"""`pcavs compare`: measures any talking-head videos, made by pcavs or not, in the same way."""

import dataclasses
import json
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pcavs.errors import InputError
from pcavs.evaluate.catalogue import METRICS
from pcavs.evaluate.clips import ClipSource, EvaluationClip, read_clip
from pcavs.evaluate.measure import Reference, Row, measure
from pcavs.evaluate.observe import (
    Judges,
    Observation,
    embed_sound,
    frame_windows,
    judges_folder,
    load_judges,
    observe,
    reference_identity,
)
from pcavs.evaluate.options import CompareOptions
from pcavs.metrics.sound import silent_frames

_MAX_S: Final = 60.0
"""Length of a video that is measured; all frames are in memory at once."""
_COLUMN_CHARACTERS: Final = 20
_UNIT_CHARACTERS: Final = 18
"""Widths of the table's columns: one for each video, and the unit."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """The metrics of each video."""

    films: dict[str, Row]
    """Metrics of the videos that were measured."""
    failed: dict[str, str]
    """Why each of the others could not be measured."""
    reference: str | None
    judge: str
    """Name and version of the sync judge."""

    def lines(self) -> list[str]:
        """Returns a text table with one metric per line and one video per column."""
        shown = [key for key in METRICS if any(key in row for row in self.films.values())]
        width = max(len(METRICS[key].title) for key in shown) + 2
        column, unit = _COLUMN_CHARACTERS, _UNIT_CHARACTERS
        names = [*self.films, *self.failed]
        lines = [" " * (width + unit) + "".join(f"{name[2 - column :]:>{column}}" for name in names)]
        for key in shown:
            metric = METRICS[key]
            cells = [f"{row[key]:.{metric.digits}f}" if key in row else "" for row in self.films.values()]
            lines.append(f"{metric.title:{width}}{metric.unit:{unit}}" + "".join(f"{cell:>{column}}" for cell in cells))
        lines.append(f"sync judge: {self.judge}; reference: {self.reference or 'none (give --reference)'}")
        return [*lines, *(f"{name} was not measured: {' '.join(why.split())}" for name, why in self.failed.items())]


class Outcome(NamedTuple):
    """What the command prints, and whether all videos were measured."""

    lines: list[str]
    ok: bool


def run(options: CompareOptions) -> Outcome:
    """Compares videos and returns what to print: a table, or one line of JSON.

    Raises:
        PcavsError: As `compare`.
    """
    comparison = compare(options)
    lines = [json.dumps(dataclasses.asdict(comparison))] if options.json else comparison.lines()
    return Outcome(lines, not comparison.failed)


def compare(options: CompareOptions) -> Comparison:
    """Aligns and measures the first minute of each video.

    Videos that cannot be read, have no sound, are shorter than a second or show no face are left out, with the reason.

    Raises:
        InputError: That is so of the reference, or of all videos.
    """
    if not options.films:
        raise InputError("no videos to compare; give at least one")
    judges = load_judges(judges_folder(options.judges))
    truth = None if options.reference is None else _observed(options.reference, judges)[1]
    rows: dict[str, Row] = {}
    failed: dict[str, InputError] = {}
    for path in options.films:
        try:
            clip, film = _observed(path, judges)
        except InputError as error:
            failed[str(path)] = error
            continue
        count = len(clip.faces)
        sound = embed_sound(frame_windows(clip.waveform, count), clip.waveform, judges)
        reference = Reference(sound=sound, silent=silent_frames(clip.waveform)[:count])
        if truth is not None:
            identity = reference_identity(truth, judges)
            reference = reference._replace(truth=truth, angles_deg=truth.angles_deg, identity=identity)
        rows[str(path)] = measure(film, reference, judges)
    if not rows:
        raise next(iter(failed.values()))
    return Comparison(
        films=rows,
        failed={name: str(error) for name, error in failed.items()},
        reference=None if options.reference is None else str(options.reference),
        judge=judges.sync.name,
    )


def _observed(path: Path, judges: Judges) -> tuple[EvaluationClip, Observation]:
    clip = read_clip(ClipSource(path.stem, path.stem, path), _MAX_S, judges.landmarker)
    return clip, observe(list(np.asarray(clip.faces)), judges, path.name)
