"""`pcavs prepare`: films to shards, a ledger and a report."""

import contextlib
import dataclasses
import fcntl
import json
import logging
import shutil
import time
import zlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, NamedTuple

from pcavs.data.ledger import ledger_path, read_ledger
from pcavs.data.shard import ShardWriter
from pcavs.errors import InputError, OutputError
from pcavs.prepare.drivers import find_drivers
from pcavs.prepare.engines import spread
from pcavs.prepare.gates import limits_of
from pcavs.prepare.options import PrepareOptions
from pcavs.prepare.piece import piece_path, write_text
from pcavs.prepare.report import write_report
from pcavs.prepare.sources import Source, find_sources
from pcavs.spec import FRAME_RATE

logger = logging.getLogger(__name__)

SHARD_SOURCES = 256
"""Files, or parts of long ones, whose clips make a shard."""

SHARD_BYTES = 1 << 30
"""A shard that has grown beyond is followed by another of the same files."""

_TELL_EVERY_S = 10.0

Progress = Callable[[str], None]


class Counts(NamedTuple):
    """What is in the ledger, all runs into this folder together."""

    kept: int
    rejected: int


def run(options: PrepareOptions, progress: Progress = logger.info) -> Counts:
    """Prepares every source and writes shards, a ledger row for each clip, kept or not, and `report.html`.

    What is on disk under its final name is whole. A run that was killed goes on where it stopped, and its shards are
    byte for byte those of a run that was not.

    Args:
        options: What to prepare.
        progress: Is told how far the work is, every ten seconds.

    Raises:
        InputError: There is nothing to prepare, a gate has no such name, or the folder was begun otherwise.
        DataError: A folder of drivers holds no clips with sound.
        OutputError: The folder cannot be written, or another run is writing it.
    """
    limits_of(options.limits)
    for folder in options.drivers:
        find_drivers(folder)
    if options.longest_s < 1 or options.workers < 1:
        raise InputError(f"longest-s {options.longest_s:g} and workers {options.workers} must both be at least 1")
    sources = find_sources(options)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        with _alone(options.out):
            _check_settings(options, sources)
            _prepare(options, sources, progress)
            write_report(options.out)
            rows = [(row["kept"], row["frames"]) for row in read_ledger(options.out)]
    except OSError as error:
        raise OutputError(f"cannot write {options.out}: {error}; choose a folder with space") from error
    kept = sum(1 for is_kept, _ in rows if is_kept)
    return Counts(kept, len(rows) - kept)


@contextlib.contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Holds the folder for this run; the system lets go of it however the run ends."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"another run is writing {folder}; wait for it, or choose another --out") from error
        yield


def _check_settings(options: PrepareOptions, sources: list[Source]) -> None:
    """Refuses to go on with other settings or other files: shards of two kinds would lie side by side."""
    names = ("crop_px", "longest_s", "turned", *(("spoken",) if options.drivers else ()))
    chosen = {name: getattr(options, name) for name in names}
    files = zlib.crc32(repr([(s.key, s.name, s.facts, s.start_s) for s in sources]).encode())
    now = chosen | {"limits": limits_of(options.limits), "sources": len(sources), "files": f"{files:08x}"}
    path = options.out / "prepare.json"
    if not path.exists():
        write_text(path, json.dumps(now, indent=1, sort_keys=True) + "\n")
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    for name in (name for name in before | now if before.get(name) != now.get(name)):
        what = "other files" if name in ("files", "sources") else f"{name} {before.get(name)}, now {now.get(name)}"
        raise InputError(f"{options.out} was begun with {what}; choose another --out, or delete it")


def _prepare(options: PrepareOptions, sources: list[Source], report: Progress) -> None:
    (options.out / ".pieces").mkdir(exist_ok=True)
    for stale in [*options.out.glob("*.part"), *(options.out / ".pieces").glob("*.part")]:
        stale.unlink(missing_ok=True)
    groups = [range(start, min(start + SHARD_SOURCES, len(sources))) for start in range(0, len(sources), SHARD_SOURCES)]
    progress = _Progress(len(sources), report)
    missing: dict[int, set[int]] = {}
    for group, numbers in enumerate(groups):
        if ledger_path(options.out, group).exists():
            _remove_pieces(options.out, numbers)  # a kill may have come between the ledger and this
            progress.skip(len(numbers))
            continue
        done = {number for number in numbers if piece_path(options.out, number).with_suffix(".jsonl").exists()}
        progress.skip(len(done))
        missing[group] = set(numbers) - done
        if not missing[group]:
            write_shard(options.out, group, numbers)
    jobs = ((number, sources[number]) for group in missing for number in sorted(missing[group]))
    with contextlib.closing(spread(jobs, options)) as finished:
        for number in finished:
            group = number // SHARD_SOURCES
            progress.step(piece_path(options.out, number).with_suffix(".jsonl"))
            missing[group].discard(number)
            if not missing[group]:
                write_shard(options.out, group, groups[group])
    shutil.rmtree(options.out / ".pieces")


def write_shard(out: Path, group: int, numbers: range) -> None:
    """Joins the pieces of a group of sources into its shard, or several where they are large; then removes them."""
    rows: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        shard, name = None, ""
        for number in numbers:
            piece = piece_path(out, number)
            with piece.open("rb") as file, piece.with_suffix(".jsonl").open(encoding="utf-8") as lines:
                for row in map(json.loads, lines):
                    if row["kept"]:
                        if shard is None or shard.size > SHARD_BYTES:
                            stack.close()
                            count = 0 if shard is None else int(name.split("-")[2]) + 1
                            name = f"shard-{group:05d}-{count}"
                            shard = stack.enter_context(ShardWriter(out / f"{name}.tar"))
                        file.seek(row["offset"])
                        span = shard.copy(file.read(row["bytes"]))
                        row |= {"shard": f"{name}.tar", "offset": span.offset}
                    rows.append(row)
    write_text(ledger_path(out, group), "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    _remove_pieces(out, numbers)


def _remove_pieces(out: Path, numbers: range) -> None:
    for number in numbers:
        piece_path(out, number).unlink(missing_ok=True)
        piece_path(out, number).with_suffix(".jsonl").unlink(missing_ok=True)


@dataclasses.dataclass
class _Progress:
    """Tells now and then how far the work is, how fast, and how long it will take."""

    total: int
    progress: Progress
    done: int = 0
    worked: int = 0
    clips: int = 0
    kept: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self._began = self._told = time.monotonic()

    def skip(self, count: int) -> None:
        """Counts sources of earlier runs."""
        self.done += count

    def step(self, ledger: Path) -> None:
        """Counts a source that is finished."""
        rows = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
        self.done, self.worked, self.clips = self.done + 1, self.worked + 1, self.clips + len(rows)
        self.kept += sum(row["kept"] for row in rows)
        self.seconds += sum(row["frames"] for row in rows) / FRAME_RATE
        now = time.monotonic()
        if now - self._told >= _TELL_EVERY_S or self.done == self.total:
            self._told = now
            self.progress(self.line(now - self._began))

    def line(self, elapsed_s: float) -> str:
        """One line of news."""
        left_s = round(elapsed_s / max(1, self.worked) * (self.total - self.done))
        left = f"{left_s // 3600}:{left_s // 60 % 60:02d}:{left_s % 60:02d}"
        return (
            f"{self.done} of {self.total} files, {self.kept} of {self.clips} clips kept, "
            f"{self.clips / elapsed_s:.1f} clips and {self.seconds / elapsed_s:.1f} s of film a second, {left} left"
        )
