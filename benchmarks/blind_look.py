"""Lays films of two makers side by side in a hidden order, and counts which were liked better.

    python benchmarks/blind_look.py make NEW OLD --out LOOK [--seed 0]
    python benchmarks/blind_look.py tally LOOK

`make` takes the films that have one name in both folders and writes LOOK/01.mp4 ... (one maker left, the other right,
which is drawn) and LOOK/01.png (eight moments of each), the sound of neither. Look at each and write `left`, `right` or
`same` after its number in LOOK/votes.txt; then `tally` opens LOOK/answers.json, which nobody should read before.
"""

import argparse
import json
import logging
import math
from pathlib import Path

import cv2
import numpy as np

from pcavs.media.film import FilmWriter
from pcavs.media.video import read_frames
from pcavs.types import Picture

logger = logging.getLogger("blind_look")

_TILE_PX = 256
_MOMENTS = 8
_GAP = 8


def main() -> None:
    """Reads the command line and does what it says."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "tally"))
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    if words.what == "make":
        if len(words.folders) != 2 or words.out is None:
            parser.error("make needs two folders and --out")
        make(words.folders[0], words.folders[1], words.out, words.seed)
    else:
        tally(words.folders[0])


def make(new: Path, old: Path, out: Path, seed: int) -> None:
    """Writes the pairs, the form for the votes, and the answers."""
    names = sorted({path.name for path in new.glob("*.mp4")} & {path.name for path in old.glob("*.mp4")})
    rng = np.random.default_rng(seed)
    order = rng.permutation(names).tolist()
    swapped = rng.permuted(np.arange(len(order)) % 2 == 1).tolist()  # each maker is left in half of the pairs
    out.mkdir(parents=True, exist_ok=True)
    answers = {}
    for number, (name, swap) in enumerate(zip(order, swapped, strict=True), start=1):
        folders = (old, new) if swap else (new, old)
        films = [list(read_frames(folder / name)) for folder in folders]
        _write_pair(films, out / f"{number:02}")
        answers[f"{number:02}"] = {"film": name, "left": "old" if swap else "new"}
    (out / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")
    (out / "votes.txt").write_text("".join(f"{number} \n" for number in answers))
    logger.info("%d pairs in %s", len(answers), out)


def tally(look: Path) -> None:
    """Counts the votes, and says how likely so uneven a count is by chance."""
    answers = json.loads((look / "answers.json").read_text())
    counts = {"new": 0, "old": 0, "same": 0}
    for line in (look / "votes.txt").read_text().splitlines():
        number, _, vote = line.strip().partition(" ")
        if vote in ("left", "right"):
            is_new = (answers[number]["left"] == "new") == (vote == "left")
            counts["new" if is_new else "old"] += 1
        elif vote == "same":
            counts["same"] += 1
    logger.info("new %(new)d, old %(old)d, same %(same)d", counts)
    logger.info("chance of so uneven a count: %.3f", chance(counts["new"], counts["old"]))


def chance(new: int, old: int) -> float:
    """Two-sided sign test; pairs that look the same do not count."""
    total, most = new + old, max(new, old)
    return min(1.0, 2 * sum(math.comb(total, k) for k in range(most, total + 1)) / 2**total)


def _write_pair(films: list[list[Picture]], stem: Path) -> None:
    count = min(len(film) for film in films)
    side = 2 * (min(film[0].shape[0] for film in films) // 2)
    gap = np.full((side, _GAP, 3), 128, np.uint8)
    with FilmWriter(stem.with_suffix(".mp4"), (2 * side + _GAP, side), overwrite=True) as writer:
        for t in range(count):
            left, right = (_sized(film[t], side) for film in films)
            writer.write(np.hstack([left, gap, right]))
    moments = np.linspace(0, count - 1, _MOMENTS).round().astype(int)
    rows = [np.hstack([_sized(film[t], _TILE_PX) for t in moments]) for film in films]
    cv2.imwrite(str(stem.with_suffix(".png")), np.vstack(rows)[:, :, ::-1])


def _sized(frame: Picture, side: int) -> Picture:
    return np.asarray(cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    main()
