"""Clips of people who speak, drawn from prepared shards to move the mouths of pictures."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pcavs.data.ledger import read_ledger
from pcavs.data.shard import Span, read_clip
from pcavs.errors import DataError
from pcavs.media.bitstream import decode_pictures
from pcavs.prepare.speaking import Driver, can_drive
from pcavs.types import Waveform

_TRIES = 5
"""Clips looked at for each that is wanted: not everybody shuts the mouth and opens it within a clip."""


class DrawnDriver(NamedTuple):
    """A clip that moves a picture's mouth."""

    mouth: Driver
    sound: Waveform
    facts: dict[str, Any]
    """`spoken_by`, the clip's key, and its licence, to be told with what is made of it."""


def draw_drivers(folders: tuple[Path, ...], split: str, count: int, rng: np.random.Generator) -> Iterator[DrawnDriver]:
    """Draws clips of a split, as many as asked for or as are fit to drive, none twice.

    Raises:
        DataError: A shard is missing or damaged.
    """
    rows = [(folder, row) for folder in folders for row in find_drivers(folder) if row["split"] == split]
    order = rng.permutation(len(rows))[: count * _TRIES]
    for index in order:
        if count == 0:
            return
        folder, row = rows[index]
        with (folder / row["shard"]).open("rb") as file:
            clip = read_clip(file, Span(row["offset"], row["bytes"]))
        if clip.waveform is None or not can_drive(clip.mesh):
            continue
        count -= 1
        facts = {"spoken_by": clip.key, "spoken_licence": clip.facts.get("licence", "")}
        yield DrawnDriver(Driver(list(decode_pictures(clip.film)), clip.mesh), clip.waveform, facts)


@functools.cache
def find_drivers(folder: Path) -> tuple[dict[str, Any], ...]:
    """Lists the ledger's rows of clips with sound.

    Raises:
        DataError: There are none.
    """
    rows = tuple(row for row in read_ledger(folder) if row["kept"] and row["heard"])
    if not rows:
        raise DataError(f"no clips with sound in {folder}; give shards that `pcavs prepare` made of people who speak")
    return rows
