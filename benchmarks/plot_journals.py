"""Draws terms of runs' journals over the steps, each panel with the level of chance as a dashed line.

    python benchmarks/plot_journals.py curves.png \
        --panel "speech found among 16 moments" runs/sync found_within validation.found_within chance=0.0625

A panel is a title, a run, and terms of its journal: of the rows of training, or `validation.` and a score.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

WIDTH, HEIGHT = 480, 300
LEFT, TOP, RIGHT, FOOT = 52, 54, 24, 26
COLOURS = ((40, 90, 190), (200, 80, 30), (30, 140, 80), (140, 60, 150))
FONT = (cv2.FONT_HERSHEY_SIMPLEX, 0.42)
INK, GRID = (70, 70, 70), (225, 225, 225)

Curve = list[tuple[float, float]]
"""Steps and values."""


class Panel(NamedTuple):
    """What one panel shows."""

    title: str
    curves: dict[str, Curve]
    chance: float | None


def main() -> None:
    """Reads the command line and the journals, writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--panel", nargs="+", action="append", required=True, metavar="WORD")
    parser.add_argument("--columns", type=int, default=2)
    words = parser.parse_args()
    drawn = [draw(read_panel(panel)) for panel in words.panel]
    drawn += [np.full_like(drawn[0], 255)] * (-len(drawn) % words.columns)
    rows = [np.hstack(drawn[start : start + words.columns]) for start in range(0, len(drawn), words.columns)]
    cv2.imwrite(str(words.out), np.vstack(rows)[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def read_panel(words: list[str]) -> Panel:
    """Reads the curves of a panel from its run's journal."""
    title, run, *terms = words
    chance = next((float(term.removeprefix("chance=")) for term in terms if term.startswith("chance=")), None)
    rows = [json.loads(line) for line in (Path(run) / "journal.jsonl").read_text().splitlines()]
    curves = {term: read_curve(rows, term) for term in terms if not term.startswith("chance=")}
    return Panel(title, curves, chance)


def read_curve(rows: list[dict[str, object]], term: str) -> Curve:
    """Gives the steps and values of a term."""
    name = term.removeprefix("validation.")
    held_out = name != term
    found = [(row, row.get("validation") if held_out else row) for row in rows if held_out == ("validation" in row)]
    return [(row["step"], values[name]) for row, values in found if isinstance(values, dict) and name in values]  # pyright: ignore


def draw(panel: Panel) -> np.ndarray:
    """Draws a panel; its value axis begins at zero."""
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    values = [value for curve in panel.curves.values() for _, value in curve] + [panel.chance or 0.0]
    last = max((step for curve in panel.curves.values() for step, _ in curve), default=1)
    top = nice(max(values))

    def place(step: float, value: float) -> tuple[int, int]:
        x = LEFT + step / last * (WIDTH - LEFT - RIGHT)
        return round(x), round(HEIGHT - FOOT - value / top * (HEIGHT - TOP - FOOT))

    say(picture, panel.title, (LEFT, 18), INK)
    for share in np.linspace(0, 1, 5):
        cv2.line(picture, place(0, top * share), place(last, top * share), GRID, 1)
        say(picture, f"{top * share:.3g}", (6, place(0, top * share)[1] + 4), INK)
        say(picture, f"{last * share:.0f}", (place(last * share, 0)[0] - 10, HEIGHT - 8), INK)
    if panel.chance is not None:
        dashes(picture, place(0, panel.chance), place(last, panel.chance))
    left = LEFT
    for number, (name, curve) in enumerate(panel.curves.items()):
        points = np.array([place(*point) for point in curve], np.int32)
        cv2.polylines(picture, [points], False, COLOURS[number], 2, cv2.LINE_AA)
        label = name.replace("validation.", "held out: ")
        say(picture, label, (left, 38), COLOURS[number])
        left += cv2.getTextSize(label, *FONT, 1)[0][0] + 16
    return picture


def nice(value: float) -> float:
    """The next larger of 1, 1.5, 2, 3, 5 and 7.5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-9)))
    return float(next(step * power for step in (1, 1.5, 2, 3, 5, 7.5, 10) if step * power >= value))


def dashes(picture: np.ndarray, start: tuple[int, int], stop: tuple[int, int]) -> None:
    """Draws a level, dashed."""
    for x in range(start[0], stop[0], 10):
        cv2.line(picture, (x, start[1]), (min(x + 5, stop[0]), start[1]), INK, 1)


def say(picture: np.ndarray, text: str, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Writes small."""
    cv2.putText(picture, text, place, *FONT, colour, 1, cv2.LINE_AA)


if __name__ == "__main__":
    main()
