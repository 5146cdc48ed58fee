"""Curves as SVG, small enough to live in a page."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

COLOURS: Final = ("#444444", "#c2410c", "#1d4ed8", "#15803d", "#7e22ce", "#b45309")
_WIDTH, _HEIGHT = 460, 170
_LEFT, _BOTTOM, _TOP = 44, 24, 8


def line_chart(curves: Mapping[str, Sequence[float]], first_x: float, step: float, labels: tuple[str, str]) -> str:
    """Draws curves of equal spacing.

    Args:
        curves: By name; the legend stands below.
        first_x: Of the first value of each.
        step: Between values.
        labels: Of the two axes.
    """
    values = [value for curve in curves.values() for value in curve]
    low, high = min(values), max(values)
    high = high if high > low else low + 1
    count = max(len(curve) for curve in curves.values())
    last_x = first_x + (count - 1) * step

    def place(index: int, value: float) -> str:
        x = _LEFT + index / max(count - 1, 1) * (_WIDTH - _LEFT - 8)
        y = _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)
        return f"{x:.1f},{y:.1f}"

    lines = []
    for number, curve in enumerate(curves.values()):
        points = " ".join(place(index, value) for index, value in enumerate(curve))
        colour = COLOURS[number % len(COLOURS)]
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{points}"/>')
    ticks = [
        (_LEFT, _HEIGHT - 8, "start", f"{first_x:g}"),
        (_WIDTH - 8, _HEIGHT - 8, "end", f"{last_x:g} {labels[0]}"),
        (_LEFT - 4, _HEIGHT - _BOTTOM, "end", f"{low:.2f}"),
        (_LEFT - 4, _TOP + 9, "end", f"{high:.2f}"),
    ]
    texts = [f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>' for x, y, anchor, text in ticks]
    frame = f'<path d="M{_LEFT} {_TOP}V{_HEIGHT - _BOTTOM}H{_WIDTH - 8}" fill="none" stroke="#999"/>'
    title = f"<title>{escape(labels[1])}</title>"
    return (
        f'<svg role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}">{title}{frame}{"".join(lines)}'
        f"{''.join(texts)}</svg>{_legend(list(curves))}"
    )


def _legend(names: Sequence[str]) -> str:
    keys = [
        f'<span><i style="background:{COLOURS[number % len(COLOURS)]}"></i>{escape(name)}</span>'
        for number, name in enumerate(names)
    ]
    return f'<p class="legend">{" ".join(keys)}</p>'


def mean_curve(curves: Sequence[Sequence[float]]) -> list[float]:
    """Averages curves about their middles, cut to the shortest."""
    length = min(len(curve) for curve in curves)
    cut = [curve[(len(curve) - length) // 2 :][:length] for curve in curves]
    return [sum(values) / len(cut) for values in zip(*cut, strict=True)]
