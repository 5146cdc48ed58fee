"""Prepares and evaluates a blind comparison of two sets of films.

    python benchmarks/blind_look.py make NEW OLD --out LOOK [--seed 0]
    python benchmarks/blind_look.py tally LOOK

`make` pairs the films that have the same name in both folders. It writes LOOK/01.mp4 ... (side by side, without sound;
which one is on the left is random) and LOOK/01.png (eight frames of each). Watch each pair and write `left`, `right` or
`same` after its number in LOOK/votes.txt. `tally` then compares the votes with LOOK/answers.json, which must not be
read before voting.
"""

import argparse
import json
import logging
import math
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pcavs.media.film import FilmWriter
from pcavs.media.video import read_frames
from pcavs.types import Picture

logger = logging.getLogger("blind_look")

_TILE_PX: Final = 256
"""Side of one frame in the contact sheet."""
_NUM_FRAMES: Final = 8
"""Frames of each film in the contact sheet."""
_GAP_PX: Final = 8
"""Grey bar between the two films."""
_GAP_GREY: Final = 128


def main() -> None:
    """Runs the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "tally"))
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.what == "make":
        if len(args.folders) != 2 or args.out is None:
            parser.error("make needs two folders and --out")
        make(args.folders[0], args.folders[1], args.out, args.seed)
    else:
        tally(args.folders[0])


def make(new: Path, old: Path, out: Path, seed: int) -> None:
    """Writes the pairs, votes.txt to be filled in, and answers.json."""
    names = sorted({path.name for path in new.glob("*.mp4")} & {path.name for path in old.glob("*.mp4")})
    rng = np.random.default_rng(seed)
    order = rng.permutation(names).tolist()
    swapped = rng.permuted(np.arange(len(order)) % 2 == 1).tolist()  # `new` is on the left in half of them
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
    """Prints the number of votes for each set, and the p-value of a two-sided sign test."""
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
    logger.info("p-value of a two-sided sign test: %.3f", sign_test(counts["new"], counts["old"]))


def sign_test(new: int, old: int) -> float:
    """Returns the p-value of a two-sided sign test; pairs voted `same` are left out."""
    total, larger = new + old, max(new, old)
    return min(1.0, 2 * sum(math.comb(total, k) for k in range(larger, total + 1)) / 2**total)


def _write_pair(films: list[list[Picture]], stem: Path) -> None:
    count = min(len(film) for film in films)
    side = 2 * (min(film[0].shape[0] for film in films) // 2)
    gap = np.full((side, _GAP_PX, 3), _GAP_GREY, np.uint8)
    with FilmWriter(stem.with_suffix(".mp4"), (2 * side + _GAP_PX, side), overwrite=True) as writer:
        for t in range(count):
            left, right = (_sized(film[t], side) for film in films)
            writer.write(np.hstack([left, gap, right]))
    indices = np.linspace(0, count - 1, _NUM_FRAMES).round().astype(int)
    rows = [np.hstack([_sized(film[t], _TILE_PX) for t in indices]) for film in films]
    cv2.imwrite(str(stem.with_suffix(".png")), np.vstack(rows)[:, :, ::-1])


def _sized(frame: Picture, side: int) -> Picture:
    return np.asarray(cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    main()
