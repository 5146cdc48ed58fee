"""Options of `pcavs evaluate` and `pcavs compare`."""

import dataclasses
from pathlib import Path
from typing import Literal

from pcavs.animate.options import Device


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Measures weights on held-out clips and writes a report with metrics, curves and pictures."""

    clips: Path | None = None
    """Folder of videos with sound, or of shards made by `pcavs prepare`. Nobody in them may be in the training data."""
    sets: Path | None = None
    """CSV file with the columns `name`, `clips` (a folder, relative to the file) and `kind` (`real` or `rendered`), and
    `index` if wanted: several folders in place of `--clips`. Each set is also reported on its own, and so are all
    real people."""
    out: Path
    """Folder for report.json, report.html and the films. Running again continues a stopped evaluation."""
    weights: tuple[Path, ...] = ()
    """Bundles, network folders or training runs. The first is evaluated; the others are shown beside it. Without it,
    the weights in the package."""
    protocol: Literal["report", "paper-table"] = "report"
    """`report` makes and measures films of held-out clips; `paper-table` gives the columns of published tables, for
    films of any program."""
    list: Path | None = None
    """Protocol paper-table: test list, a clip on each line, or CSV with the columns `path`, `audio` and `identity`."""
    root: Path | None = None
    """Protocol paper-table: folder that the list's paths are relative to, if not the list's own."""
    methods: tuple[str, ...] = ()
    """Protocol paper-table: films of other programs, as NAME=FOLDER, or a folder with a subfolder for each method;
    named like the clips."""
    answers: tuple[Path, ...] = ()
    """Protocol paper-table: files that people saved on the blind page of `out`; they are scored, and nothing else."""
    seed: int = 0
    """Protocol paper-table: seed of the blind page's order and sides."""
    audit: tuple[Path, ...] = ()
    """More bundles, network folders or training runs, such as an ablation, whose codes are probed for leakage; no films
    are made of them. May be added to a finished evaluation."""
    index: Path | None = None
    """CSV file with the columns `path` and `identity` that says who is in which video. Without it, each video counts
    as another person."""
    split: str = "val"
    """Split of the shards to measure on."""
    most_clips: int = 40
    """Largest number of clips of a set, spread evenly over people."""
    most_s: float = 6.0
    """Longest part of each clip that is used, in seconds."""
    long_s: float = 20.0
    """Length in seconds of the film of looped speech, made of the first two clips; 0 makes none."""
    still_only: bool = False
    """Makes only the films with the head held still, which show how lips follow speech: three of ten films."""
    any_sync: bool = False
    """Keeps clips whose own picture and sound are out of sync."""
    judges: Path | None = None
    """Folder of the optional judges, made by scripts/fetch_judges.py and scripts/convert_judges.py. Without it,
    ~/.cache/pcavs/judges."""
    workers: int = 2
    """Number of processes; 1 uses this process only."""
    device: Device = "auto"
    """`cpu` runs OpenVINO, `cuda` runs torch; `auto` is `cpu` unless only torch can run the weights."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Measures talking-head videos side by side, with or without a reference video."""

    films: tuple[Path, ...]
    """Videos with a face and sound."""
    reference: Path | None = None
    """Video of the true speaker; adds metrics of similarity, identity, landmarks and head pose."""
    judges: Path | None = None
    """As for `pcavs evaluate`."""
    json: bool = False
    """Prints one JSON object instead of a table."""
