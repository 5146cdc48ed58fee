"""Figures of the report: line charts as SVG, and film strips as JPEG."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pcavs.evaluate.clips import resized

_COLOURS: Final = ("#444444", "#c2410c", "#1d4ed8", "#15803d", "#7e22ce", "#b45309")
"""Line colours in order, the ground truth first; chosen by eye for light and dark pages."""
_WIDTH_PX, _HEIGHT_PX = 460, 170
_LEFT_PX, _RIGHT_PX, _TOP_PX, _BOTTOM_PX = 44, 8, 8, 24
"""Margins of a chart around its axes; chosen by eye."""
_TICK_GAP_PX: Final = 4
_TEXT_PX: Final = 9

_THUMBNAIL_PX: Final = 112
_TITLE_PX: Final = 18
_STRIP_FRAMES: Final = 8
_TITLE_SCALE: Final = 0.45
"""Size of the titles, as a factor on OpenCV's font."""
_JPEG_QUALITY: Final = 82
"""JPEG quality of the strips. These five were chosen by eye."""


def line_chart(curves: Mapping[str, Sequence[float]], first_x: float, step: float, labels: tuple[str, str]) -> str:
    """Draws curves of equally spaced values as an SVG element with a legend below it.

    Args:
        curves: Values by name; at least one curve.
        first_x: x of the first value of each curve.
        step: Distance in x between values.
        labels: Names of the x and the y axis.
    """
    values = [value for curve in curves.values() for value in curve]
    low, high = min(values), max(values)
    high = high if high > low else low + 1
    count = max(len(curve) for curve in curves.values())
    last_x = first_x + (count - 1) * step
    bottom, right = _HEIGHT_PX - _BOTTOM_PX, _WIDTH_PX - _RIGHT_PX

    def place(index: int, value: float) -> str:
        x = _LEFT_PX + index / max(count - 1, 1) * (right - _LEFT_PX)
        y = _TOP_PX + (high - value) / (high - low) * (bottom - _TOP_PX)
        return f"{x:.1f},{y:.1f}"

    lines = []
    for number, curve in enumerate(curves.values()):
        points = " ".join(place(index, value) for index, value in enumerate(curve))
        colour = _COLOURS[number % len(_COLOURS)]
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{points}"/>')
    below = bottom + _BOTTOM_PX - _TEXT_PX + 1
    ticks = [
        (_LEFT_PX, below, "start", f"{first_x:g}"),
        ((_LEFT_PX + right) / 2, below, "middle", labels[0]),
        (right, below, "end", f"{last_x:g}"),
        (_LEFT_PX - _TICK_GAP_PX, bottom, "end", f"{low:.2f}"),
        (_LEFT_PX - _TICK_GAP_PX, _TOP_PX + _TEXT_PX, "end", f"{high:.2f}"),
    ]
    texts = [f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>' for x, y, anchor, text in ticks]
    axes = f'<path d="M{_LEFT_PX} {_TOP_PX}V{bottom}H{right}" fill="none" stroke="#999"/>'
    title = f"<title>{escape(f'{labels[1]} by {labels[0]}')}</title>"
    return (
        f'<svg role="img" viewBox="0 0 {_WIDTH_PX} {_HEIGHT_PX}" width="{_WIDTH_PX}">{title}{axes}{"".join(lines)}'
        f"{''.join(texts)}</svg>{_legend(list(curves))}"
    )


def _legend(names: Sequence[str]) -> str:
    keys = [
        f'<span><i style="background:{_COLOURS[number % len(_COLOURS)]}"></i>{escape(name)}</span>'
        for number, name in enumerate(names)
    ]
    return f'<p class="legend">{" ".join(keys)}</p>'


def mean_curve(curves: Sequence[Sequence[float]]) -> list[float]:
    """Averages curves that are aligned at their middles; longer ones are cut to the shortest."""
    length = min(len(curve) for curve in curves)
    cut = [curve[(len(curve) - length) // 2 :][:length] for curve in curves]
    return [sum(values) / len(cut) for values in zip(*cut, strict=True)]


def strip_path(out: Path, key: str, name: str = "") -> Path:
    """Returns where the film strip of a clip is stored: of its baselines, or of the films of the talker `name`."""
    return out / "work" / (f"{key}--{name}.jpg" if name else f"{key}.jpg")


def write_strip(films: dict[str, Sequence[np.ndarray]], out: Path, key: str, name: str = "") -> None:
    """Writes eight evenly spaced frames of each film as a picture, one row per film with its name above."""
    count = min(len(faces) for faces in films.values())
    moments = np.linspace(0, count - 1, _STRIP_FRAMES).round().astype(int)
    rows = []
    for film, faces in films.items():
        title = np.full((_TITLE_PX, _STRIP_FRAMES * _THUMBNAIL_PX, 3), 255, np.uint8)
        cv2.putText(title, film, (4, _TITLE_PX - 5), cv2.FONT_HERSHEY_SIMPLEX, _TITLE_SCALE, (0, 0, 0), 1, cv2.LINE_AA)
        rows += [title, np.hstack([resized(faces[t], _THUMBNAIL_PX) for t in moments])]
    sheet = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    strip_path(out, key, name).write_bytes(cv2.imencode(".jpg", sheet, quality)[1].tobytes())
