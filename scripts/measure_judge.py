"""Compares sync judges on clips that none of them was trained on, and prints a Markdown table.

    python scripts/measure_judge.py --judges FOLDER ... --packs PACKS ... --out CACHE [--renders PACKS RENDERS ...]

A judge is a folder of exported networks; the one in the package is `src/pcavs/assets/judge`. Clips are those of the
split `val`. There is a row for each group: GRID's people that were in training (`--known`) and the others, rendered
heads by language (`--renders` names the folder of the renders from which the packs were made), other clips by speaker.
Accuracies are for shifts of 2, 3, 5 and 10 frames; chance is 0.5.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from pcavs.metrics.statistics import bootstrap
from pcavs.metrics.sync import EDGE_FRAMES, SyncJudge, score_sync
from pcavs.spec import MEL_WINDOW_BINS, MelSpec
from train_judge import TESTED_SHIFTS, Clip, accuracy, load, window_index

Row = dict[str, float]

_MAX_LISTED_OFFSETS: Final = 5
"""Groups of at most this many clips list the offset of each."""


def main() -> None:
    """Measures all judges on all groups of clips and prints a table, and the gain of each judge over the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judges", type=Path, nargs="+", required=True, help="folders of judges")
    parser.add_argument("--packs", type=Path, nargs="+", required=True, help="folders of packs")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the mouth crops; may be that of train_judge.py"
    )
    parser.add_argument(
        "--renders",
        type=Path,
        nargs=2,
        action="append",
        default=[],
        metavar=("PACKS", "RENDERS"),
        help="a folder of packs and the folder of renders it was made from",
    )
    parser.add_argument("--known", nargs="+", default=["grid_s1"], help="speakers who were in the training data")
    arguments = parser.parse_args()
    truths = {packs.resolve(): renders for packs, renders in arguments.renders}
    groups: dict[str, list[Clip]] = {}
    for packs in arguments.packs:
        for clip in load([packs], "val", arguments.out):
            groups.setdefault(group_of(clip, truths.get(packs.resolve()), arguments.known), []).append(clip)
    print(
        "| held out | judge | clips | windows | whole clips | best within 1 | matched / mismatched / silent | offsets |"
    )
    print("|---" * 8 + "|")
    judges = [SyncJudge(folder) for folder in arguments.judges]
    everything: list[list[Row]] = [[] for _ in judges]
    for name, clips in sorted(groups.items()):
        for judge, rows in zip(judges, everything, strict=True):
            found = list(measured(judge, clips))
            rows += found
            print(line(name, judge.name, found), flush=True)
    for judge, rows in zip(judges[1:], everything[1:], strict=True):
        gains = [mean_of_windows(new) - mean_of_windows(old) for new, old in zip(rows, everything[0], strict=True)]
        gain = bootstrap(np.array(gains), np.random.default_rng(0))
        print(
            f"\n{judge.name} minus {judges[0].name}, accuracy of single windows, all shifts: {gain.estimate:.3f}",
            end=" ",
        )
        print(f"({gain.low:.3f} to {gain.high:.3f}) over {len(gains)} clips")


def group_of(clip: Clip, renders: Path | None, known: list[str]) -> str:
    """Returns the group of a clip."""
    if renders:
        # The key is SPLIT-HEAD-NUMBER, with @N appended for a piece of a render.
        split, number = clip.key.split("-", 1)[0], clip.key.split("@")[0].rsplit("-", 1)[1]
        found = next(renders.glob(f"{split}/*/{number}.json"))
        truth = json.loads(found.read_text())
        return f"renders, {truth['language']}" + (", recorded" if truth.get("speech") == "recording" else "")
    if clip.source == "GRID":
        return "GRID, trained on" if clip.speaker in known else "GRID, never seen"
    return f"{clip.source}, {clip.speaker}"


def measured(judge: SyncJudge, clips: list[Clip]) -> Iterator[Row]:
    """Yields for each clip accuracy by shift, offset, and confidence with its own, another clip's and silent sound."""
    embedded = [(judge.embed_mouth(clip.crops, clip.lips), judge.embed_sound(windows(clip))) for clip in clips]
    for index, (mouth, sound) in enumerate(embedded):
        other = embedded[(index + 1) % len(embedded)][1] if len(embedded) > 1 else sound[::-1]
        silence = np.zeros((len(mouth) + 2 * EDGE_FRAMES, 1, MelSpec().mel_channels, MEL_WINDOW_BINS), np.float32)
        silent = judge.embed_sound(silence)
        own, count = score_sync(mouth, sound), min(len(mouth), len(other))
        yield accuracy(mouth, sound) | {
            "matched": own.confidence,
            "mismatched": score_sync(mouth[:count], other[:count]).confidence,
            "silent": score_sync(mouth, silent).confidence,
            "offset": own.offset_frames,
        }


def windows(clip: Clip) -> np.ndarray:
    """Returns the mel window of each frame; the two at each end, which `SyncJudge.embed_sound` ignores, are copies."""
    middle = clip.mel.astype(np.float32)[window_index(0, len(clip.crops))][:, None]
    return np.pad(middle, ((EDGE_FRAMES, EDGE_FRAMES), (0, 0), (0, 0), (0, 0)), mode="edge")


def mean_of_windows(row: Row) -> float:
    """Averages the accuracy of single windows over all shifts."""
    return float(np.mean([row[f"window {shift}"] for shift in TESTED_SHIFTS]))


def line(group: str, judge: str, rows: list[Row]) -> str:
    """Returns the table row of a group: means over its clips."""
    mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    windows, clips = (" / ".join(f"{mean[f'{kind} {d}']:.2f}" for d in TESTED_SHIFTS) for kind in ("window", "clip"))
    count, near = len(rows), sum(row["best within 1"] for row in rows)
    confidences = " / ".join(f"{mean[name]:.2f}" for name in ("matched", "mismatched", "silent"))
    offsets = " ".join(f"{row['offset']:.0f}" for row in rows) if len(rows) <= _MAX_LISTED_OFFSETS else ""
    return f"| {group} | {judge} | {count} | {windows} | {clips} | {near:.0f} of {count} | {confidences} | {offsets} |"


if __name__ == "__main__":
    main()
