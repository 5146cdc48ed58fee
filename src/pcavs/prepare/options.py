"""Options of preparing films and pictures, and of packing shards."""

import dataclasses
from pathlib import Path
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """Turns films and pictures of faces into shards of aligned clips."""

    source: Path
    """Folder of films and pictures; searched through."""
    out: Path
    """Folder for the shards, the ledger and the report; a run that was stopped goes on where it was."""
    index: Path | None = None
    """CSV with a column `path` (relative to its own folder) and, as known, `identity`, `source`, `split` and
    `licence`."""
    layout: Literal["auto", "folder", "voxceleb2", "lrw"] = "auto"
    """Who speaks, where no index says it: by VoxCeleb2's or LRW's folders, or, in `folder`, by the file's first folder
    with one speaker in twenty held out. `auto` looks at each path."""
    crop_px: int = 256
    """Side of the stored crop."""
    limits: tuple[tuple[str, float], ...] = ()
    """Limits of gates, for example `face-size 60 offset 1`; the gates are length, face-size, found, sharpness, sound
    (`sound -200` keeps silent films) and offset (`offset 15` keeps films out of sync)."""
    longest_s: float = 10.0
    """Longer stretches of a face are cut into clips of this length; memory grows with it."""
    turned: int = 24
    """Frames made of each picture by turning its face in space; 1 keeps the picture alone."""
    drivers: tuple[Path, ...] = ()
    """Folders of shards of people who speak: each picture with a shut mouth then also speaks as some of them do, with
    their sound; a clip of the picture's own split each time."""
    spoken: int = 4
    """Clips made of each such picture."""
    engine: Literal["local", "ray"] = "local"
    """`local` works in processes here; `ray` on a Ray cluster whose machines all see `source` and `out`."""
    address: str = "auto"
    """Ray: address of the cluster's head, such as `ray://host:10001`."""
    workers: int = 2
    """Files at a time; 1 does everything in this process."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackOptions:
    """Turns shards into packs: what training reads, without any video decoder."""

    shards: tuple[Path, ...]
    """Folders of shards, or shards."""
    out: Path
    """Folder for the packs."""
    frame_px: int = 128
    """Side of the faces, as the talker's spec has it."""
    every: int = 1
    """Keeps one clip in so many, to fit a small transfer."""
    quality: int = 92
    """JPEG quality of the faces."""
