"""`pcavs compare`: any talking films, ours or a peer's, measured alike."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from pcavs.errors import InputError
from pcavs.evaluate.catalogue import METRICS
from pcavs.evaluate.clips import Case, Source, read_case
from pcavs.evaluate.measure import Expected, Row, measure
from pcavs.evaluate.observe import Seen, Tools, hear, identity_of, judges_folder, load_tools, observe, seen_as
from pcavs.evaluate.options import CompareOptions
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.metrics.sound import silent_frames
from pcavs.spec import MelSpec

_MOST_S = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """What was measured of each film."""

    films: dict[str, Row]
    reference: str | None
    judge: str

    def lines(self) -> list[str]:
        """A table for a reader, a metric a line."""
        names = list(self.films)
        shown = [key for key in METRICS if any(key in row for row in self.films.values())]
        width = max(len(METRICS[key].title) for key in shown) + 2
        head = " " * (width + 18) + "".join(f"{name[-18:]:>20}" for name in names)
        lines = [head]
        for key in shown:
            metric = METRICS[key]
            cells = [f"{row[key]:.{metric.digits}f}" if key in row else "" for row in self.films.values()]
            lines.append(f"{metric.title:{width}}{metric.unit:18}" + "".join(f"{cell:>20}" for cell in cells))
        lines.append(f"sync judge: {self.judge}; likeness to {self.reference or 'nothing: give --reference'}")
        return lines


def run(options: CompareOptions) -> list[str]:
    """Compares, and gives the table's lines, or one of JSON.

    Raises:
        PcavsError: As `compare`.
    """
    comparison = compare(options)
    return [json.dumps(dataclasses.asdict(comparison))] if options.json else comparison.lines()


def compare(options: CompareOptions) -> Comparison:
    """Measures the first minute of each film, cut out and aligned in one way.

    Raises:
        InputError: A film cannot be read, has no sound, or is shorter than a second.
        FaceError: A film shows no face.
    """
    if not options.films:
        raise InputError("no film to measure; give one or more films")
    tools = load_tools(judges_folder(options.judges))
    truth = None if options.reference is None else _observed(options.reference, tools)
    rows = {}
    for path in options.films:
        case, film = _observed(path, tools)
        count = len(case.faces)
        windows = mel_windows(padded_mel(case.waveform, count, MelSpec()))
        expected = Expected(heard=hear(windows, case.waveform, tools), silent=silent_frames(case.waveform)[:count])
        if truth is not None:
            true = truth[1]
            first = seen_as(true.faces[:1], true.raw[:1])
            identity = {each.name: identity_of(first, each, [0])[0] for each in tools.embedders}
            expected = expected._replace(truth=true, angles=true.angles, identity=identity)
        rows[str(path)] = measure(film, expected, tools)
    return Comparison(
        films=rows,
        reference=None if options.reference is None else str(options.reference),
        judge=tools.judge.name,
    )


def _observed(path: Path, tools: Tools) -> tuple[Case, Seen]:
    case = read_case(Source(path.stem, path.stem, path), _MOST_S, tools.landmarker)
    return case, observe(list(np.asarray(case.faces)), tools, path.name)
