"""Draws clips of people who speak from prepared shards, to animate the mouths of photographs."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from pcavs.data.shard import Span, read_clip, read_ledger
from pcavs.errors import DataError
from pcavs.media.bitstream import decode_pictures
from pcavs.prepare.spoken_photos import DrivingMouth, can_drive
from pcavs.types import Waveform

_CANDIDATES_PER_CLIP: Final = 5
"""Clips tried for each one wanted, because not every clip shows its mouth both shut and open. Tuned by hand."""


class DrivingClip(NamedTuple):
    """A clip that animates a photograph."""

    mouth: DrivingMouth
    sound: Waveform
    facts: dict[str, Any]
    """`spoken_by`, the clip's key, and `spoken_licence`, both recorded with every clip made from it."""


def draw_driving_clips(
    folders: tuple[Path, ...], split: str, count: int, rng: np.random.Generator
) -> Iterator[DrivingClip]:
    """Draws clips with sound of a split at random, none twice; fewer than `count` where too few can drive.

    Raises:
        DataError: A folder holds no clips with sound, or a shard is missing or damaged.
    """
    rows = [(folder, row) for folder in folders for row in find_driving_clips(folder) if row["split"] == split]
    order = rng.permutation(len(rows))[: count * _CANDIDATES_PER_CLIP]
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
        yield DrivingClip(DrivingMouth(list(decode_pictures(clip.film)), clip.mesh), clip.waveform, facts)


@functools.cache
def find_driving_clips(folder: Path) -> tuple[dict[str, Any], ...]:
    """Lists the ledger rows of the kept clips with sound.

    Raises:
        DataError: There are none.
    """
    rows = tuple(row for row in read_ledger(folder) if row["kept"] and row["heard"])
    if not rows:
        raise DataError(f"no clips with sound in {folder}; give shards that `pcavs prepare` made of people who speak")
    return rows
