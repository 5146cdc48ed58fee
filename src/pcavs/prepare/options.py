"""Options of `pcavs prepare` and `pcavs pack`; the field docstrings are the commands' help texts."""

import dataclasses
from pathlib import Path
from typing import Literal, TypeAlias

from pcavs.prepare.layouts import Layout

OffsetPolicy: TypeAlias = Literal["correct", "reject", "keep"]
"""What is done with clips whose picture and sound are apart."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """Turns videos and photographs of faces into shards of aligned clips."""

    source: Path
    """Folder of videos and photographs; all its subfolders are searched."""
    out: Path
    """Folder for the shards, the ledger and the report. The same command continues a run that was stopped."""
    index: Path | None = None
    """CSV with a column `path` (relative to the CSV's own folder) and, where known, `identity`, `source`, `split`
    and `licence`."""
    layout: Layout = "auto"
    """How to find the speaker where there is no index: from the folders of a known data set, or, with `folder`, from
    the first folder of each file, with one speaker in twenty held out. `auto` decides for each file."""
    crop_px: int = 256
    """Side of the stored crop in pixels."""
    limits: tuple[tuple[str, float], ...] = ()
    """Limits of gates, for example `face-size 60 offset 1`. The gates are length, face-size, found, sharpness, sound
    (`sound -200` keeps silent videos) and offset."""
    offset: OffsetPolicy = "correct"
    """What is done with a clip whose picture and sound are two frames apart or more, where the sync judge is sure:
    `correct` moves the sound and notes it, `reject` leaves the clip to the gate offset, `keep` takes it as it is."""
    longest_s: float = 10.0
    """Longest clip in seconds; longer stretches of a face are cut. Memory grows with it."""
    turned: int = 24
    """Number of frames made from each photograph by turning the head; 1 keeps the photograph alone."""
    drivers: tuple[Path, ...] = ()
    """Folders of shards of people who speak. Each photograph with a shut mouth is also animated with the lips and the
    sound of clips of its own split from these shards."""
    spoken: int = 4
    """Number of animated clips made from each such photograph."""
    engine: Literal["local", "ray"] = "local"
    """`local` uses processes of this machine; `ray` uses a Ray cluster whose machines all see `source` and `out`."""
    address: str = "auto"
    """Address of the Ray cluster's head, such as `ray://host:10001`."""
    workers: int = 2
    """Number of files processed at the same time; 1 does everything in this process."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackOptions:
    """Turns shards into packs, which training reads without a video decoder."""

    shards: tuple[Path, ...]
    """Folders of shards, or single shards."""
    out: Path
    """Folder for the packs."""
    frame_px: int = 128
    """Side of the packed faces in pixels; must equal that of the talker's spec."""
    every: int = 1
    """Keeps one clip in this many, for a smaller pack."""
    quality: int = 92
    """JPEG quality of the faces, 1 to 100."""
    no_features: bool = False
    """Leaves out the speech features; then only talkers that hear mel windows can train on the packs."""
