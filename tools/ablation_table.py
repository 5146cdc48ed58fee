"""Prints the table of runs/ablations.sh: mean and spread over seeds of the last validation of every recipe."""

import argparse
import json
import statistics
from pathlib import Path

SCORES = ("mouth_heard", "mouth_shifted", "mouth_seen", "found_within", "lips_heard", "lips_shifted")


def last_validation(run: Path) -> dict[str, float]:
    """Reads the last validation of a run's journal."""
    rows = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    return [row["validation"] for row in rows if "validation" in row][-1]


def row(runs: list[Path]) -> list[str]:
    """Gives the cells of one recipe, `-` where its talker has no such score."""
    found = [last_validation(run) for run in runs]
    cells = []
    for name in SCORES:
        values = [scores[name] for scores in found if name in scores]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        cells.append(f"{statistics.mean(values):.3f} ± {spread:.3f}" if values else "-")
    return cells


def main() -> None:
    """Reads the folder, prints Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder of runs: RECIPE/SEED")
    out = parser.parse_args().out
    print("| recipe | seeds | " + " | ".join(SCORES) + " |")
    print("|---" * (len(SCORES) + 2) + "|")
    for recipe in sorted(place for place in out.iterdir() if place.is_dir()):
        runs = sorted(journal.parent for journal in recipe.glob("*/journal.jsonl"))
        print(f"| {recipe.name} | {len(runs)} | " + " | ".join(row(runs)) + " |")


if __name__ == "__main__":
    main()
