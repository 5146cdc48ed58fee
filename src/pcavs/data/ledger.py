"""The ledger: a JSON line for each clip that was looked at, kept or not; for kept ones, where they lie."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pcavs.errors import DataError


def ledger_path(folder: Path, group: int) -> Path:
    """The ledger of a group of sources: when it is there, all its shards are."""
    return folder / f"shard-{group:05d}.jsonl"


def read_ledger(folder: Path) -> Iterator[dict[str, Any]]:
    """Reads the rows of all shards of a folder, in order.

    Raises:
        DataError: A row is no JSON.
    """
    for path in sorted(folder.glob("shard-*.jsonl")):
        with path.open(encoding="utf-8") as file:
            try:
                yield from map(json.loads, file)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path} is damaged ({error}); delete it and run `pcavs prepare` again") from error
