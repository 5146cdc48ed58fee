"""`pcavs evaluate --protocol paper-table`: the columns of published tables, for films of any program.

Films of other programs lie in one folder a method, named like the clips of a test list; films of `pcavs` weights are
made. Each film and each true clip is aligned to the same 256 px template by its own landmarks. Methods are compared on
the clips that all of them have, pair by pair.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

import pcavs
from pcavs.errors import FaceError, InputError, OutputError
from pcavs.evaluate.blind import score_answers, write_look
from pcavs.evaluate.catalogue import METRICS
from pcavs.evaluate.clip_list import SUFFIXES, ListedClip, read_list
from pcavs.evaluate.clips import ClipSource, EvaluationClip, read_clip
from pcavs.evaluate.films import FilmInputs, cached_talker, identity_reference, make_film
from pcavs.evaluate.measure import FRAME_STEP, Row, face_distances, measure_sync
from pcavs.evaluate.observe import (
    Judges,
    Observation,
    embed_sound,
    frame_windows,
    identity_embeddings,
    judges_folder,
    load_judges,
    observe,
    reference_identity,
)
from pcavs.evaluate.options import EvaluateOptions
from pcavs.evaluate.report import STYLE
from pcavs.evaluate.summary import intervals
from pcavs.media.files import write_json, write_text
from pcavs.metrics.identity import mean_cosine
from pcavs.metrics.image import cpbd, ssim
from pcavs.weights.locate import find_weights

logger = logging.getLogger(__name__)

FORMAT: Final = "pcavs-paper-table-1"

TRUTH: Final = "ground truth"

_FRACTION_DIGITS: Final = 3


class Column(NamedTuple):
    """A column of the table."""

    title: str
    key: str
    """Metric (`catalogue.METRICS`); that of CSIM ends with the name of an identity network."""
    checked: str
    """What it was verified against; empty where it is ours."""
    note: str


COLUMNS: Final = (
    Column(
        "SSIM",
        "ssim",
        "scikit-image 0.26 (Gaussian window, sigma 1.5): equal to 1e-9",
        "luminance; whole aligned crop",
    ),
    Column("CPBD", "cpbd", "the package cpbd 1.0.7: differences of 0.008 on average", "every fifth frame"),
    Column("LMD", "face_lmd_px", "", "px of 256; outline, eyes, nose and lips of our 478 landmarks, not dlib's 68"),
    Column("LMD, mouth", "mouth_lmd_px", "", "px of 256; our 40 lip landmarks"),
    Column("LSE-C", "syncnet_confidence", "", "the user's SyncNet weights, on our crop of the face"),
    Column("LSE-D", "syncnet_distance", "", "the user's SyncNet weights, on our crop of the face"),
    Column("CSIM", "cosine", "", "the user's identity network; four frames against the clip's first"),
    Column("sync", "sync_confidence", "", "this project's sync judge; not on SyncNet's scale"),
)
"""Columns in the order of the table. Those without a reference implementation are marked as ours."""


class _Job(NamedTuple):
    """A clip and its film of each method."""

    clip: ListedClip
    films: tuple[tuple[str, Path], ...]
    weights: tuple[tuple[str, Path | None], ...]
    options: EvaluateOptions


def run(options: EvaluateOptions) -> Path:
    """Measures the films of all methods and returns the path of table.html; or scores the answers of a blind look.

    Raises:
        InputError: A setting is missing, the list or a folder cannot be read, or no clip has a film of every method.
        OutputError: The folder cannot be written.
    """
    try:
        if options.answers:
            return score_answers(options.out, options.answers)
        if options.list is None:
            raise InputError("protocol paper-table needs --list, a file that names the test clips")
        clips = read_list(options.list, options.root)[: options.most_clips]
        methods = find_methods(options.methods)
        weights = _weights(options, methods)
        (options.out / "work").mkdir(parents=True, exist_ok=True)
        jobs = [_Job(clip, _films(clip, clips, methods), weights, options) for clip in clips]
        rows = list(_measured(jobs, options.workers))
        names = [*methods, *(name for name, _ in weights)]
        report = _report(options, rows, names)
        # Paths differ between machines, so that the report has none.
        films = {row["key"]: row.pop("paths") for row in report["rows"]}
        write_json(options.out / "table.json", report)
        write_text(options.out / "table.md", markdown(report))
        if len(names) > 1:
            write_look(options.out, films, names, seed=options.seed, most_s=options.most_s)
        page = options.out / "table.html"
        write_text(page, html(report))
        return page
    except OSError as error:
        raise OutputError(f"cannot write to {options.out} ({error}); choose another folder") from error


def find_methods(given: Sequence[str]) -> dict[str, Path]:
    """Returns the folder of each method by its name: NAME=FOLDER, or all subfolders of FOLDER.

    Raises:
        InputError: A folder does not exist or has no subfolders, or a name is given twice.
    """
    found: dict[str, Path] = {}
    for each in given:
        name, equals, folder = each.partition("=")
        place = Path(folder if equals else each)
        if not place.is_dir():
            raise InputError(f"{place} is not a folder; give NAME=FOLDER, or a folder with one for each method")
        pairs = [(name, place)] if equals else [(path.name, path) for path in sorted(place.iterdir()) if path.is_dir()]
        if not pairs:
            raise InputError(f"{place} has no subfolders; give NAME={place} if it holds the films of one method")
        for key, path in pairs:
            if key in found or key == TRUTH or not key:
                raise InputError(f"the name {key!r} of a method is given twice or is reserved; give it another")
            found[key] = path
    return found


def _weights(options: EvaluateOptions, methods: dict[str, Path]) -> tuple[tuple[str, Path | None], ...]:
    """Names the weights that films are made with: those given, or the package's where no method is given."""
    places = options.weights or (() if methods else (None,))
    named = {find_weights(place).name: place for place in places}
    if len(named) < len(places) or set(named) & set(methods):
        raise InputError("two methods have the same name; rename a folder or a file of weights")
    return tuple(named.items())


def _films(clip: ListedClip, clips: Sequence[ListedClip], methods: dict[str, Path]) -> tuple[tuple[str, Path], ...]:
    """Finds the film that each method made of a clip."""
    is_only = sum(Path(other.name).name == Path(clip.name).name for other in clips) == 1
    found = []
    for name, folder in methods.items():
        stems = [clip.name, clip.name.replace("/", "_"), clip.name.replace("/", "__"), clip.key]
        stems += [Path(clip.name).name] if is_only else []
        paths = (folder / f"{stem}{suffix}" for stem in stems for suffix in SUFFIXES)
        path = next(filter(Path.is_file, paths), None)
        if path is None:
            logger.warning("%s has no film of %s", name, clip.name)
        else:
            found.append((name, path))
    return tuple(found)


def _measured(jobs: list[_Job], workers: int) -> Iterator[dict[str, Any]]:
    """Measures the clips one after the other or in processes; what was measured before is read."""

    def reported(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for number, (job, row) in enumerate(zip(jobs, rows, strict=True), start=1):
            logger.info("%d of %d: %s", number, len(jobs), job.clip.name)
            for reason in row["excluded"]:
                logger.warning("%s", reason)
            yield row

    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            yield from reported(pool.map(_measure, jobs))
    else:
        yield from reported(map(_measure, jobs))


def _measure(job: _Job) -> dict[str, Any]:
    """Measures the true clip and the films of it; a film that cannot be measured is named."""
    store = job.options.out / "work" / f"{job.clip.key}.json"
    folder = judges_folder(job.options.judges)
    networks = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    claim = {
        "films": [[name, _version(path)] for name, path in job.films],
        "made": [_recipe(job, name, place) for name, place in job.weights],
        "clip": [_version(job.clip.path), _version(job.clip.audio), job.options.most_s],
        "judges": [_version(path) for path in networks],
    }
    if store.is_file():
        row = json.loads(store.read_text())
        if row.pop("claim") == claim:
            return row
    row = _row(job, load_judges(folder))
    write_json(store, row | {"claim": claim})
    return row


def _version(path: Path) -> str:
    """Returns a text that changes with the file."""
    return f"{path}:{path.stat().st_mtime_ns}:{path.stat().st_size}"


def _recipe(job: _Job, name: str, place: Path | None) -> list[Any]:
    """Returns what a film of weights is made of: with anything else it is made again."""
    versions = _version(job.clip.path), _version(job.clip.audio)
    return [name, find_weights(place).digest, *versions, job.options.most_s]


def _row(job: _Job, judges: Judges) -> dict[str, Any]:
    clip = job.clip
    row: dict[str, Any] = {"key": clip.key, "name": clip.name, "person": clip.person, "films": {}, "excluded": []}
    row["paths"] = {TRUTH: str(clip.path)}
    try:
        true = read_clip(ClipSource(clip.key, clip.person, clip.path), job.options.most_s, judges.landmarker)
        truth = observe(list(true.faces), judges, clip.name)
    except (FaceError, InputError) as error:
        row["excluded"].append(f"{clip.name}: {error}")
        return row
    tracked = true._replace(raw_meshes=truth.raw_meshes)
    row["films"][TRUTH] = _columns(true, truth, truth if clip.is_own_speech else None, truth, judges)
    places, films = dict(job.weights), dict(job.films)
    for name in (*films, *places):
        try:
            path = films[name] if name in films else _made(job, name, places[name], tracked, judges)
            row["paths"][name] = str(path)
            film = read_clip(ClipSource(clip.key, clip.person, path), job.options.most_s, judges.landmarker)
            seen = observe(list(film.faces), judges, f"{name}, {clip.name}")
        except (FaceError, InputError) as error:
            row["excluded"].append(f"{name}, {clip.name}: {error}")
            continue
        row["films"][name] = _columns(film, seen, truth if clip.is_own_speech else None, truth, judges)
    return row


def _made(job: _Job, name: str, place: Path | None, true: EvaluationClip, judges: Judges) -> Path:
    """Makes the self-driven film of a clip, or that of another clip's speech, with the head as in the clip."""
    path = job.options.out / "films" / name / f"{job.clip.key}.mp4"
    recipe, known = _recipe(job, name, place), path.with_suffix(".made")  # a .json would hold phonemes
    if not known.is_file() or json.loads(known.read_text()) != recipe:
        path.unlink(missing_ok=True)
    speech = true.waveform
    if not job.clip.is_own_speech:
        other = ClipSource("speech", "", job.clip.audio)
        speech = read_clip(other, job.options.most_s, judges.landmarker).waveform
    make_film(cached_talker(place, job.options.device), FilmInputs(identity_reference(true), speech, true), path)
    write_json(known, recipe)
    return path


def _columns(
    film: EvaluationClip, seen: Observation, truth: Observation | None, person: Observation, judges: Judges
) -> Row:
    """Computes the columns of one film.

    Args:
        film: The film, for its sound.
        seen: The film as tracked.
        truth: What it is compared with; None where another clip's speech drives.
        person: The true clip, for the identity.
        judges: The judges.
    """
    count = len(film.faces)
    row: Row = {"cpbd": float(np.mean([cpbd(face) for face in seen.faces[::FRAME_STEP]]))}
    if truth is not None:
        pairs = list(zip(seen.faces, truth.faces, strict=False))
        row["ssim"] = float(np.mean([ssim(*pair) for pair in pairs]))
        row |= face_distances(seen, truth)
    row |= measure_sync(seen, embed_sound(frame_windows(film.waveform, count), film.waveform, judges), judges)
    own = reference_identity(person, judges)
    for embedder in judges.embedders:
        row[f"cosine {embedder.name}"] = mean_cosine(identity_embeddings(seen, embedder), own[embedder.name])
    return row


def _report(options: EvaluateOptions, rows: list[dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """Averages the columns over the clips that all methods have, and compares the first method with each other."""
    excluded = [reason for row in rows for reason in row.pop("excluded")]
    paired = [row for row in rows if {TRUTH, *names} <= set(row["films"])]
    missing = [row["name"] for row in rows if row not in paired]
    if not paired:
        raise InputError(f"no clip of {options.list} has a film of every method ({', '.join(names)}); see the warnings")
    keys = _keys(paired)
    table = {
        name: {key: _averaged(paired, lambda row, n=name, k=key: row["films"][n].get(k)) for key in keys}
        for name in (TRUTH, *names)
    }
    differences = {
        other: {key: _averaged(paired, lambda row, o=other, k=key: _difference(row, names[0], o, k)) for key in keys}
        for other in names[1:]
    }
    judges = load_judges(judges_folder(options.judges))
    return {
        "format": FORMAT,
        "pcavs": pcavs.__version__,
        "list": options.list.name if options.list else "",
        "methods": names,
        "columns": {
            _column_title(column, key): {"key": key, "verified": column.checked, "note": column.note}
            for column in COLUMNS
            for key in keys
            if key.partition(" ")[0] == column.key
        },
        "clips": len(paired),
        "people": len({row["person"] for row in paired}),
        "most_s": options.most_s,
        "without_a_film_of_every_method": missing,
        "excluded": excluded,
        "syncnet": judges.syncnet and judges.syncnet.facts,
        "embedders": [embedder.name for embedder in judges.embedders],
        "table": table,
        "differences": differences,
        "rows": paired,
    }


def _column_title(column: Column, key: str) -> str:
    """Returns the title of a column; that of CSIM names its identity network, of which there may be several."""
    network = key.partition(" ")[2]
    return f"{column.title}, {network}" if network else column.title


def _keys(rows: list[dict[str, Any]]) -> list[str]:
    """Returns the metrics of the columns that were measured, in the order of the table."""
    known = dict.fromkeys(key for row in rows for film in row["films"].values() for key in film)
    return [key for column in COLUMNS for key in known if key.partition(" ")[0] == column.key]


def _averaged(rows: list[dict[str, Any]], value: Callable[[dict[str, Any]], float | None]) -> dict[str, Any] | None:
    values = [(row["person"], value(row)) for row in rows]
    return intervals(values) if any(each is not None for _, each in values) else None


def _difference(row: dict[str, Any], first: str, second: str, key: str) -> float | None:
    a, b = (row["films"][name].get(key) for name in (first, second))
    return None if a is None or b is None else a - b


def markdown(report: dict[str, Any]) -> str:
    """Returns the tables as Markdown."""
    lines = [_heading(report), "", *_rows_of(report, report["table"], signed=False)]
    if report["differences"]:
        lines += ["", f"{report['methods'][0]} minus each other method, pair by pair:", ""]
        lines += _rows_of(report, report["differences"], signed=True)
    return "\n".join([*lines, "", *(f"- {note}" for note in notes(report))]) + "\n"


def _rows_of(report: dict[str, Any], table: dict[str, Any], *, signed: bool) -> list[str]:
    titles = list(report["columns"])
    lines = [f"| method | {' | '.join(map(_title(report), titles))} |", f"|---{'|---' * len(titles)}|"]
    for name, cells in table.items():
        texts = [_cell(cells[report["columns"][title]["key"]], signed=signed) for title in titles]
        lines.append(f"| {name} | {' | '.join(texts)} |")
    return lines


def _title(report: dict[str, Any]) -> Callable[[str], str]:
    def title(name: str) -> str:
        column = report["columns"][name]
        arrow = {"higher": " ↑", "lower": " ↓"}.get(METRICS[column["key"]].better, "")
        return f"{name}{arrow}" + ("" if column["verified"] else " (ours)")

    return title


def _cell(found: dict[str, Any] | None, *, signed: bool) -> str:
    if found is None:
        return ""
    mean, low, high = found["over_people"]
    sign = "+" if signed else ""
    return f"{mean:{sign}.{_FRACTION_DIGITS}f} ({low:{sign}.{_FRACTION_DIGITS}f} to {high:{sign}.{_FRACTION_DIGITS}f})"


def _heading(report: dict[str, Any]) -> str:
    return (
        f"{report['clips']} clips of {report['people']} people from {report['list']}, the first {report['most_s']:g} s "
        f"of each. Means over clips with 95 % bootstrap intervals over people. pcavs {report['pcavs']}."
    )


def notes(report: dict[str, Any]) -> list[str]:
    """Returns what a reader must know of each column and of what is missing."""
    lines = [
        f"{title}: {column['note']}. "
        + (f"Verified against {column['verified']}." if column["verified"] else "Ours: no published figure compares.")
        for title, column in report["columns"].items()
    ]
    lines.append("Every film and true clip is aligned to one template of 256 px by its own landmarks, ours.")
    if report["syncnet"] is None:
        lines.append("LSE-C and LSE-D are missing: convert SyncNet's weights (scripts/convert_judges.py).")
    if not report["embedders"]:
        lines.append("CSIM is missing: put an identity network, such as arcface.onnx, into the folder of the judges.")
    missing = report["without_a_film_of_every_method"]
    if missing:
        lines.append(f"Left out, because not every method has a film: {', '.join(missing)}.")
    return lines


def _small(cell: str) -> str:
    """Puts what is in brackets below the rest, in small letters."""
    text, bracket, rest = cell.partition(" (")
    return f"{text}<small>{rest.removesuffix(')')}</small>" if bracket else cell


def html(report: dict[str, Any]) -> str:
    """Returns the tables as one page without other files."""

    def table(rows: list[str]) -> str:
        cells = [[_small(escape(cell.strip())) for cell in row.strip("|").split("|")] for row in rows]
        head = "".join(f"<th>{cell}</th>" for cell in cells[0])
        body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in cells[2:])
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    parts = [f"<h1>Methods on {escape(report['list'])}</h1><p>{escape(_heading(report))}</p>"]
    parts.append(table(_rows_of(report, report["table"], signed=False)))
    if report["differences"]:
        parts.append(f"<h2>{escape(report['methods'][0])} minus each other method</h2>")
        parts.append(table(_rows_of(report, report["differences"], signed=True)))
    parts.append(f"<h2>Columns</h2><ul>{''.join(f'<li>{escape(note)}</li>' for note in notes(report))}</ul>")
    head = f"<meta charset=utf-8><title>Methods on {escape(report['list'])}</title><style>{STYLE}</style>"
    viewport = "<meta name=viewport content='width=device-width'>"
    return f"<!doctype html><html lang=en><head>{head}{viewport}</head><body>{''.join(parts)}</body></html>\n"
