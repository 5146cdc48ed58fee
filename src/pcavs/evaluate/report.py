"""Writes `report.html`, the whole evaluation as one page without external files."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from pcavs.evaluate.catalogue import GROUPS, HEADLINE, METRICS, PAPER_COLUMNS, PAPER_FIGURES, Metric
from pcavs.evaluate.figures import line_chart, mean_curve, strip_path
from pcavs.evaluate.following import following_tables
from pcavs.evaluate.protocols import FROZEN, SHIFTED, TRUTH, main_film, main_film_of_other_speech
from pcavs.evaluate.summary import worst_first
from pcavs.media.files import write_text
from pcavs.spec import FRAME_RATE

_STRIPS: Final = 12
"""Clips shown as film strips, the worst first; more would make the page slow."""
_OPEN_STRIPS: Final = 3
"""Strips shown at once; the reader unfolds the others."""
_DIGEST_CHARACTERS: Final = 12
_OUR_DIGITS: Final = 3
_PAPER_DIGITS: Final = (3, 3, 2, 1)
"""Decimals of the paper's columns, as printed there."""
_DIRECTIONS: Final = {
    "higher": "higher is better",
    "lower": "lower is better",
    "as truth": "same as truth is best",
    "": "",
}

_HOW_TO_READ: Final = (
    "Each cell is the mean over clips (the median for offsets and lags) with its 95&nbsp;% confidence interval below "
    "(bootstrap over clips). Below each metric: its unit and which value is better. &ldquo;Same as truth is "
    "best&rdquo;: compare with the column or row of the ground truth; both more and less are worse."
)

STYLE: Final = """
:root{color-scheme:light dark;--line:#8886;--soft:#8882}
body{font:15px/1.5 system-ui,sans-serif;max-width:1180px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;overflow-wrap:anywhere}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.4rem 0 .3rem}p{overflow-wrap:anywhere}
table{border-collapse:collapse;display:block;overflow-x:auto;font-size:13px}
th,td{padding:.25rem .55rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap;vertical-align:top}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:Canvas;white-space:normal;
min-width:6.5rem;max-width:17rem;overflow-wrap:anywhere}
td small,th small{display:block;opacity:.65;font-weight:400}
thead th{vertical-align:bottom;white-space:normal;min-width:4.6rem}
thead th+th{max-width:9rem;overflow-wrap:break-word}
table.text th,table.text td{text-align:left;white-space:normal}table.text td+td{min-width:12rem}
.passed{color:#15803d;font-weight:600}.failed{color:#b91c1c;font-weight:600}.undecided{color:#a16207;font-weight:600}
@media(prefers-color-scheme:dark){.passed{color:#4ade80}.failed{color:#f87171}.undecided{color:#facc15}}
svg{max-width:100%;height:auto;font:10px system-ui,sans-serif;fill:currentColor}
.row{display:flex;flex-wrap:wrap;gap:1.2rem}.row>div{flex:1 1 300px;min-width:0}
.legend i{display:inline-block;width:.9em;height:.35em;margin-right:.35em;vertical-align:middle}
.legend span{margin-right:1em;font-size:12px}summary{cursor:pointer;margin:1rem 0}
figure{margin:1rem 0}figure div{overflow-x:auto}figure img{display:block;max-width:none}figcaption{font-size:13px}
.note{opacity:.8;font-size:13px;max-width:52rem}
@media(max-width:600px){body{margin:1rem auto;padding:0 .6rem}table{font-size:12px}th,td{padding:.2rem .35rem}
th:first-child,td:first-child{max-width:8.5rem}figure img{width:640px}}
"""


def write_report(report: dict[str, Any], out: Path) -> Path:
    """Writes `report.html` into the folder of the evaluation and returns its path.

    Args:
        report: The content of report.json.
        out: The folder, which holds the film strips.

    Raises:
        OutputError: It cannot be written.
    """
    path = out / "report.html"
    write_text(path, page(report, out))
    return path


def page(report: dict[str, Any], out: Path) -> str:
    """Returns the HTML of the whole page."""
    names = list(report["weights"])
    sections = [
        (f"<h1>Evaluation of {escape(names[0])}</h1>", _facts(report)),
        ("<h2>How lips follow speech</h2>", _following(report["following"])),
        ("<h2>Main results</h2>", _headline(report, names)),
        ("<h2>Sanity checks</h2>", _checks(report["checks"])),
        ("<h2>Worst clips</h2>", _worst_clips(report["rows"], names, out)),
        ("<h2>Paired differences</h2>", _differences(report["differences"])),
        ("<h2>Which input moves the mouth and the head</h2>", _motion_changes(report["motion_change_shares"])),
        ("<h2>What linear probes read from the codes</h2>", _leakage(report["leakage"])),
        ("<h2>Curves</h2>", _curves(report, names)),
        ("<h2>All films and metrics</h2>", _all_films(report["films"])),
        ("<h2>The columns of the paper's table</h2>", _paper_table(report)),
        ("<h2>Definitions</h2>", _definitions(report["films"])),
    ]
    body = "".join(heading + content for heading, content in sections if content)
    head = f"<meta charset=utf-8><title>Evaluation of {escape(names[0])}</title><style>{STYLE}</style>"
    viewport = "<meta name=viewport content='width=device-width'>"
    return f"<!doctype html><html lang=en><head>{head}{viewport}</head><body>{body}</body></html>\n"


def _note(text: str) -> str:
    return f"<p class=note>{text}</p>"


def _facts(report: dict[str, Any]) -> str:
    weights = "; ".join(
        f"{escape(name)} (SHA-256 {digest[:_DIGEST_CHARACTERS]}, listens with {report['speech_features'][name]})"
        for name, digest in report["weights"].items()
    )
    sets = ", ".join(f"{escape(each['clips'])} ({each['kind']})" for each in report["sets"])
    embedders = ", ".join(report["embedders"]) or "none found (scripts/fetch_judges.py fetches one)"
    return (
        f"<p>{report['clips']} clips of {report['people']} people, {report['frames'] / FRAME_RATE:.0f} s of video, "
        f"from {sets}. Weights: {weights}. pcavs {escape(report['pcavs'])}. "
        f"Sync judge: {escape(report['judge']['name'])}. Identity networks: {escape(embedders)}.</p>"
        + _note(
            f"All films, the ground truth included, are {escape(report['encoding'])}, and are decoded before they are "
            "measured. The sync judge is this project's own network: its confidence and distance are defined like "
            "SyncNet's but have another scale, so they do not compare with published figures." + _excluded(report)
        )
    )


def _excluded(report: dict[str, Any]) -> str:
    """Names the clips that were left out, and the films that show no face."""
    late = [f"{escape(each['key'])} ({each['sync_offset']:+.0f} frames)" for each in report.get("excluded", [])]
    text = f" Excluded, because their own picture and sound are out of sync: {', '.join(late)}." if late else ""
    faceless = [
        f"{escape(row['key'])} ({escape(film)})"
        for row in report["rows"]
        for film, metrics in row["films"].items()
        if metrics.get("face_found") == 0
    ]
    return text + (f" Films that show no face, without other metrics: {', '.join(faceless)}." if faceless else "")


def _table(head: Iterable[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    top = "".join(f"<th>{cell}</th>" for cell in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    start = f"<table class={kind}>" if kind else "<table>"
    return f"{start}<thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"


def _metric_name(metric: Metric) -> str:
    below = ", ".join(escape(part) for part in (metric.unit, _DIRECTIONS[metric.better]) if part)
    return f"{escape(metric.title)}<small>{below}</small>"


def _value(interval: Sequence[float], digits: int, *, signed: bool = False) -> str:
    estimate, low, high = (f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}" for value in interval)
    return f"{estimate}<small>{low} to {high}</small>"


def _cell(film: dict[str, Any], key: str) -> str:
    return _value(film[key]["over_clips"], METRICS[key].digits) if key in film else ""


def _following(following: dict[str, Any]) -> str:
    """Shows how lips follow speech, group by group."""
    note = _note(
        "Pearson correlations of mouth opening and mouth width in the film with those of the true clip, at no lag and "
        "at the best lag within 4 frames, by the face tracker on the encoded films. Means over people of the means "
        "over each person's clips, with 95&nbsp;% intervals (bootstrap over people). Below the films with the clip's "
        "own speech: the same with that speech late, and with another clip's. At the best lag, late speech is only one "
        "frame off: there, no lag is the test. The true clip 5 frames late shows what a lag alone costs. Bias of the "
        "sync judge: confidence of our films with true speech, minus that of the true clips."
    )
    parts = []
    for group, tables in following_tables(following).items():
        count = f"{following[group]['clips']} clips of {following[group]['people']} people"
        parts.append(f"<h3>{escape(group.capitalize())}, {count}</h3>")
        for table in tables:
            rows = [[escape(row[0]), *map(_split_cell, row[1:])] for row in table.rows]
            parts.append(_note(escape(table.title)) + _table(map(escape, table.head), rows))
    return note + "".join(parts)


def _split_cell(text: str) -> str:
    """Puts the interval of a cell, in brackets, below the estimate."""
    estimate, bracket, interval = text.partition(" (")
    return f"{escape(estimate)}<small>{escape(interval.removesuffix(')'))}</small>" if bracket else escape(text)


def _headline(report: dict[str, Any], names: list[str]) -> str:
    """Shows the most important metrics, one per row, so that the table fits on a phone."""
    films = report["films"]
    shown = [TRUTH, *(main_film(report["rows"][0], name) for name in names), FROZEN, SHIFTED]
    rows = [
        [_metric_name(METRICS[key]), *(_cell(films[film], key) for film in shown)]
        for key in HEADLINE
        if any(key in films[film] for film in shown)
    ]
    note = _note(
        "Self-driven films (identity, speech and pose of the same clip), or those of a still head if no others were "
        f"made, beside the ground truth and two degenerate films. {_HOW_TO_READ}"
    )
    return note + _table(["metric", *map(escape, shown)], rows)


def _checks(checks: list[dict[str, Any]]) -> str:
    rows = [
        [
            escape(each["check"]),
            f"<span class={each['result']}>{each['result']}</span>",
            _difference_of_check(each["difference"]),
            f"{each['degenerate']:.3f}",
            f"{each['compared_with']:.3f}",
            escape(METRICS[each["metric"]].title),
        ]
        for each in checks
    ]
    note = _note(
        "A metric is useful only if degenerate films get a worse score: a frozen picture, a mouth driven by other "
        "speech, a delayed film, a copy of the pose source. The difference is the mean over people, paired by clip, "
        "with Student's 95&nbsp;% interval. Undecided: the interval includes equality; give more people. Do not trust "
        "a metric whose check is not passed."
    )
    return note + _table(["check", "result", "difference", "degenerate film", "compared with", "metric"], rows)


def _difference_of_check(difference: Sequence[float]) -> str:
    if len(difference) == 3:
        return _value(difference, _OUR_DIGITS, signed=True)
    return f"{difference[0]:+.{_OUR_DIGITS}f}<small>one person</small>" if difference else ""


def _worst_clips(rows: list[dict[str, Any]], names: list[str], out: Path) -> str:
    strips = [_strip(row, names, out) for row in worst_first(rows, names[0])[:_STRIPS]]
    note = _note("Clips with the lowest mouth opening correlation. Each row shows eight frames of one film.")
    rest = len(strips) - _OPEN_STRIPS
    folded = f"<details><summary>Show {rest} more</summary>{''.join(strips[_OPEN_STRIPS:])}</details>"
    return note + "".join(strips[:_OPEN_STRIPS]) + (folded if rest > 0 else "")


def _strip(row: dict[str, Any], names: list[str], out: Path) -> str:
    correlation = row["films"][main_film(row, names[0])].get("opening_correlation", 0)
    caption = f"{row['key']} (person: {row['person']}), mouth opening correlation {correlation:.2f}"
    images = []
    for name in ("", *names):
        data = base64.b64encode(strip_path(out, row["key"], name).read_bytes()).decode()
        alt = escape(f"{row['key']}: {name or 'ground truth'}")
        images.append(f'<img alt="{alt}" loading=lazy src="data:image/jpeg;base64,{data}">')
    return f"<figure><figcaption>{escape(caption)}</figcaption><div>{''.join(images)}</div></figure>"


def _differences(differences: dict[str, Any]) -> str:
    shown = list(next(iter(differences.values()), {}))
    rows = [
        [escape(other), *(_difference(gaps[key], METRICS[key].digits) if key in gaps else "" for key in shown)]
        for other, gaps in differences.items()
    ]
    note = _note(
        "Main film of the evaluated weights minus another film of the same clip, averaged over clips. The sign "
        "is such that positive means: the evaluated film is better. Below each: 95&nbsp;% intervals, first with clips "
        "resampled, then with people resampled."
    )
    units = (f"{escape(METRICS[key].title)}<small>{escape(METRICS[key].unit)}</small>" for key in shown)
    return note + _table(["compared with", *units], rows)


def _difference(gap: dict[str, Any], digits: int) -> str:
    over_people = "{:+.{d}f} to {:+.{d}f}".format(*gap["over_people"][1:], d=digits)
    return f"{_value(gap['over_clips'], digits, signed=True)}<small>{over_people}</small>"


def _motion_changes(shares: dict[str, Any]) -> str:
    if not shares:
        return ""
    sources = list(next(iter(shares.values())))
    rows = [
        [
            f"other {escape(source)}",
            *(f"{changes[source][part]:.2f}" for changes in shares.values() for part in ("mouth", "head")),
        ]
        for source in sources
    ]
    note = _note(
        "One input of the self-driven film is exchanged. Each cell is the share of the motion that changes: 0, the "
        "motion stays the same; 1, it has nothing in common with before. Ideal for speech: mouth 1, head 0. Ideal for "
        "pose: mouth 0, head 1. Ideal for identity: both 0. Heads that hardly move score about 1, because only "
        "tracking noise is left."
    )
    head = [f"{part}<small>{escape(name)}</small>" for name in shares for part in ("mouth", "head")]
    return note + _table(["exchanged input", *head], rows)


def _leakage(reports: dict[str, Any]) -> str:
    if not reports:
        return ""
    probes = list(next(iter(reports.values()))["probes"])
    rows = [[escape(probe), *(_probe(report["probes"][probe]) for report in reports.values())] for probe in probes]
    note = _note(
        "Scores of linear probes on frames they were not fitted to; below each, the score by chance. "
        "&ldquo;Person&rdquo;: share of frames whose person is named correctly, averaged over people. "
        "&ldquo;Mouth&rdquo;: correlation with the mouth opening. Ideal: the person is not read from any code, and the "
        "mouth is read from the content code only. A probe finds what a code holds; the table above shows what the "
        "generator uses of it."
    )
    return note + _table(["probe", *map(escape, reports)], rows)


def _probe(probe: dict[str, float]) -> str:
    return f"{probe['score']:.2f}<small>chance {probe['chance']:.2f}</small>"


def _curves(report: dict[str, Any], names: list[str]) -> str:
    rows = report["rows"]
    shown = [TRUTH, *names, main_film_of_other_speech(rows[0], names[0])]
    shifts = {
        name: mean_curve(known)
        for name in shown
        if (known := [row["distance_curves"][name] for row in rows if name in row["distance_curves"]])
    }
    reach = (len(shifts[TRUTH]) - 1) // 2
    chart = line_chart(shifts, -float(reach), 1.0, ("frames by which the picture is late", "distance"))
    charts = [f"<div><h3>Sync distance to the clip's own speech, by shift</h3>{chart}</div>"]
    ordered = worst_first(rows, names[0])
    for title, row in (("Worst clip", ordered[0]), ("Best clip", ordered[-1])):
        openings = {name: row["mouth_opening"][name] for name in (TRUTH, *names) if name in row["mouth_opening"]}
        chart = line_chart(openings, 0.0, 1 / FRAME_RATE, ("seconds", "mouth opening in eye distances"))
        charts.append(f"<div><h3>{title}: mouth opening in eye distances, {escape(row['key'])}</h3>{chart}</div>")
    note = _note(
        "The sync distance of a film in sync has its minimum at shift 0; that of a film with other speech has none."
    )
    return f"{note}<div class=row>{''.join(charts)}</div>"


def _all_films(films: dict[str, Any]) -> str:
    return _note(_HOW_TO_READ) + "".join(_group(title, keys, films) for title, keys in GROUPS.items())


def _group(title: str, keys: Sequence[str], films: dict[str, Any]) -> str:
    shown = [key for key in keys if any(key in film for film in films.values())]
    rows = [
        [escape(name), *(_cell(film, key) for key in shown)]
        for name, film in films.items()
        if any(key in film for key in shown)
    ]
    head = ["film", *(_metric_name(METRICS[key]) for key in shown)]
    return f"<h3>{escape(title)}</h3>{_table(head, rows)}" if rows else ""


def _paper_table(report: dict[str, Any]) -> str:
    films, names = report["films"], list(report["weights"])
    made = [main_film(report["rows"][0], name) for name in names]
    if any(key not in films[film] for film in made for key in PAPER_COLUMNS):
        return ""
    measured = {film: films[film] for film in (TRUTH, *made)}
    rows = [
        [
            f"{escape(name)} (this report)",
            *(_value(film[key]["over_clips"], _OUR_DIGITS) for key in PAPER_COLUMNS),
        ]
        for name, film in measured.items()
    ]
    rows += [[f"{escape(name)}, VoxCeleb2", *_paper_cells(values)] for name, values in PAPER_FIGURES.items()]
    note = _note(
        "The figures do not compare with the paper's: other people and videos, 256 instead of 224 px, other "
        "landmarks, and another sync judge with another scale. The paper's figures are quoted from memory and were "
        "not checked."
    )
    return note + _table(["", "SSIM", "CPBD", "LMD, px", "Sync"], rows)


def _paper_cells(values: Sequence[float]) -> Iterable[str]:
    return (f"{value:.{digits}f}" for value, digits in zip(values, _PAPER_DIGITS, strict=True))


def _definitions(films: dict[str, Any]) -> str:
    rows = [
        [_metric_name(metric), escape(metric.meaning)]
        for key, metric in METRICS.items()
        if any(key in film for film in films.values())
    ]
    return _table(["metric", "definition"], rows, "text")
