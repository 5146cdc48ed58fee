"""Measures sync judges beside one another on clips that none of them was trained on.

    python scripts/measure_judge.py --judges FOLDER ... --packs PACKS ... --out CACHE [--renders PACKS RENDERS ...]

A judge is a folder of exported networks, the shipped one `src/pcavs/assets/judge`. Clips are those of the split `val`,
one row for each group: people of GRID that were trained on (`--known`) or never, rendered heads by the language they
speak (`--renders` says in which folder the renderer told it), others by their speaker. Chance is a half.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pcavs.metrics.statistics import bootstrap
from pcavs.metrics.sync import SyncJudge, compare
from train_judge import SHIFTS, Clip, accuracy, load, windows_of

Row = dict[str, float]


def main() -> None:
    """Reads the command line, measures, prints Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judges", type=Path, nargs="+", required=True)
    parser.add_argument("--packs", type=Path, nargs="+", required=True)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder that keeps the mouths cut out, as train_judge's"
    )
    parser.add_argument("--renders", type=Path, nargs=2, action="append", default=[], metavar=("PACKS", "RENDERS"))
    parser.add_argument("--known", nargs="+", default=["grid_s1"], help="speakers of whom other clips were trained on")
    words = parser.parse_args()
    truths = {packs.resolve(): renders for packs, renders in words.renders}
    groups: dict[str, list[Clip]] = {}
    for packs in words.packs:
        for clip in load([packs], "val", words.out):
            groups.setdefault(group_of(clip, truths.get(packs.resolve()), words.known), []).append(clip)
    print(
        "| held out | judge | clips | windows | whole clips | best within 1 | matched / mismatched / silent | offsets |"
    )
    print("|---" * 8 + "|")
    judges = [SyncJudge(folder) for folder in words.judges]
    everything: list[list[Row]] = [[] for _ in judges]
    for name, clips in sorted(groups.items()):
        for judge, rows in zip(judges, everything, strict=True):
            found = list(measured(judge, clips))
            rows += found
            print(line(name, judge.name, found), flush=True)
    for judge, rows in zip(judges[1:], everything[1:], strict=True):
        gains = [mean_of_windows(new) - mean_of_windows(old) for new, old in zip(rows, everything[0], strict=True)]
        gain = bootstrap(np.array(gains), np.random.default_rng(0))
        print(f"\n{judge.name} less {judges[0].name}, windows, all shifts: {gain.middle:.3f}", end=" ")
        print(f"({gain.low:.3f} to {gain.high:.3f}) over {len(gains)} clips")


def group_of(clip: Clip, renders: Path | None, known: list[str]) -> str:
    """Names the row of a clip."""
    if renders:
        # SPLIT-HEAD-NUMBER of the renderer, and @N for a piece of it.
        split, number = clip.key.split("-", 1)[0], clip.key.split("@")[0].rsplit("-", 1)[1]
        found = next(renders.glob(f"{split}/*/{number}.json"))
        truth = json.loads(found.read_text())
        return f"renders, {truth['language']}" + (", recorded" if truth.get("speech") == "recording" else "")
    if clip.source == "GRID":
        return "GRID, trained on" if clip.speaker in known else "GRID, never seen"
    return f"{clip.source}, {clip.speaker}"


def measured(judge: SyncJudge, clips: list[Clip]) -> Iterator[Row]:
    """Gives of each clip accuracy by shift, offset, and confidence with its own, another's and no sound."""
    embedded = [(judge.seen(clip.crops, clip.lips), judge.heard(windows(clip))) for clip in clips]
    for index, (seen, heard) in enumerate(embedded):
        other = embedded[(index + 1) % len(embedded)][1] if len(embedded) > 1 else heard[::-1]
        silent = judge.heard(np.zeros((len(seen) + 4, 1, 80, 20), np.float32))
        own, count = compare(seen, heard), min(len(seen), len(other))
        yield accuracy(seen, heard) | {
            "matched": own.confidence,
            "mismatched": compare(seen[:count], other[:count]).confidence,
            "silent": compare(seen, silent).confidence,
            "offset": own.offset_frames,
        }


def windows(clip: Clip) -> np.ndarray:
    """The sound about each frame, as `SyncJudge.heard` takes it: two windows at either end are left out there."""
    middle = clip.mel.astype(np.float32)[windows_of(0, len(clip.crops))][:, None]
    return np.pad(middle, ((2, 2), (0, 0), (0, 0), (0, 0)), mode="edge")


def mean_of_windows(row: Row) -> float:
    """Accuracy of single windows over all shifts."""
    return float(np.mean([row[f"window {shift}"] for shift in SHIFTS]))


def line(group: str, judge: str, rows: list[Row]) -> str:
    """Sums up a group."""
    mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    windows, clips = (" / ".join(f"{mean[f'{kind} {d}']:.2f}" for d in SHIFTS) for kind in ("window", "clip"))
    near = sum(row["best within 1"] for row in rows)
    sure = " / ".join(f"{mean[name]:.2f}" for name in ("matched", "mismatched", "silent"))
    offsets = " ".join(f"{row['offset']:.0f}" for row in rows) if len(rows) < 6 else ""
    return f"| {group} | {judge} | {len(rows)} | {windows} | {clips} | {near:.0f} of {len(rows)} | {sure} | {offsets} |"


if __name__ == "__main__":
    main()
