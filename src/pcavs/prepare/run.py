"""`pcavs prepare`: turns a folder of videos and photographs into shards, a ledger and a report.

Each source becomes a piece (`pcavs.prepare.worker`), and the pieces of 256 sources become a shard. Files appear under
their final name only when they are complete, so a run that was killed continues from what is on disk.
"""

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
from typing import Any, Final, NamedTuple

from pcavs.data.shard import ShardWriter, ledger_path, read_ledger
from pcavs.errors import InputError, OutputError
from pcavs.media.files import write_text
from pcavs.prepare.driving_clips import find_driving_clips
from pcavs.prepare.executors import run_jobs
from pcavs.prepare.gates import resolve_limits
from pcavs.prepare.options import PrepareOptions
from pcavs.prepare.report import write_report
from pcavs.prepare.sources import Source, find_sources
from pcavs.prepare.worker import piece_path
from pcavs.spec import FRAME_RATE

logger = logging.getLogger(__name__)

SHARD_SOURCES = 256
"""Sources (files, or parts of long ones) whose clips make a shard."""

SHARD_BYTES: Final = 1 << 30
"""Size after which a shard is followed by another one of the same sources."""

_PROGRESS_INTERVAL_S: Final = 10.0
"""Seconds between two lines of progress."""

PrintLine = Callable[[str], None]


class Counts(NamedTuple):
    """Number of clips in the ledger, those of earlier runs included."""

    kept: int
    rejected: int


def run(options: PrepareOptions, print_line: PrintLine = logger.info) -> Counts:
    """Prepares every source and writes shards, a ledger row for each clip, kept or not, and `report.html`.

    A run that was killed continues where it stopped, and its shards equal those of an undisturbed run byte for byte.

    Args:
        options: What to prepare.
        print_line: Receives a line of progress every ten seconds.

    Raises:
        InputError: There is nothing to prepare, a gate does not exist, or the folder holds a run with other settings.
        DataError: A folder of driving clips holds no clips with sound.
        OutputError: The folder cannot be written, or another run is writing it.
    """
    resolve_limits(options.limits)
    for folder in options.drivers:
        find_driving_clips(folder)
    if options.longest_s < 1 or options.workers < 1:
        raise InputError(f"longest-s {options.longest_s:g} and workers {options.workers} must both be at least 1")
    sources = find_sources(options)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        with _lock(options.out):
            _check_settings(options, sources)
            _prepare(options, sources, print_line)
            write_report(options.out)
            rows = [(row["kept"], row["frames"]) for row in read_ledger(options.out)]
    except OSError as error:
        raise OutputError(f"cannot write {options.out}: {error}; choose a folder with space") from error
    kept = sum(1 for is_kept, _ in rows if is_kept)
    return Counts(kept, len(rows) - kept)


@contextlib.contextmanager
def _lock(folder: Path) -> Generator[None]:
    """Locks the folder against other runs; the operating system releases the lock however the process ends."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"another run is writing {folder}; wait for it, or choose another --out") from error
        yield


def _check_settings(options: PrepareOptions, sources: list[Source]) -> None:
    """Stores the settings of a new run; refuses to continue a run with other settings or files, which would mix.

    Raises:
        InputError: The folder was begun with other settings or files.
    """
    names = ("crop_px", "longest_s", "turned", "offset", *(("spoken",) if options.drivers else ()))
    chosen = {name: getattr(options, name) for name in names}
    files = zlib.crc32(repr([(s.key, s.name, s.facts, s.start_s) for s in sources]).encode())
    now = chosen | {"limits": resolve_limits(options.limits), "sources": len(sources), "files": f"{files:08x}"}
    path = options.out / "prepare.json"
    if not path.exists():
        write_text(path, json.dumps(now, indent=1, sort_keys=True) + "\n")
        return
    before = json.loads(path.read_text(encoding="utf-8"))
    for name in (name for name in before | now if before.get(name) != now.get(name)):
        what = "other files" if name in ("files", "sources") else f"{name} {before.get(name)}, now {now.get(name)}"
        raise InputError(f"{options.out} was begun with {what}; choose another --out, or delete it")


def _prepare(options: PrepareOptions, sources: list[Source], print_line: PrintLine) -> None:
    """Prepares the sources that have no piece yet, and writes a shard as soon as all its pieces are there."""
    (options.out / ".pieces").mkdir(exist_ok=True)
    for stale in [*options.out.glob("*.part"), *(options.out / ".pieces").glob("*.part")]:
        stale.unlink(missing_ok=True)
    groups = [range(start, min(start + SHARD_SOURCES, len(sources))) for start in range(0, len(sources), SHARD_SOURCES)]
    progress = _Progress(len(sources), print_line)
    missing: dict[int, set[int]] = {}
    for group, numbers in enumerate(groups):
        if ledger_path(options.out, group).exists():
            _remove_pieces(options.out, numbers)  # an earlier run may have been killed just before it did this
            progress.skip(len(numbers))
            continue
        done = {number for number in numbers if piece_path(options.out, number).with_suffix(".jsonl").exists()}
        progress.skip(len(done))
        missing[group] = set(numbers) - done
        if not missing[group]:
            write_shard(options.out, group, numbers)
    jobs = ((number, sources[number]) for group in missing for number in sorted(missing[group]))
    with contextlib.closing(run_jobs(jobs, options)) as finished:
        for number in finished:
            group = number // SHARD_SOURCES
            progress.step(piece_path(options.out, number).with_suffix(".jsonl"))
            missing[group].discard(number)
            if not missing[group]:
                write_shard(options.out, group, groups[group])
    shutil.rmtree(options.out / ".pieces")


def write_shard(out: Path, group: int, numbers: range) -> None:
    """Joins the pieces of a group of sources into a shard, or several where they are large, and removes the pieces.

    The ledger is written last: once it exists, all shards of the group are complete.
    """
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
    """Counts finished sources and reports progress, speed and remaining time at intervals."""

    total: int
    """Sources of the run."""
    print_line: PrintLine
    done: int = 0
    """Sources finished, those of earlier runs included."""
    done_now: int = 0
    """Sources finished by this run, from which its speed is computed."""
    clips: int = 0
    kept: int = 0
    seconds: float = 0.0
    """Length of the clips of this run, rejected ones included."""

    def __post_init__(self) -> None:
        self._began = self._printed = time.monotonic()

    def skip(self, count: int) -> None:
        """Counts sources that earlier runs finished."""
        self.done += count

    def step(self, ledger: Path) -> None:
        """Counts a finished source from its ledger rows, and prints a line where one is due."""
        rows = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
        self.done, self.done_now, self.clips = self.done + 1, self.done_now + 1, self.clips + len(rows)
        self.kept += sum(row["kept"] for row in rows)
        self.seconds += sum(row["frames"] for row in rows) / FRAME_RATE
        now = time.monotonic()
        if now - self._printed >= _PROGRESS_INTERVAL_S or self.done == self.total:
            self._printed = now
            self.print_line(self.line(now - self._began))

    def line(self, elapsed_s: float) -> str:
        """Formats one line of progress."""
        left_s = round(elapsed_s / max(1, self.done_now) * (self.total - self.done))
        left = f"{left_s // 3600}:{left_s // 60 % 60:02d}:{left_s % 60:02d}"
        return (
            f"{self.done} of {self.total} files, {self.kept} of {self.clips} clips kept, {self.clips / elapsed_s:.1f} "
            f"clips and {self.seconds / elapsed_s:.1f} s of video per second, {left} left"
        )
