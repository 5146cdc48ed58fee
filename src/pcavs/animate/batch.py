"""Implements `pcavs batch`: makes the films of a list of jobs with one loaded talker.

A row that fails does not stop the others. A journal (JSON lines) records the outcome of each row, so that a later run
skips finished ones. Lists may come from untrusted users: a malformed row or file is an `InputError`.
"""

import contextlib
import csv
import dataclasses
import hashlib
import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from pcavs.animate.inputs import input_files
from pcavs.animate.load import load_talker
from pcavs.animate.options import AnimateOptions, BatchOptions
from pcavs.animate.run import make_film
from pcavs.animate.say import with_driving_audio
from pcavs.animate.settings import QUOTED_CHARACTERS, NamedFiles, converted
from pcavs.animate.talker import Talker, no_progress
from pcavs.errors import InputError, OutputError, PcavsError, unknown_setting
from pcavs.media.files import refuse_replacing
from pcavs.media.names import path_exists
from pcavs.provenance.film_log import check_log

logger = logging.getLogger(__name__)

_MAX_BYTES: Final = 64_000_000
"""Size of the largest list that is read."""
_BATCH_SETTINGS: Final = {"weights", "device", "quiet", "json", "outside", "sign_with", "tsa", "log"}
"""Settings of `pcavs animate` that a row cannot have: they apply to the whole batch, or to single films only."""
_DELIMITERS: Final = (",", ";", "\t")
"""Characters between the columns of a .csv; the first line shows which, because no setting's name has one."""
_DIGEST_CHARACTERS: Final = 16
"""Hexadecimal digits that identify a row in the journal."""


class Report(NamedTuple):
    """The outcome of a batch."""

    made: int
    """Films that this run made."""
    skipped: int
    """Rows that an earlier run finished."""
    failed: int
    """Rows whose film could not be made."""
    lines: list[str]
    """One line for each row that failed, and one for the whole batch."""

    @property
    def ok(self) -> bool:
        """Whether no row failed."""
        return not self.failed


class Job(NamedTuple):
    """One row of a list."""

    number: int
    """Position in the list, from 1 on."""
    fields: dict[str, Any]
    """Unchecked settings by name; all are text in a .csv, any JSON values in a .jsonl."""


def run(options: BatchOptions) -> Report:
    """Makes the films of a list, one after the other; errors of single rows are in the report.

    Raises:
        PcavsError: The list cannot be read, or the journal cannot be written.
    """
    jobs = list(read_jobs(options.jobs))
    journal = options.journal or options.jobs.with_name(options.jobs.name + ".journal.jsonl")
    earlier = _finished(journal)
    finished = set() if options.again else earlier
    talker: Talker | None = None
    refuse_replacing([journal, options.log], [("the list of jobs", options.jobs)])
    if options.log is not None:
        check_log(options.log)
    lists = [("the list of jobs", options.jobs), ("the journal", journal)]
    made = skipped = 0
    films: list[tuple[str, Path]] = []
    lines: list[str] = []
    for job in jobs:
        digest = _digest(job)
        try:
            film = film_options(job, options.jobs.parent, outside=options.outside)
            if digest in finished and path_exists(film.out):
                skipped += 1
                continue
            refuse_replacing([film.out, film.report], [*lists, *films])
            if path_exists(film.out) and digest not in earlier:
                refuse_replacing([film.out], _inputs_of_rows(jobs, options))
            if options.require_consent and film.consent is None:
                raise InputError("no consent; this batch requires a record of the person's consent in every row")
            talker = talker or load_talker(options.weights, options.device)
            film = dataclasses.replace(
                film,
                overwrite=film.overwrite or options.again,
                sign_with=options.sign_with,
                tsa=options.tsa,
                log=options.log,
            )
            with with_driving_audio(film) as resolved:
                summary = make_film(talker, resolved, no_progress)
            made += 1
            films.append((f"the film of row {job.number}", film.out))
            _append(journal, {"row": job.number, "digest": digest, "done": True, "film": dataclasses.asdict(summary)})
        except PcavsError as error:
            lines.append(f"row {job.number}: {' '.join(str(error).split())}")
            logger.warning("%s", lines[-1])
            _append(journal, {"row": job.number, "digest": digest, "done": False, "error": str(error)})
    total = f"{made} films made, {skipped} finished earlier, {len(lines)} failed, of {len(jobs)}; see {journal}"
    return Report(made, skipped, len(lines), [*lines, total])


def _inputs_of_rows(jobs: list[Job], options: BatchOptions) -> list[tuple[str, Path]]:
    """Lists the files that the rows read; leaves rows out that cannot be used."""
    files: list[tuple[str, Path]] = []
    for job in jobs:
        with contextlib.suppress(PcavsError):
            film = film_options(job, options.jobs.parent, outside=options.outside)
            files += [(f"{name} of row {job.number}", path) for name, path in input_files(film)]
    return files


def read_jobs(path: Path) -> Iterator[Job]:
    """Reads the rows of a list without checking their settings.

    Args:
        path: A .csv file (with commas, semicolons or tabs), whose first line names the settings, or a .jsonl file with
            one object a line.

    Raises:
        InputError: The list cannot be read.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path} is larger than {_MAX_BYTES // 1_000_000} MB; split it")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check its name and permissions") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    if path.suffix not in (".csv", ".jsonl"):
        raise InputError(f"{path} is neither .csv nor .jsonl; give one of these (docs/pose.md shows both)")
    rows = list(_json_rows(path, text) if path.suffix == ".jsonl" else _csv_rows(path, text))
    if not rows:
        raise InputError(f"{path} has no rows; give one for each film")
    return (Job(number, fields) for number, fields in enumerate(rows, start=1))


def film_options(job: Job, folder: Path, *, outside: bool = False) -> AnimateOptions:
    """Converts a row into the options of its film.

    Args:
        job: The row.
        folder: Folder of the list, to which file names are relative.
        outside: Files may lie outside of it.

    Raises:
        InputError: A setting is unknown, missing, or of the wrong kind.
    """
    known = {field.name: field for field in dataclasses.fields(AnimateOptions) if field.name not in _BATCH_SETTINGS}
    values: dict[str, Any] = {}
    for name, value in job.fields.items():
        if name not in known:
            hint = "; it is the same for all rows: give it on the command line" if name in _BATCH_SETTINGS else ""
            raise InputError(unknown_setting(str(name)[:QUOTED_CHARACTERS], known) + hint)
        if value not in (None, ""):
            value = known[name].metadata.get("alone", value) if value is True else value
            values[name] = converted(name, known[name].type, value, NamedFiles(folder, outside))
    for name in ("identity", "out"):
        if name not in values:
            raise InputError(f"the setting {name} is missing; give it in every row")
    return AnimateOptions(outside=outside, **values)


def _json_rows(path: Path, text: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}, is not JSON; give one object a line") from error
        if not isinstance(fields, dict):
            raise InputError(f"{path}, line {number}, is not a JSON object in braces; give one object a line")
        yield fields


def _csv_rows(path: Path, text: str) -> Iterator[dict[str, Any]]:
    try:
        table = text.splitlines()
        delimiter = max(_DELIMITERS, key=table[0].count) if table else ","
        lines = [row for row in csv.reader(table, strict=True, delimiter=delimiter) if row]
    except csv.Error as error:
        raise InputError(f"{path} is not CSV ({error}); check its quotes and commas") from error
    if not lines:
        return
    names = [name.strip() for name in lines[0]]
    for number, row in enumerate(itertools.islice(lines, 1, None), start=1):
        if len(row) != len(names):
            counts = f"{len(row)} columns and the first line {len(names)}"
            raise InputError(f"{path}, row {number}, has {counts}; give every row as many as the first line")
        yield dict(zip(names, row, strict=True))


def _digest(job: Job) -> str:
    """Returns a digest of a row's settings, which identifies the row in the journal wherever it is in the list."""
    return hashlib.sha256(json.dumps(job.fields, sort_keys=True).encode()).hexdigest()[:_DIGEST_CHARACTERS]


def _finished(journal: Path) -> set[str]:
    """Returns the digests of the rows that earlier runs finished; skips damaged lines, as a killed run leaves them."""
    if not journal.is_file():
        return set()
    finished: set[str] = set()
    for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(fields, dict) and fields.get("done") is True:
            finished.add(str(fields.get("digest")))
    return finished


def _append(journal: Path, fields: dict[str, Any]) -> None:
    """Appends one line to the journal."""
    try:
        with journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")
    except OSError as error:
        raise OutputError(f"{journal} cannot be written ({error.strerror}); give another --journal") from error
