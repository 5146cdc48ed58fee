"""Writes `report.html`: counts, histograms of the measures, sample faces and rejections, in one self-contained file."""

import base64
import html
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from pcavs.data.pack import encode_picture
from pcavs.data.shard import Span, read_clip, read_ledger
from pcavs.media.bitstream import decode_pictures
from pcavs.media.files import write_text
from pcavs.prepare.clip import RECORDED_OFFSET
from pcavs.prepare.gates import GATES, NO_SOUND_DB
from pcavs.prepare.worker import POSE_PERCENTILES
from pcavs.spec import FRAME_RATE

_MAX_FACES: Final = 32
"""Kept clips of which a picture is shown."""

_MAX_REJECTIONS: Final = 20
"""Rejections listed for each gate."""

_FACE_PX: Final = 112
"""Side of a sample picture."""

_FACE_QUALITY: Final = 80
"""JPEG quality of a sample picture."""

_BINS: Final = 40
"""Bins of a histogram."""

_CHART_PX, _BARS_PX, _BASE_PX = (280, 118), 90, 100
"""Width and height of a histogram, height of its tallest bar, and height of its base line, all in SVG units."""

_UNLIMITED_GATES: Final = ("decodable", "face")
"""Reasons for a rejection that have no limit, listed before the gates."""

_STYLE: Final = """
:root { --ink: #1d2430; --quiet: #667085; --line: #e2e6ec; --kept: #3b6ea8; --rejected: #d0703c; --page: #fbfcfd }
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

_MAX_SPEAKERS: Final = 100
"""Speakers listed, those with most hours first."""

_RECORDED: Final = "offset between picture and sound as recorded (frames; above 0 the picture is late)"

_MEASURES: Final = {
    "length": "length (frames)",
    "face-size": "height of the face from brow to chin (px of the source)",
    "found": "share of frames in which the face was found",
    "sharpness": "sharpness (standard deviation of the Laplacian at 128 px)",
    "sound": "loudness (dB of full scale)",
    "offset": "offset between picture and sound, after correction (frames)",
}
"""Titles of the histograms, by gate."""


def write_report(folder: Path) -> Path:
    """Writes `report.html` from the ledgers and shards of a folder and returns its path.

    Equal shards give an equal report, byte for byte.
    """
    rows = list(read_ledger(folder))
    kept, rejected = [row for row in rows if row["kept"]], [row for row in rows if not row["kept"]]
    limits = json.loads((folder / "prepare.json").read_text(encoding="utf-8"))["limits"]
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{_escape(folder.name)}</title>",
        f"<style>{_STYLE}</style><h1>{_escape(folder.name)}</h1><p>Clips made by pcavs prepare, kept and rejected.</p>",
        _figures(kept, rejected),
        "<h2>Gates</h2>",
        _gates(rejected, limits),
        "<h2>Measures</h2>",
        "<p class='key'><i style='background:var(--kept)'></i>kept<i style='background:var(--rejected)'></i>rejected; "
        "the dashed line is the gate's limit</p><div class='charts'>",
        *(_chart(name, title, kept, rejected, limits[name]) for name, title in _MEASURES.items()),
        _chart(RECORDED_OFFSET, _RECORDED, kept, rejected, None),
        "</div>",
        _head_pose(kept),
        "<h2>Kept clips</h2>",
        f"<p>The middle frame of up to {_MAX_FACES} clips, evenly spaced through the ledger.</p><div class='faces'>",
        *_faces(folder, kept),
        "</div><h2>Rejected clips</h2>",
        *_rejections(rejected),
        "<h2>Kept clips by source and split</h2>",
        _sources(kept),
        "<h2>Hours by speaker</h2>",
        _speakers(kept),
        "</html>",
    ]
    path = folder / "report.html"
    write_text(path, "\n".join(parts))
    return path


def _figures(kept: list[dict[str, Any]], rejected: list[dict[str, Any]]) -> str:
    hours = sum(row["frames"] for row in kept) / FRAME_RATE / 3600
    figures = {
        "clips kept": f"{len(kept):,}",
        "clips rejected": f"{len(rejected):,}",
        "hours kept": f"{hours:,.2f}",
        "speakers": f"{len({row['speaker'] for row in kept}):,}",
        "clips with sound": f"{sum(row['heard'] for row in kept):,}",
        "clips held out": f"{sum(row['split'] != 'train' for row in kept):,}",
    }
    return f"<div class='figures'>{''.join(f'<div><b>{v}</b><span>{k}</span></div>' for k, v in figures.items())}</div>"


def _gates(rejected: list[dict[str, Any]], limits: dict[str, float]) -> str:
    counts = Counter(row["gate"] for row in rejected)
    names = [*_UNLIMITED_GATES, *GATES, *sorted(set(counts) - {*_UNLIMITED_GATES, *GATES})]
    cells = [
        f"<tr><td>{name}</td><td class='number'>{limits.get(name, '')}</td>"
        f"<td class='number'>{counts[name]:,}</td></tr>"
        for name in names
    ]
    head = "<tr><th>gate</th><th class='number'>limit</th><th class='number'>rejected</th></tr>"
    return f"<table>{head}{''.join(cells)}</table>"


def _chart(
    name: str, title: str, kept: list[dict[str, Any]], rejected: list[dict[str, Any]], limit: float | None
) -> str:
    """Draws a stacked histogram of a measure as SVG, with a gate's limit; empty where nothing was measured."""
    values = [_values(rows, name) for rows in (kept, rejected)]
    both = np.concatenate(values)
    if len(both) == 0:
        return ""
    low, high = float(both.min()), float(both.max())
    if limit is not None:
        low, high = min(low, limit if limit > NO_SOUND_DB else low), max(high, limit)
    high = high if high > low else low + 1
    counts = [np.histogram(each, _BINS, (low, high))[0] for each in values]
    top = max(1, int((counts[0] + counts[1]).max()))
    chart_width, chart_height = _CHART_PX
    bars, width = [], chart_width / _BINS
    for index in range(_BINS):
        y = float(_BASE_PX)
        for count, colour in zip(counts, ("kept", "rejected"), strict=True):
            height = _BARS_PX * float(count[index]) / top
            y -= height
            if height:
                bars.append(
                    f"<rect x='{index * width:.1f}' y='{y:.1f}' width='{width - 1:.1f}' height='{height:.1f}' "
                    f"fill='var(--{colour})'/>"
                )
    line = ""
    if limit is not None:
        x = chart_width * (limit - low) / (high - low)
        line = f"<line x1='{x:.1f}' x2='{x:.1f}' y1='4' y2='{_BASE_PX}' stroke='#444' stroke-dasharray='3 3'/>"
    axis = "".join(
        f"<text x='{x}' y='{chart_height - 4}' font-size='11' fill='#667085' text-anchor='{anchor}'>{value:.4g}</text>"
        for x, anchor, value in ((0, "start", low), (chart_width, "end", high))
    )
    size = f"0 0 {chart_width} {chart_height}"
    svg = f"<svg viewBox='{size}' role='img' aria-label='{_escape(title)}'>{''.join(bars)}{line}{axis}</svg>"
    return f"<div><b>{_escape(title)}</b>{svg}</div>"


def _values(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    """Collects a measure, leaving out videos without a sound track."""
    found = [row["measures"][name] for row in rows if name in row["measures"]]
    return np.array([value for value in found if value > NO_SOUND_DB], np.float64)


def _head_pose(kept: list[dict[str, Any]]) -> str:
    """Tabulates percentiles of yaw and pitch by source; empty for ledgers of versions that did not store them."""
    by_source: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in kept:
        if "yaw" in row:
            by_source[row["source"]].append(row)
    if not by_source:
        return ""
    cells = "".join(
        f"<tr><td>{_escape(source)}</td><td>{axis}</td>"
        + "".join(f"<td class='number'>{value:+.0f}</td>" for value in _spread(rows, axis))
        + "</tr>"
        for source, rows in sorted(by_source.items())
        for axis in ("yaw", "pitch")
    )
    head = "".join(f"<th class='number'>{percent} %</th>" for percent in POSE_PERCENTILES)
    note = (
        "<h2>Head pose</h2><p>Percentiles of yaw (above 0: towards the picture's right) and pitch (above 0: up) over "
        "all kept frames, in degrees, estimated from the percentiles of each clip.</p>"
    )
    return f"{note}<table><tr><th>source</th><th>angle</th>{head}</tr>{cells}</table>"


def _spread(rows: list[dict[str, Any]], axis: str) -> np.ndarray:
    """Estimates percentiles over all frames of clips: each percentile of a clip stands for a share of its frames."""
    values = np.array([row[axis] for row in rows], np.float64)
    weights = np.repeat([row["frames"] for row in rows], values.shape[1]).astype(np.float64)
    order = np.argsort(values, axis=None)
    shares = np.cumsum(weights[order]) - weights[order] / 2
    return np.interp(POSE_PERCENTILES, shares / weights.sum() * 100, values.ravel()[order])


def _faces(folder: Path, kept: list[dict[str, Any]]) -> Iterator[str]:
    for row in _evenly_spaced(kept, _MAX_FACES):
        with (folder / row["shard"]).open("rb") as file:
            clip = read_clip(file, Span(row["offset"], row["bytes"]))
        (face,) = decode_pictures(clip.film, [len(clip.mesh) // 2])
        small = cv2.resize(face, (_FACE_PX, _FACE_PX), interpolation=cv2.INTER_AREA)
        data = base64.b64encode(encode_picture(small, _FACE_QUALITY)).decode()
        caption = f"{_escape(row['key'])}, {row['frames'] / FRAME_RATE:.1f} s"
        yield (
            f"<figure><img alt='' src='data:image/jpeg;base64,{data}'>"
            f"<figcaption title='{caption}'>{caption}</figcaption></figure>"
        )


def _rejections(rejected: list[dict[str, Any]]) -> Iterator[str]:
    by_gate: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rejected:
        by_gate[row["gate"]].append(row)
    if not rejected:
        yield "<p>No clip was rejected.</p>"
        return
    yield f"<p>Up to {_MAX_REJECTIONS} for each gate: file, start of the clip in the file, reason.</p>"
    for gate, rows in sorted(by_gate.items()):
        cells = "".join(
            f"<tr><td>{_escape(row['file'])}</td><td class='number'>{row['start_frame'] / FRAME_RATE:.1f} s</td>"
            f"<td>{_escape(row['reason'])}</td></tr>"
            for row in _evenly_spaced(rows, _MAX_REJECTIONS)
        )
        yield f"<details open><summary>{_escape(gate)}: {len(rows):,}</summary><table>{cells}</table></details>"


def _sources(kept: list[dict[str, Any]]) -> str:
    frames: Counter[tuple[str, str]] = Counter()
    clips: Counter[tuple[str, str]] = Counter()
    for row in kept:
        group = (row["source"], row["split"])
        clips[group] += 1
        frames[group] += row["frames"]
    cells = "".join(
        f"<tr><td>{_escape(source)}</td><td>{_escape(split)}</td><td class='number'>{clips[source, split]:,}</td>"
        f"<td class='number'>{frames[source, split] / FRAME_RATE / 3600:.2f}</td></tr>"
        for source, split in sorted(clips)
    )
    head = "<tr><th>source</th><th>split</th><th class='number'>clips</th><th class='number'>hours</th></tr>"
    return f"<table>{head}{cells}</table>"


def _speakers(kept: list[dict[str, Any]]) -> str:
    """Tabulates clips and hours of each speaker, and how evenly hours are spread."""
    frames: Counter[tuple[str, str, str]] = Counter()
    clips: Counter[tuple[str, str, str]] = Counter()
    for row in kept:
        group = (row["source"], row["speaker"], row["split"])
        clips[group] += 1
        frames[group] += row["frames"]
    if not frames:
        return "<p>No clip was kept.</p>"
    minutes = np.percentile([count / FRAME_RATE / 60 for count in frames.values()], (0, 50, 100))
    shown = frames.most_common(_MAX_SPEAKERS)
    note = "<p>Minutes of a speaker: {:,.1f} at least, {:,.1f} in the middle, {:,.1f} at most.{}</p>".format(
        *minutes, f" The {_MAX_SPEAKERS} with most are listed." if len(frames) > len(shown) else ""
    )
    cells = "".join(
        f"<tr>{''.join(f'<td>{_escape(name)}</td>' for name in group)}<td class='number'>{clips[group]:,}</td>"
        f"<td class='number'>{count / FRAME_RATE / 3600:.3f}</td></tr>"
        for group, count in shown
    )
    names = "".join(f"<th>{name}</th>" for name in ("source", "speaker", "split"))
    head = f"<tr>{names}<th class='number'>clips</th><th class='number'>hours</th></tr>"
    return f"{note}<table>{head}{cells}</table>"


def _evenly_spaced(rows: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    chosen = np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)
    return [rows[index] for index in chosen]


def _escape(text: str) -> str:
    return html.escape(str(text), quote=True)
