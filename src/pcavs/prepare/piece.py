"""What one worker of `pcavs prepare` does: a file into a piece of a shard and its rows of the ledger; never a stop.

A piece is on disk when its rows are: that is what a stopped run goes on from, and what lets workers be anywhere that
sees the folder.
"""

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pcavs.data.shard import AlignedClip, ShardWriter
from pcavs.errors import InputError, OutputError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.prepare.clip import Outcome, prepare_source, rounded
from pcavs.prepare.gates import Rejection, limits_of
from pcavs.prepare.options import PrepareOptions
from pcavs.prepare.sources import Source


def piece_path(out: Path, number: int) -> Path:
    """Where the piece of the source of that number lies; its rows lie beside it, ending in `.jsonl`."""
    return out / ".pieces" / f"{number:08d}.tar"


def make_piece(number: int, source: Source, options: PrepareOptions) -> int:
    """Prepares one source into its piece; gives the number of rows.

    Raises:
        OutputError: The folder cannot be written.
    """
    path = piece_path(options.out, number)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with ShardWriter(path) as shard:
            rows = [_row(source, outcome, shard) for outcome in try_source(source, options)]
        write_text(path.with_suffix(".jsonl"), "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    except OSError as error:
        raise OutputError(f"cannot write {options.out}: {error}; choose a folder with space") from error
    return len(rows)


def try_source(source: Source, options: PrepareOptions) -> Iterator[Outcome]:
    """Gives what becomes of a source; what cannot be read, or breaks, is an outcome too."""
    try:
        yield from prepare_source(source, options, limits_of(options.limits), _landmarker())
    except InputError as error:
        gate = "face" if "no face" in str(error) else "decodable"
        yield Outcome(source.key, 0, 0, {}, Rejection(gate, " ".join(str(error).split())))
    except Exception as error:  # noqa: BLE001 - one odd file in a hundred thousand must not end a night's work
        reason = f"fault: {type(error).__name__}: {' '.join(str(error).split())}"
        yield Outcome(source.key, 0, 0, {}, Rejection("fault", reason))


def write_text(path: Path, text: str) -> None:
    """Writes a file that appears whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _row(source: Source, outcome: Outcome, shard: ShardWriter) -> dict[str, Any]:
    row: dict[str, Any] = {
        "key": outcome.key,
        "file": source.name,
        "frames": outcome.frames,
        "start_frame": outcome.start_frame,
        "measures": rounded(outcome.measures),
        "kept": isinstance(outcome.result, AlignedClip),
    }
    if isinstance(outcome.result, AlignedClip):
        span = shard.write(outcome.result)
        facts = outcome.result.facts
        row |= {name: facts[name] for name in ("speaker", "source", "split", "truth")}
        row |= {"heard": outcome.result.waveform is not None, "offset": span.offset, "bytes": span.size}
    else:
        row |= {"gate": outcome.result.gate, "reason": outcome.result.reason}
        row |= {"value": outcome.result.value, "limit": outcome.result.limit}
    return row


@functools.cache
def _landmarker() -> FaceLandmarker:
    return FaceLandmarker(threads=1)
