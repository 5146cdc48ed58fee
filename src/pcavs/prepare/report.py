"""`report.html`: what was kept, what was not and why, in one file that needs nothing else."""

import base64
import html
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from pcavs.data.ledger import read_ledger
from pcavs.data.picture import encode_picture
from pcavs.data.shard import Span, read_clip
from pcavs.media.bitstream import decode_pictures
from pcavs.prepare.gates import GATES, NO_SOUND_DB
from pcavs.prepare.piece import write_text
from pcavs.spec import FRAME_RATE

_SAMPLES: Final = 32
_TOLD: Final = 20
"""Rejections told of each gate."""
_THUMB_PX: Final = 112
_BINS: Final = 40

_STYLE: Final = """
:root { --ink: #1d2430; --quiet: #667085; --line: #e2e6ec; --kept: #3b6ea8; --lost: #d0703c; --page: #fbfcfd }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 62rem;
       margin: 2.5rem auto; padding: 0 1.5rem }
h1 { font-size: 1.5rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem }
p { color: var(--quiet); margin: .2rem 0 }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
.figures { display: flex; flex-wrap: wrap; gap: 2.5rem; margin: 1.4rem 0 }
.figures b { display: block; font-size: 1.7rem; font-weight: 600 } .figures span { color: var(--quiet) }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: 1.4rem }
.faces { display: grid; grid-template-columns: repeat(auto-fill, minmax(7rem, 1fr)); gap: .7rem }
.faces img { width: 100%; border-radius: 4px; display: block } figure { margin: 0 }
figcaption { font-size: .72rem; color: var(--quiet); overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.key i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .3em 0 1em }
details { margin: .3rem 0 } summary { cursor: pointer }
"""

_MEASURES: Final = {
    "length": "length, frames",
    "face-size": "brow to chin, px of the source",
    "found": "share of frames with the face seen",
    "sharpness": "sharpness",
    "sound": "loudness, dB of full scale",
    "offset": "frames between picture and sound",
}


def write_report(folder: Path) -> Path:
    """Writes `report.html` from the ledgers and shards of a folder; equal shards give an equal report."""
    rows = list(read_ledger(folder))
    kept, lost = [row for row in rows if row["kept"]], [row for row in rows if not row["kept"]]
    limits = json.loads((folder / "prepare.json").read_text(encoding="utf-8"))["limits"]
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{_safe(folder.name)}</title>",
        f"<style>{_STYLE}</style><h1>{_safe(folder.name)}</h1><p>Prepared clips: what was kept, and why not more.</p>",
        _figures(kept, lost),
        "<h2>Gates</h2>",
        _gates(lost, limits),
        "<h2>Measures</h2>",
        "<p class='key'><i style='background:var(--kept)'></i>kept<i style='background:var(--lost)'></i>rejected; "
        "the dashed line is the limit</p><div class='charts'>",
        *(_chart(name, title, kept, lost, limits[name]) for name, title in _MEASURES.items()),
        "</div><h2>Kept clips</h2><p>The middle frames, at even distances through the ledger.</p><div class='faces'>",
        *_faces(folder, kept),
        "</div><h2>Rejected</h2>",
        *_rejections(lost),
        "<h2>Sources</h2>",
        _sources(kept),
        "</html>",
    ]
    path = folder / "report.html"
    write_text(path, "\n".join(parts))
    return path


def _figures(kept: list[dict[str, Any]], lost: list[dict[str, Any]]) -> str:
    hours = sum(row["frames"] for row in kept) / FRAME_RATE / 3600
    figures = {
        "clips kept": f"{len(kept):,}",
        "rejected": f"{len(lost):,}",
        "hours kept": f"{hours:,.2f}",
        "speakers": f"{len({row['speaker'] for row in kept}):,}",
        "with speech": f"{sum(row['heard'] for row in kept):,}",
        "held out": f"{sum(row['split'] != 'train' for row in kept):,}",
    }
    return f"<div class='figures'>{''.join(f'<div><b>{v}</b><span>{k}</span></div>' for k, v in figures.items())}</div>"


def _gates(lost: list[dict[str, Any]], limits: dict[str, float]) -> str:
    counts = Counter(row["gate"] for row in lost)
    names = ["decodable", "face", *GATES, *sorted(set(counts) - {"decodable", "face", *GATES})]
    cells = [
        f"<tr><td>{name}</td><td class='number'>{limits.get(name, '')}</td>"
        f"<td class='number'>{counts[name]:,}</td></tr>"
        for name in names
    ]
    head = "<tr><th>gate</th><th class='number'>limit</th><th class='number'>rejected</th></tr>"
    return f"<table>{head}{''.join(cells)}</table>"


def _chart(name: str, title: str, kept: list[dict[str, Any]], lost: list[dict[str, Any]], limit: float) -> str:
    """A histogram, kept upon rejected, as SVG."""
    values = [_values(rows, name) for rows in (kept, lost)]
    both = np.concatenate(values)
    if len(both) == 0:
        return ""
    low, high = float(both.min()), float(both.max())
    low, high = min(low, limit if limit > NO_SOUND_DB else low), max(high, limit)
    high = high if high > low else low + 1
    counts = [np.histogram(each, _BINS, (low, high))[0] for each in values]
    top = max(1, int((counts[0] + counts[1]).max()))
    bars, width = [], 280 / _BINS
    for index in range(_BINS):
        base = 100.0
        for count, colour in zip(counts, ("kept", "lost"), strict=True):
            tall = 90 * float(count[index]) / top
            base -= tall
            if tall:
                bars.append(
                    f"<rect x='{index * width:.1f}' y='{base:.1f}' width='{width - 1:.1f}' height='{tall:.1f}' "
                    f"fill='var(--{colour})'/>"
                )
    at = 280 * (limit - low) / (high - low)
    line = f"<line x1='{at:.1f}' x2='{at:.1f}' y1='4' y2='100' stroke='#444' stroke-dasharray='3 3'/>"
    axis = "".join(
        f"<text x='{x}' y='114' font-size='11' fill='#667085' text-anchor='{anchor}'>{value:.4g}</text>"
        for x, anchor, value in ((0, "start", low), (280, "end", high))
    )
    svg = f"<svg viewBox='0 0 280 118' role='img' aria-label='{_safe(title)}'>{''.join(bars)}{line}{axis}</svg>"
    return f"<div><b>{_safe(title)}</b>{svg}</div>"


def _values(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    found = [row["measures"][name] for row in rows if name in row["measures"]]
    return np.array([value for value in found if value > NO_SOUND_DB], np.float64)


def _faces(folder: Path, kept: list[dict[str, Any]]) -> Iterator[str]:
    for row in _spread(kept, _SAMPLES):
        with (folder / row["shard"]).open("rb") as file:
            clip = read_clip(file, Span(row["offset"], row["bytes"]))
        (face,) = decode_pictures(clip.film, [len(clip.mesh) // 2])
        small = cv2.resize(face, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA)
        data = base64.b64encode(encode_picture(small, 80)).decode()
        caption = f"{_safe(row['key'])}, {row['frames'] / FRAME_RATE:.1f} s"
        yield (
            f"<figure><img alt='' src='data:image/jpeg;base64,{data}'>"
            f"<figcaption title='{caption}'>{caption}</figcaption></figure>"
        )


def _rejections(lost: list[dict[str, Any]]) -> Iterator[str]:
    by_gate: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in lost:
        by_gate[row["gate"]].append(row)
    if not lost:
        yield "<p>None.</p>"
    for gate, rows in sorted(by_gate.items()):
        told = "".join(
            f"<tr><td>{_safe(row['file'])}</td><td class='number'>{row['start_frame'] / FRAME_RATE:.1f} s</td>"
            f"<td>{_safe(row['reason'])}</td></tr>"
            for row in _spread(rows, _TOLD)
        )
        yield f"<details open><summary>{_safe(gate)}: {len(rows):,}</summary><table>{told}</table></details>"


def _sources(kept: list[dict[str, Any]]) -> str:
    frames: Counter[tuple[str, str]] = Counter()
    clips: Counter[tuple[str, str]] = Counter()
    for row in kept:
        place = (row["source"], row["split"])
        clips[place] += 1
        frames[place] += row["frames"]
    cells = "".join(
        f"<tr><td>{_safe(source)}</td><td>{_safe(split)}</td><td class='number'>{clips[source, split]:,}</td>"
        f"<td class='number'>{frames[source, split] / FRAME_RATE / 3600:.2f}</td></tr>"
        for source, split in sorted(clips)
    )
    head = "<tr><th>source</th><th>split</th><th class='number'>clips</th><th class='number'>hours</th></tr>"
    return f"<table>{head}{cells}</table>"


def _spread(rows: Sequence[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    chosen = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)
    return [rows[index] for index in chosen]


def _safe(text: str) -> str:
    return html.escape(str(text), quote=True)
