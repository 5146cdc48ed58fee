"""Options of preparing films and pictures, and of packing shards."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """Turns films and pictures of faces into shards of aligned clips."""

    source: Path
    """Folder of films and pictures; searched through."""
    out: Path
    """Folder for the shards and the ledger."""
    index: Path | None = None
    """CSV with a column `path` (relative to its own folder) and, as known, `identity`, `source`, `split` and
    `licence`. Without it a file's folder is its speaker, and one speaker in twenty is held out."""
    crop_px: int = 256
    """Side of the stored crop."""
    turned: int = 24
    """Frames made of each picture by turning its face in space; 1 keeps the picture alone."""
    workers: int = 2
    """Processes; 1 does everything in this one."""


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
