"""The report as one page that needs nothing beside it."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from pcavs.evaluate.catalogue import GLANCE, GROUPS, METRICS, PAPER, PAPER_SAYS, Metric
from pcavs.evaluate.charts import line_chart, mean_curve
from pcavs.evaluate.scene import FROZEN, MISMATCHED, SELF, SHIFTED, TRUTH
from pcavs.evaluate.strips import strip_path
from pcavs.evaluate.summary import worst_first
from pcavs.spec import FRAME_RATE

_STRIPS: Final = 12
"""Clips shown as film strips, the worst first."""
_HOW_TO_READ: Final = (
    "Means (of offsets and lags medians); below them 95&nbsp;% intervals by bootstrap over clips. Read &ldquo;as "
    "truth&rdquo; beside the ground truth: a film that has more or less is worse."
)
_WORST: Final = 3
"""Of them shown at once; the others unfold."""

_STYLE: Final = """
:root{color-scheme:light dark;--line:#8886;--soft:#8882}
body{font:15px/1.5 system-ui,sans-serif;max-width:1180px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;overflow-wrap:anywhere}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.4rem 0 .3rem}
table{border-collapse:collapse;display:block;overflow-x:auto;font-size:13px}
th,td{padding:.25rem .55rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:Canvas;white-space:normal;
min-width:6.5rem;max-width:17rem;overflow-wrap:anywhere}
td small,th small{display:block;opacity:.65;font-weight:400}
thead th{vertical-align:bottom;white-space:normal;min-width:4.6rem}
thead th+th{max-width:9rem;overflow-wrap:anywhere}
.yes{color:#15803d;font-weight:600}.no{color:#b91c1c;font-weight:600}
@media(prefers-color-scheme:dark){.yes{color:#4ade80}.no{color:#f87171}}
svg{max-width:100%;height:auto;font:10px system-ui,sans-serif;fill:currentColor}
.row{display:flex;flex-wrap:wrap;gap:1.2rem}.row>div{flex:1 1 300px;min-width:0}
.legend i{display:inline-block;width:.9em;height:.35em;margin-right:.35em;vertical-align:middle}
.legend span{margin-right:1em;font-size:12px}summary{cursor:pointer;margin:1rem 0}
figure{margin:1rem 0}figure div{overflow-x:auto}figure img{display:block;max-width:none}figcaption{font-size:13px}
.note{opacity:.8;font-size:13px}
@media(max-width:600px){body{margin:1rem auto;padding:0 .6rem}table{font-size:12px}th,td{padding:.2rem .35rem}
th:first-child,td:first-child{max-width:8.5rem}figure img{width:640px}}
"""


def write_report(report: dict[str, Any], out: Path) -> Path:
    """Writes `report.html` beside the films; pictures are inside of it."""
    path = out / "report.html"
    part = path.with_name(path.name + ".part")
    part.write_text(page(report, out), encoding="utf-8")
    part.replace(path)
    return path


def page(report: dict[str, Any], out: Path) -> str:
    """Gives the whole page."""
    names = list(report["weights"])
    worst = [_strip(row, names, out) for row in worst_first(report["rows"], names[0])[:_STRIPS]]
    body = [
        f"<h1>Evaluation of {escape(names[0])}</h1>",
        _facts(report),
        "<h2>At a glance</h2>",
        _glance(report["films"], names),
        "<h2>Do the obvious tricks fail?</h2>",
        _checks(report["checks"]),
        "<h2>The worst clips</h2>",
        "<p class=note>Those whose mouth follows the truth least.</p>",
        *worst[:_WORST],
        f"<details><summary>The next {len(worst) - _WORST}</summary>{''.join(worst[_WORST:])}</details>"
        if len(worst) > _WORST
        else "",
        "<h2>Judged film less the others, same moments</h2>",
        "<p class=note>Positive: the judged self-driven film is better. Paired; 95&nbsp;% intervals over clips, "
        "below them over people.</p>",
        _differences(report["differences"]),
        "<h2>Who drives what</h2>",
        _who_drives(report["who_drives_what"]),
        "<h2>What a probe reads from the codes</h2>",
        _leakage(report["leakage"]),
        "<h2>Curves</h2>",
        _curves(report, names),
        "<h2>All films, all numbers</h2>",
        f"<p class=note>{_HOW_TO_READ}</p>",
        *(_films(title, keys, report["films"]) for title, keys in GROUPS.items()),
        "<h2>The paper's table, in form</h2>",
        _paper(report),
    ]
    head = f"<meta charset=utf-8><title>Evaluation of {escape(names[0])}</title><style>{_STYLE}</style>"
    viewport = "<meta name=viewport content='width=device-width'>"
    return f"<!doctype html><html lang=en><head>{head}{viewport}</head><body>{''.join(body)}</body></html>\n"


def _facts(report: dict[str, Any]) -> str:
    weights = "; ".join(f"{escape(name)} (sha256 {digest[:12]})" for name, digest in report["weights"].items())
    embedders = ", ".join(report["embedders"]) or "none here (scripts/fetch_judges.py fetches them)"
    return (
        f"<p>{report['clips']} clips of {report['people']} people, {report['frames'] / FRAME_RATE:.0f} s, from "
        f"{escape(report['clips_from'])}. Weights: {weights}. pcavs {escape(report['pcavs'])}; sync judge "
        f"{escape(report['judge']['name'])}; identity judges: {escape(embedders)}.</p>"
        f"<p class=note>Films: {escape(report['encoding'])}. The sync judge is this project's own: its confidence "
        "and distance have SyncNet's form but not its scale, and compare with no published figure."
        f"{_left_out(report)}</p>"
    )


def _left_out(report: dict[str, Any]) -> str:
    told = [f"{escape(each['key'])} ({each['sync_offset']:+.0f} frames)" for each in report.get("left_out", [])]
    return f" Left out, because their own picture and sound are apart: {', '.join(told)}." if told else ""


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f"<th>{cell}</th>" for cell in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"


def _titled(metric: Metric) -> str:
    below = ", ".join(escape(part) for part in (metric.unit, metric.better) if part)
    return f"{escape(metric.title)}<br><small>{below}</small>"


def _number(interval: Sequence[float], digits: int, *, signed: bool = False) -> str:
    mean, low, high = (f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}" for value in interval)
    return f"{mean}<small>{low} to {high}</small>"


def _glance(films: dict[str, Any], names: list[str]) -> str:
    """What matters most, a number a line, so that it can be read on a phone."""
    shown = [TRUTH, *(f"{name}: {SELF}" for name in names), FROZEN, SHIFTED]
    rows = [
        [
            _titled(METRICS[key]),
            *(_number(films[film][key]["clips"], METRICS[key].digits) if key in films[film] else "" for film in shown),
        ]
        for key in GLANCE
        if any(key in films[film] for film in shown)
    ]
    note = f"<p class=note>Self-driven films of the weights, beside what is measured of the truth. {_HOW_TO_READ}</p>"
    return note + _table(["", *map(escape, shown)], rows)


def _films(title: str, keys: Sequence[str], films: dict[str, Any]) -> str:
    shown = [key for key in keys if any(key in film for film in films.values())]
    rows = [
        [escape(name), *(_number(film[key]["clips"], METRICS[key].digits) if key in film else "" for key in shown)]
        for name, film in films.items()
        if any(key in film for key in shown)
    ]
    return (
        f"<h3>{escape(title)}</h3>{_table(['film', *(_titled(METRICS[key]) for key in shown)], rows)}" if rows else ""
    )


def _differences(differences: dict[str, Any]) -> str:
    shown = list(next(iter(differences.values()), {}))
    rows = []
    for other, gaps in differences.items():
        cells = [_gap(gaps[key], METRICS[key].digits) if key in gaps else "" for key in shown]
        rows.append([escape(other), *cells])
    return _table(["less ...", *(_titled(METRICS[key]) for key in shown)], rows)


def _gap(gap: dict[str, Any], digits: int) -> str:
    people = "{:+.{d}f} to {:+.{d}f}".format(*gap["people"][1:], d=digits)
    return f"{_number(gap['clips'], digits, signed=True)}<small>{people}</small>"


def _checks(found: list[dict[str, Any]]) -> str:
    rows = [
        [
            escape(each["check"]),
            "<span class=yes>yes</span>" if each["holds"] else "<span class=no>no</span>",
            f"{each['cheat']:.3f}",
            f"{each['honest']:.3f}",
            escape(METRICS[each["metric"]].title),
        ]
        for each in found
    ]
    return _table(["trick", "found out", "its score", "compared with", "of"], rows)


def _who_drives(matrix: dict[str, Any]) -> str:
    sources = list(next(iter(matrix.values()), {}))
    rows = [
        [
            f"only the {escape(source)} exchanged",
            *(f"{moved[source][part]:.2f}" for moved in matrix.values() for part in ("mouth", "head")),
        ]
        for source in sources
    ]
    note = (
        "<p class=note>Share of the motion that followed: 0, as before; 1, nothing in common with before. Ideal: "
        "speech 1 and 0, pose 0 and 1, identity 0 and 0. Heads that hardly move give noise, which counts as 1.</p>"
    )
    head = [f"{part}<small>{escape(name)}</small>" for name in matrix for part in ("mouth", "head")]
    return note + _table(["", *head], rows)


def _leakage(reports: dict[str, Any]) -> str:
    probes = list(next(iter(reports.values()), {"probes": {}})["probes"])
    rows = [[escape(probe), *(_read(report["probes"][probe]) for report in reports.values())] for probe in probes]
    note = (
        "<p class=note>Linear probes, asked about frames that they have not learnt from; below each figure what chance "
        "gives. Person: share named rightly, averaged over people. Mouth: correlation with the opening. A probe finds "
        "what can be read, not what is used; the table above tells that.</p>"
    )
    return note + _table(["", *map(escape, reports)], rows)


def _read(probe: dict[str, float]) -> str:
    return f"{probe['read']:.2f}<small>chance {probe['chance']:.2f}</small>"


def _curves(report: dict[str, Any], names: list[str]) -> str:
    rows = report["rows"]
    shown = [TRUTH, *names, f"{names[0]}: {MISMATCHED}"]
    shifts = {name: mean_curve([row["shifts"][name] for row in rows]) for name in shown}
    reach = (len(shifts[TRUTH]) - 1) // 2
    ordered = worst_first(rows, names[0])
    charts = [
        "<div><h3>Distance of mouth and true sound by shift</h3>"
        + line_chart(shifts, -float(reach), 1.0, ("frames late", "distance"))
        + "</div>"
    ]
    for title, row in (("Worst clip", ordered[0]), ("Best clip", ordered[-1])):
        opened = {name: row["opening"][name] for name in (TRUTH, *names)}
        chart = line_chart(opened, 0.0, 1 / FRAME_RATE, ("s", "mouth opening"))
        charts.append(f"<div><h3>{title}: mouth opening, {escape(row['key'])}</h3>{chart}</div>")
    return f"<div class=row>{''.join(charts)}</div>"


def _paper(report: dict[str, Any]) -> str:
    films, names = report["films"], list(report["weights"])
    measured = {TRUTH: films[TRUTH], **{f"{name}: {SELF}": films[f"{name}: {SELF}"] for name in names}}
    rows = [
        [f"{escape(name)} (ours, {report['clips']} clips)", *(_number(film[key]["clips"], 3) for key in PAPER)]
        for name, film in measured.items()
    ]
    rows += [[f"{escape(name)}, VoxCeleb2", *(f"{value:g}" for value in values)] for name, values in PAPER_SAYS.items()]
    note = (
        "<p class=note>Only the form compares: other people and films, 256 instead of 224 px, other landmarks, and "
        "another sync judge on another scale. The paper's figures are as remembered and unverified.</p>"
    )
    return note + _table(["", "SSIM", "CPBD", "LMD, px", "Sync"], rows)


def _strip(row: dict[str, Any], names: list[str], out: Path) -> str:
    follows = row["films"][f"{names[0]}: {SELF}"].get("opening_follows", 0)
    told = f"{row['key']} ({row['person']}): mouth follows {follows:.2f}"
    images = []
    for name in ("", *names):
        data = base64.b64encode(strip_path(out, row["key"], name).read_bytes()).decode()
        alt = escape(f"{row['key']}: {name or 'the truth'}")
        images.append(f'<img alt="{alt}" loading=lazy src="data:image/jpeg;base64,{data}">')
    return f"<figure><figcaption>{escape(told)}</figcaption><div>{''.join(images)}</div></figure>"
