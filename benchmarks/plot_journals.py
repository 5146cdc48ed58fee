"""Plots values of training journals over the steps, in panels; a dashed line can mark the level of chance.

    python benchmarks/plot_journals.py curves.png \
        --panel "speech found among 16 moments" runs/sync found_within validation.found_within chance=0.0625

A panel is a title, the folder of a run, and names of values in its journal: a training loss, or a validation score as
`validation.NAME`. `chance=VALUE` draws the dashed line.
"""

import argparse
import json
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np

WIDTH_PX: Final = 480
HEIGHT_PX: Final = 300
LEFT_PX, TOP_PX, RIGHT_PX, BOTTOM_PX = 52, 54, 24, 26
"""Margins around the axes of a panel."""
TITLE_PX: Final = (LEFT_PX, 18)
LEGEND_Y_PX: Final = 38
LEGEND_GAP_PX: Final = 16
COLOURS: Final = ((40, 90, 190), (200, 80, 30), (30, 140, 80), (140, 60, 150))
"""RGB of the curves of a panel, in order."""
FONT: Final = (cv2.FONT_HERSHEY_SIMPLEX, 0.42)
INK: Final = (70, 70, 70)
GRID: Final = (225, 225, 225)
TICKS: Final = 5
DASH_PX: Final = 10
"""Length of a dash and the gap after it."""
NICE_STEPS: Final = (1, 1.5, 2, 3, 5, 7.5, 10)
"""The value axis ends at one of these times a power of ten."""

Curve = list[tuple[float, float]]
"""Pairs of step and value."""


class Panel(NamedTuple):
    """Title, curves by name, and level of chance of one panel."""

    title: str
    curves: dict[str, Curve]
    chance: float | None


def main() -> None:
    """Reads the journals and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--panel", nargs="+", action="append", required=True, metavar=("TITLE", "RUN NAME..."))
    parser.add_argument("--columns", type=int, default=2)
    args = parser.parse_args()
    panels = [draw(read_panel(panel)) for panel in args.panel]
    panels += [np.full_like(panels[0], 255)] * (-len(panels) % args.columns)
    rows = [np.hstack(panels[start : start + args.columns]) for start in range(0, len(panels), args.columns)]
    cv2.imwrite(str(args.out), np.vstack(rows)[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


def read_panel(arguments: list[str]) -> Panel:
    """Reads the curves of a panel from its run's journal."""
    title, run, *names = arguments
    chance = next((float(name.removeprefix("chance=")) for name in names if name.startswith("chance=")), None)
    rows = [json.loads(line) for line in (Path(run) / "journal.jsonl").read_text().splitlines()]
    curves = {name: read_curve(rows, name) for name in names if not name.startswith("chance=")}
    return Panel(title, curves, chance)


def read_curve(rows: list[dict[str, object]], full_name: str) -> Curve:
    """Returns the steps and values of a loss, or of a score that starts with `validation.`."""
    name = full_name.removeprefix("validation.")
    held_out = name != full_name
    found = [(row, row.get("validation") if held_out else row) for row in rows if held_out == ("validation" in row)]
    return [(row["step"], values[name]) for row, values in found if isinstance(values, dict) and name in values]  # pyright: ignore


def draw(panel: Panel) -> np.ndarray:
    """Draws a panel; its value axis starts at 0."""
    picture = np.full((HEIGHT_PX, WIDTH_PX, 3), 255, np.uint8)
    values = [value for curve in panel.curves.values() for _, value in curve] + [panel.chance or 0.0]
    last = max((step for curve in panel.curves.values() for step, _ in curve), default=1)
    top = round_up(max(values))

    def place(step: float, value: float) -> tuple[int, int]:
        x = LEFT_PX + step / last * (WIDTH_PX - LEFT_PX - RIGHT_PX)
        return round(x), round(HEIGHT_PX - BOTTOM_PX - value / top * (HEIGHT_PX - TOP_PX - BOTTOM_PX))

    write(picture, panel.title, TITLE_PX, INK)
    for share in np.linspace(0, 1, TICKS):
        cv2.line(picture, place(0, top * share), place(last, top * share), GRID, 1)
        write(picture, f"{top * share:.3g}", (6, place(0, top * share)[1] + 4), INK)
        write(picture, f"{last * share:.0f}", (place(last * share, 0)[0] - 10, HEIGHT_PX - 8), INK)
    if panel.chance is not None:
        draw_dashes(picture, place(0, panel.chance), place(last, panel.chance))
    left = LEFT_PX
    for number, (name, curve) in enumerate(panel.curves.items()):
        points = np.array([place(*point) for point in curve], np.int32)
        cv2.polylines(picture, [points], False, COLOURS[number], 2, cv2.LINE_AA)
        label = name.replace("validation.", "held out: ")
        write(picture, label, (left, LEGEND_Y_PX), COLOURS[number])
        left += cv2.getTextSize(label, *FONT, 1)[0][0] + LEGEND_GAP_PX
    return picture


def round_up(value: float) -> float:
    """Returns the next larger of `NICE_STEPS` times a power of ten."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-9)))
    return float(next(step * power for step in NICE_STEPS if step * power >= value))


def draw_dashes(picture: np.ndarray, start: tuple[int, int], stop: tuple[int, int]) -> None:
    """Draws a horizontal dashed line."""
    for x in range(start[0], stop[0], DASH_PX):
        cv2.line(picture, (x, start[1]), (min(x + DASH_PX // 2, stop[0]), start[1]), INK, 1)


def write(picture: np.ndarray, text: str, place: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Writes small text."""
    cv2.putText(picture, text, place, *FONT, colour, 1, cv2.LINE_AA)


if __name__ == "__main__":
    main()
