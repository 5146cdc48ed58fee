"""Options of evaluating weights and of comparing films."""

import dataclasses
from pathlib import Path

from pcavs.animate.options import Device


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Measures weights on held-out clips: a report with numbers, curves and pictures."""

    clips: Path
    """Folder of films with sound, or of shards made by `pcavs prepare`. Nobody in them may have been trained on."""
    out: Path
    """Folder of report.json, report.html and the films; a stopped evaluation goes on there."""
    weights: tuple[Path, ...] = ()
    """Bundles, network folders or runs; the first is judged, the others stand beside it. Without it, the talker that
    ships."""
    audit: tuple[Path, ...] = ()
    """Further bundles, network folders or runs whose codes alone are probed beside those of the weights: the ablation
    without augmentation, say. May be given to an evaluation that is finished."""
    index: Path | None = None
    """CSV with the columns `path` and `identity`, for films: who is in which. Without it, each film is somebody
    else."""
    split: str = "val"
    """Part of shards that is measured."""
    most_clips: int = 40
    """Clips at most, spread over people."""
    most_s: float = 6.0
    """Seconds of each clip."""
    long_s: float = 20.0
    """Seconds of looped speech in a film of each of the first two clips; 0 makes none."""
    any_sync: bool = False
    """Keeps clips whose own picture and sound are apart."""
    judges: Path | None = None
    """Folder of identity networks that `scripts/fetch_judges.py` made; without it, the one in the cache folder."""
    workers: int = 2
    """Processes; 1 does everything in this one."""
    device: Device = "auto"
    """`cpu` runs OpenVINO, `cuda` runs torch; `auto` is `cpu` unless only torch can run the weights."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Measures any talking films, side by side, with or without the truth."""

    films: tuple[Path, ...]
    """Films with a face and their sound."""
    reference: Path | None = None
    """The true film, for likeness, pose and landmarks."""
    judges: Path | None = None
    """As for `pcavs evaluate`."""
    json: bool = False
    """Prints one JSON object, for programs."""
