"""How well lips follow speech: for real people alone and for each set, with intervals over people.

A person's clips are averaged first, and people are resampled, because clips of one person are alike.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from pcavs.evaluate.catalogue import METRICS
from pcavs.evaluate.protocols import FOLLOWING, SHIFT_FRAMES, SHIFTED, TRUTH
from pcavs.evaluate.summary import Rows, aggregate, intervals

REAL_PEOPLE: Final = "real people"
"""Name of the group that holds all sets of real people."""

CORRELATIONS: Final = ("opening_correlation", "opening_best", "width_correlation", "width_best")
_CLOSURES: Final = ("bilabials_closed", "vowels_closed")
_JUDGE: Final = (
    "sync_confidence",
    "late_sync_confidence",
    "other_sync_confidence",
    "sync_confidence_at_0",
    "late_sync_confidence_at_0",
    "other_sync_confidence_at_0",
)
_METRICS: Final = (*CORRELATIONS, *_CLOSURES, *_JUDGE)

_HEADINGS: Final = {
    "opening_correlation": "opening, no lag",
    "opening_best": "opening, best lag",
    "width_correlation": "width, no lag",
    "width_best": "width, best lag",
}


class Table(NamedTuple):
    """A table of text, for the page and for following.md."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]


def summarise_following(rows: Rows, names: Sequence[str]) -> dict[str, Any]:
    """Aggregates how lips follow speech by group: real people, then each set.

    Returns:
        By group: `kind`, `clips`, `people`; `films` (metrics by film); `shares` (by film and comparison, the share of
        clips in which the film follows its truth better than the film of wrong speech); `differences` (by film and
        metric, the evaluated weights minus others); `judge_bias` (by film, confidence minus the true clips');
        `bilabials` (by film, in how many m, b, p the lips meet, and of how many).
    """
    return {group: _summarise_group(own, names) for group, own in _groups(rows)}


def _groups(rows: Rows) -> Iterator[tuple[str, Rows]]:
    real = [row for row in rows if row["kind"] == "real"]
    if real:
        yield REAL_PEOPLE, real
    for name in dict.fromkeys(row["set"] for row in rows):
        yield f"set {name}", [row for row in rows if row["set"] == name]


def _summarise_group(rows: Rows, names: Sequence[str]) -> dict[str, Any]:
    made = [f"{name}: {film}" for name in names for film in FOLLOWING if f"{name}: {film}" in rows[0]["films"]]
    wrong = {film: _wrong_speech(film) for film in made}
    films = [TRUTH, SHIFTED, *(each for film in made for each in (film, *wrong[film]))]
    return {
        "kind": rows[0]["kind"],
        "clips": len(rows),
        "people": len({row["person"] for row in rows}),
        "films": {film: aggregate(rows, film, _METRICS) for film in films},
        "shares": {film: _shares(rows, film, wrong[film]) for film in made},
        "differences": dict(_differences(rows, names)),
        "judge_bias": {film: _difference(rows, film, TRUTH, "sync_confidence") for film in made},
        "bilabials": {film: _count_bilabials(rows, film) for film in films},
    }


def _wrong_speech(film: str) -> tuple[str, str]:
    """Returns the films with late and with another's speech that belong to a film."""
    name, _, protocol = film.rpartition(": ")
    late, other = FOLLOWING[protocol]
    return f"{name}: {late}", f"{name}: {other}"


def _shares(rows: Rows, film: str, wrong: tuple[str, str]) -> dict[str, Any]:
    """Computes in which share of clips a film follows its truth better than those of wrong speech, by metric."""
    shares: dict[str, Any] = {}
    for against, other in zip(("late", "other"), wrong, strict=True):
        known = [row for row in rows if all("opening_correlation" in row["films"][each] for each in (film, other))]
        shares[against] = {
            key: intervals(
                [(row["person"], float(row["films"][film][key] > row["films"][other][key])) for row in known]
            )
            for key in CORRELATIONS
            if known
        }
    return shares


def _differences(rows: Rows, names: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields by film of the other weights the evaluated weights' metrics minus theirs, paired by clip."""
    for name in names[1:]:
        for protocol in FOLLOWING:
            film, other = f"{names[0]}: {protocol}", f"{name}: {protocol}"
            if other in rows[0]["films"]:
                keys = (*CORRELATIONS, "bilabials_closed", "sync_confidence")
                gaps = {key: _difference(rows, film, other, key) for key in keys}
                yield other, {key: gap for key, gap in gaps.items() if gap}


def _difference(rows: Rows, film: str, other: str, key: str) -> dict[str, Any] | None:
    pairs = [(row["person"], row["films"][film].get(key), row["films"][other].get(key)) for row in rows]
    known = [(person, one - two) for person, one, two in pairs if one is not None and two is not None]
    return intervals(known) if known else None


def _count_bilabials(rows: Rows, film: str) -> dict[str, int]:
    found = [row["films"][film] for row in rows if "bilabials" in row["films"][film]]
    met = sum(round(each["bilabials"] * each["bilabials_closed"]) for each in found)
    return {"met": met, "of": sum(round(each["bilabials"]) for each in found)}


def following_tables(following: dict[str, Any]) -> dict[str, list[Table]]:
    """Formats the result of `summarise_following`, by group; a set that is all of a group before it is left out."""
    groups: dict[str, Any] = {}
    for group, facts in following.items():
        if facts not in groups.values():
            groups[group] = facts
    return {group: _group_tables(facts) for group, facts in groups.items()}


def _group_tables(facts: dict[str, Any]) -> list[Table]:
    films, made = facts["films"], list(facts["shares"])
    followed = [film for film in films if film != TRUTH]
    tables = [
        Table(
            "Correlation of the mouth with the truth's",
            ("film", *(_HEADINGS[key] for key in CORRELATIONS)),
            [(film, *(_cell(films[film], key) for key in CORRELATIONS)) for film in followed],
        ),
        Table(
            "Share of clips in which the film follows its truth better",
            ("film", "than with", *(_HEADINGS[key] for key in CORRELATIONS)),
            [
                (film, against, *(_share(facts["shares"][film][kind].get(key)) for key in CORRELATIONS))
                for film in made
                for kind, against in (("late", f"speech {SHIFT_FRAMES} frames late"), ("other", "another's speech"))
            ],
        ),
        Table(
            "Sync judge: confidence with true, late and another's speech; bias, our films minus the true clips",
            ("film", "true", "late", "another's", "true, no shift", "late, no shift", "another's, no shift", "bias"),
            [
                (film, *(_cell(films[film], key) for key in _JUDGE), _gap(facts["judge_bias"].get(film), 3))
                for film in (TRUTH, *made)
            ],
        ),
    ]
    if facts["differences"]:
        keys = (*CORRELATIONS, "bilabials_closed", "sync_confidence")
        titles = [_HEADINGS.get(key, METRICS[key].title) for key in keys]
        rows = [
            (film, *(_gap(gaps.get(key), METRICS[key].digits) for key in keys))
            for film, gaps in facts["differences"].items()
        ]
        tables.append(Table("Evaluated weights minus others, paired by clip", ("minus", *titles), rows))
    counts = {film: count for film, count in facts["bilabials"].items() if count["of"]}
    if counts:
        head = ("film", "m, b, p in which they meet", "share", "share of open vowels amid which they do")
        rows = [
            (film, f"{count['met']} of {count['of']}", *(_cell(films[film], key) for key in _CLOSURES))
            for film, count in counts.items()
        ]
        tables.append(Table("Lips that meet", head, rows))
    return tables


def _cell(film: dict[str, Any], key: str) -> str:
    return _value(film[key]["over_people"], METRICS[key].digits, "") if key in film else ""


def _gap(gap: dict[str, Any] | None, digits: int) -> str:
    return _value(gap["over_people"], digits, "+") if gap else ""


def _value(interval: Sequence[float], digits: int, sign: str) -> str:
    estimate, low, high = (f"{value:{sign}.{digits}f}" for value in interval)
    return f"{estimate} ({low} to {high})"


def _share(share: dict[str, Any] | None) -> str:
    if share is None:
        return ""
    count, total = round(share["over_clips"][0] * share["num_clips"]), share["num_clips"]
    return f"{count} of {total}; {_value(share['over_people'], 2, '')}"


def following_markdown(report: dict[str, Any]) -> str:
    """Formats the tables of all groups as Markdown, with what is needed to read them."""
    heard = ", ".join(f"{name} ({kind})" for name, kind in report["speech_features"].items())
    lines = [
        "# How lips follow speech",
        "",
        f"Weights and the speech features they listen with: {heard}. Sync judge: {report['judge']['name']}.",
        "Means over people of the means over each person's clips, with 95 % intervals (bootstrap over people).",
    ]
    for group, tables in following_tables(report["following"]).items():
        facts = report["following"][group]
        lines += ["", f"## {group.capitalize()}: {facts['clips']} clips of {facts['people']} people"]
        for table in tables:
            lines += ["", f"### {table.title}", "", _markdown_row(table.head), "|---" * len(table.head) + "|"]
            lines += [_markdown_row(row) for row in table.rows]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
