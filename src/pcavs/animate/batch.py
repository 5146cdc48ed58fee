"""`pcavs batch`: many films, one talker; a row that fails does not stop the others."""

import csv
import dataclasses
import hashlib
import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

from pcavs.animate.options import AnimateOptions, BatchOptions
from pcavs.animate.run import make
from pcavs.animate.say import with_voice
from pcavs.animate.talker import Talker, load_talker
from pcavs.errors import InputError, OutputError, PcavsError, unknown_setting
from pcavs.media.files import path_exists

logger = logging.getLogger(__name__)

_MOST_BYTES: Final = 64_000_000
_COMMON: Final = {"weights", "device", "quiet", "json"}
"""Settings that hold for all rows, or mean nothing in one."""
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


class Report(NamedTuple):
    """What became of the rows."""

    made: int
    passed_over: int
    failed: int
    lines: list[str]
    """A line a row that failed, and one for all."""

    @property
    def ok(self) -> bool:
        """Whether every film is there."""
        return not self.failed


class Job(NamedTuple):
    """A row."""

    number: int
    """From 1 on."""
    fields: dict[str, Any]


def run(options: BatchOptions) -> Report:
    """Makes the films of a list, one after the other.

    Raises:
        PcavsError: The list, the weights or the journal cannot be used; what is wrong with a row is in the report.
    """
    jobs = list(read_jobs(options.jobs))
    journal = options.journal or options.jobs.with_name(options.jobs.name + ".journal.jsonl")
    done = set() if options.again else _done(journal)
    talker: Talker | None = None
    made = passed_over = 0
    lines: list[str] = []
    for job in jobs:
        digest = _digest(job)
        try:
            film = film_options(job, options.jobs.parent)
            if digest in done and path_exists(film.out):
                passed_over += 1
                continue
            talker = talker or load_talker(options.weights, options.device)
            # What was begun by an earlier run of the same row is this batch's own.
            with with_voice(dataclasses.replace(film, overwrite=film.overwrite or options.again)) as spoken:
                summary = make(talker, spoken, lambda *_: None)
            made += 1
            _note(journal, {"row": job.number, "digest": digest, "done": True, "film": dataclasses.asdict(summary)})
        except PcavsError as error:
            lines.append(f"row {job.number}: {' '.join(str(error).split())}")
            logger.warning("%s", lines[-1])
            _note(journal, {"row": job.number, "digest": digest, "done": False, "error": str(error)})
    total = f"{made} films made, {passed_over} there already, {len(lines)} failed, of {len(jobs)}; see {journal}"
    return Report(made, passed_over, len(lines), [*lines, total])


def read_jobs(path: Path) -> Iterator[Job]:
    """Reads the rows of a list, without looking at what they say.

    Raises:
        InputError: The list cannot be read.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path} is larger than {_MOST_BYTES // 1_000_000} MB; split it")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}); check the name and its rights") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8; save it so") from error
    if path.suffix not in (".csv", ".jsonl"):
        raise InputError(f"{path} is neither .csv nor .jsonl; docs/pose.md shows both")
    rows = list(_json_rows(path, text) if path.suffix == ".jsonl" else _csv_rows(path, text))
    if not rows:
        raise InputError(f"{path} has no rows; give one a film")
    return (Job(number, fields) for number, fields in enumerate(rows, start=1))


def film_options(job: Job, folder: Path) -> AnimateOptions:
    """Turns a row into the options of its film.

    Raises:
        InputError: A setting is unknown, missing, or of the wrong kind.
    """
    known = {field.name: field for field in dataclasses.fields(AnimateOptions) if field.name not in _COMMON}
    values: dict[str, Any] = {}
    for name, value in job.fields.items():
        if name not in known:
            hint = "; it is the same for all rows: give it on the command line" if name in _COMMON else ""
            raise InputError(unknown_setting(str(name)[:40], known) + hint)
        if value not in (None, ""):
            values[name] = _converted(name, known[name].type, value, folder)
    for name in ("identity", "out"):
        if name not in values:
            raise InputError(f"there is no {name}; give it")
    return AnimateOptions(**values)


def _converted(name: str, kind: Any, value: Any, folder: Path) -> Any:
    if name in ("pose", "face", "pose_face"):
        there = folder / str(value)
        word = str(there) if path_exists(there) and there.is_file() else str(value)
        return Path(word) if name == "pose" else word
    if name == "references":
        words = value if isinstance(value, list) else str(value).split(";")
        return tuple(folder / str(word).strip() for word in words)
    kinds = {each for each in (get_args(kind) or (kind,)) if each is not type(None)}
    try:
        if Path in kinds:
            return folder / str(value)
        if bool in kinds:
            return _truth(value)
        if int in kinds:
            return int(str(value))
        if float in kinds:
            return float(str(value))
    except ValueError as error:
        raise InputError(f"{name} is {str(value)[:40]!r}; give a number, or true or false for a switch") from error
    return str(value)


def _truth(value: Any) -> bool:
    word = str(value).lower()
    if word not in _TRUE + _FALSE:
        raise ValueError(word)
    return word in _TRUE


def _json_rows(path: Path, text: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}, is not JSON; give one object a line") from error
        if not isinstance(fields, dict):
            raise InputError(f"{path}, line {number}, is no object in braces; give one a line")
        yield fields


def _csv_rows(path: Path, text: str) -> Iterator[dict[str, Any]]:
    try:
        lines = [row for row in csv.reader(text.splitlines(), strict=True) if row]
    except csv.Error as error:
        raise InputError(f"{path} is not CSV ({error}); check its quotes and commas") from error
    if not lines:
        return
    names = [name.strip() for name in lines[0]]
    for number, row in enumerate(itertools.islice(lines, 1, None), start=1):
        if len(row) != len(names):
            raise InputError(f"{path}, row {number}, has {len(row)} columns and the first line {len(names)}; even them")
        yield dict(zip(names, row, strict=True))


def _digest(job: Job) -> str:
    return hashlib.sha256(json.dumps(job.fields, sort_keys=True).encode()).hexdigest()[:16]


def _done(journal: Path) -> set[str]:
    """Digests of the rows that earlier runs finished; lines that were cut short by a kill are passed over."""
    if not journal.is_file():
        return set()
    done: set[str] = set()
    for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(fields, dict) and fields.get("done") is True:
            done.add(str(fields.get("digest")))
    return done


def _note(journal: Path, fields: dict[str, Any]) -> None:
    try:
        with journal.open("a", encoding="utf-8") as file:
            file.write(json.dumps(fields) + "\n")
    except OSError as error:
        raise OutputError(f"{journal} cannot be written ({error.strerror}); give a journal elsewhere") from error
