"""The work of one worker of `pcavs prepare`: turns one source into its piece, without ever stopping the run.

A piece is the intermediate result of a source: a tar of its clips and, beside it, their ledger rows as JSON lines. It
is complete as soon as the rows are on disk; a stopped run continues from the pieces, and `pcavs.prepare.run` joins them
into shards. Workers may run on any machine that can read and write the folder.
"""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from pcavs.data.shard import AlignedClip, ShardWriter
from pcavs.errors import InputError, OutputError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import angles_deg
from pcavs.media.files import write_text
from pcavs.prepare.clip import Outcome, prepare_source, round_measures
from pcavs.prepare.gates import Rejection, resolve_limits
from pcavs.prepare.options import PrepareOptions
from pcavs.prepare.sources import Source

POSE_PERCENTILES: Final = (5, 25, 50, 75, 95)
"""Percentiles of a clip's yaw and pitch in its ledger row, from which the report estimates those of the whole set."""


def piece_path(out: Path, number: int) -> Path:
    """Returns the path of the piece of source `number`; its ledger rows lie beside it, with the suffix `.jsonl`."""
    return out / ".pieces" / f"{number:08d}.tar"


def prepare_piece(number: int, source: Source, options: PrepareOptions) -> int:
    """Prepares one source, writes its piece and returns the number of ledger rows.

    Raises:
        OutputError: The folder cannot be written.
    """
    path = piece_path(options.out, number)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with ShardWriter(path) as shard:
            rows = [_ledger_row(source, outcome, shard) for outcome in try_source(source, options)]
    except OSError as error:
        raise OutputError(f"cannot write {options.out}: {error}; choose a folder with space") from error
    write_text(path.with_suffix(".jsonl"), "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    return len(rows)


def try_source(source: Source, options: PrepareOptions) -> Iterator[Outcome]:
    """Yields the outcomes of a source; a file that cannot be read or that raises an error is an outcome too."""
    try:
        yield from prepare_source(source, options, resolve_limits(options.limits), _landmarker())
    except InputError as error:
        gate = "face" if "no face" in str(error) else "decodable"
        yield Outcome(source.key, 0, 0, {}, Rejection(gate, " ".join(str(error).split())))
    except Exception as error:  # noqa: BLE001 - one bad file among a hundred thousand must not end the run
        reason = f"fault: {type(error).__name__}: {' '.join(str(error).split())}"
        yield Outcome(source.key, 0, 0, {}, Rejection("fault", reason))


def _ledger_row(source: Source, outcome: Outcome, shard: ShardWriter) -> dict[str, Any]:
    """Stores the clip of an outcome, if it has one, and returns the outcome's ledger row."""
    row: dict[str, Any] = {
        "key": outcome.key,
        "file": source.name,
        "frames": outcome.frames,
        "start_frame": outcome.start_frame,
        "measures": round_measures(outcome.measures),
        "kept": isinstance(outcome.result, AlignedClip),
    }
    if isinstance(outcome.result, AlignedClip):
        span = shard.write(outcome.result)
        facts = outcome.result.facts
        row |= {name: facts[name] for name in ("speaker", "source", "split", "truth")}
        row |= _pose_percentiles(outcome.result)
        row |= {"heard": outcome.result.waveform is not None, "offset": span.offset, "bytes": span.size}
    else:
        row |= {"gate": outcome.result.gate, "reason": outcome.result.reason}
        row |= {"value": outcome.result.value, "limit": outcome.result.limit}
    return row


def _pose_percentiles(clip: AlignedClip) -> dict[str, list[float]]:
    """Returns percentiles of yaw and pitch over the clip's frames, in degrees."""
    angles = angles_deg(clip.pose[:, :9].reshape(-1, 3, 3).astype(np.float64))
    spread = np.percentile(angles[:, :2], POSE_PERCENTILES, axis=0).round(1)
    return {"yaw": spread[:, 0].tolist(), "pitch": spread[:, 1].tolist()}


@functools.cache
def _landmarker() -> FaceLandmarker:
    return FaceLandmarker(threads=1)
