"""Aggregates the rows of all clips: means with confidence intervals, paired differences and sanity checks."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np

from pcavs.evaluate.catalogue import MEDIANS
from pcavs.evaluate.protocols import (
    COPIED,
    CROSS,
    FROZEN,
    SHIFT_FRAMES,
    SHIFTED,
    TRUTH,
    main_film,
    main_film_of_other_speech,
)
from pcavs.metrics.curves import MotionChange
from pcavs.metrics.identity import normalised_similarity
from pcavs.metrics.statistics import Interval, bootstrap, student_interval

Rows = list[dict[str, Any]]

_DRAWS: Final = 4000
"""Bootstrap resamples: enough for two digits of a 95 % interval. Tuned by hand; not measured."""
_SIGNIFICANT_DIGITS: Final = 5
_PAIRED: Final = (
    ("sync_confidence", 1),
    ("opening_correlation", 1),
    ("mouth_area_error", -1),
    ("mouth_lmd", -1),
    ("ssim", 1),
)
"""Metrics whose paired differences are reported, and the sign that makes a better film positive."""
_SHIFT_TOLERANCE_FRAMES: Final = 1
"""Allowed error of the median offset that the sync judge finds for the shifted ground truth. Tuned by hand; not
measured."""


def summarise(rows: Rows, names: Sequence[str]) -> dict[str, Any]:
    """Aggregates the rows of all clips into the tables of the report.

    Args:
        rows: Results of `worker.run_job`, one per clip; normalised identity scores are added to them.
        names: Names of the weights, the evaluated ones first.
    """
    add_identity(rows)
    films = list(dict.fromkeys(film for row in rows for film in row["films"]))
    return {
        "clips": len(rows),
        "people": len({row["person"] for row in rows}),
        "frames": sum(row["frames"] for row in rows),
        "films": {film: aggregate(rows, film) for film in films},
        "differences": _differences(rows, names),
        "motion_change_shares": {
            name: _motion_change_shares(known, name)
            for name in names
            if (known := [row for row in rows if name in row["motion_changes"]])
        },
        "checks": sanity_checks(rows, names),
    }


def add_identity(rows: Rows) -> None:
    """Adds the normalised identity score (0 as a stranger, 1 as true frames) of each film to the rows.

    Nothing is added where all clips show the same person.
    """
    keys = {key for row in rows for film in row["films"].values() for key in film if key.startswith("cosine ")}
    for key in sorted(keys):
        genuine = float(np.mean([row["films"][TRUTH][key] for row in rows]))
        strangers = [row for row in rows if row.get("pose_source_person") not in (None, row["person"])]
        if not strangers:
            continue
        # The copied pose source shows another person, so its cosine is that of a stranger.
        impostor = float(np.mean([row["films"][COPIED][key] for row in strangers]))
        for row in rows:
            for film in row["films"].values():
                if key in film:
                    film[key.replace("cosine", "identity")] = normalised_similarity(film[key], genuine, impostor)


def aggregate(rows: Rows, film: str, keys: Sequence[str] = ()) -> dict[str, Any]:
    """Averages metrics of a film (all of them by default) over clips, with intervals over clips and over people."""
    found = [(row["person"], row["films"].get(film, {})) for row in rows]
    known = {key for _, values in found for key in values}
    keys = [key for key in keys if key in known] or sorted(known)
    statistics = {key: np.median if key in MEDIANS else np.mean for key in keys}
    return {key: intervals([(person, values.get(key)) for person, values in found], statistics[key]) for key in keys}


def intervals(
    values: Iterable[tuple[str, float | None]], statistic: Callable[..., np.ndarray] = np.mean
) -> dict[str, Any]:
    """Returns [estimate, low, high] with clips resampled and with people resampled, and the number of each.

    Clips of one person are alike, so that the interval over people is the wider and the more honest one.
    """
    known = [(person, value) for person, value in values if value is not None]
    by_person: dict[str, list[float]] = {}
    for person, value in known:
        by_person.setdefault(person, []).append(value)
    rng = np.random.default_rng(0)
    over_clips = bootstrap(np.array([value for _, value in known]), rng, _DRAWS, statistic)
    over_people = bootstrap(np.array([statistic(own) for own in by_person.values()]), rng, _DRAWS, statistic)
    return {
        "over_clips": _rounded(over_clips),
        "over_people": _rounded(over_people),
        "num_clips": len(known),
        "num_people": len(by_person),
    }


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.{_SIGNIFICANT_DIGITS}g}") for value in values]


def _differences(rows: Rows, names: Sequence[str]) -> dict[str, Any]:
    """Compares the main film of the evaluated weights with other films of the same clips, pair by pair.

    Positive: the evaluated film is better.
    """
    base, other_speech = main_film(rows[0], names[0]), main_film_of_other_speech(rows[0], names[0])
    others = [TRUTH, SHIFTED, FROZEN, other_speech, *(main_film(rows[0], name) for name in names[1:])]
    table: dict[str, Any] = {}
    for other in others:
        for key, sign in _PAIRED:
            pairs = [(row["person"], row["films"][base].get(key), row["films"][other].get(key)) for row in rows]
            gaps = [(person, sign * (a - b)) for person, a, b in pairs if a is not None and b is not None]
            if gaps:
                table.setdefault(other, {})[key] = intervals(gaps)
    return table


def _motion_change_shares(rows: Rows, name: str) -> dict[str, dict[str, float]]:
    """Computes by how much exchanging each input changes mouth and head motion, over all clips (`MotionChange`)."""
    shares: dict[str, dict[str, float]] = {}
    for source, parts in rows[0]["motion_changes"][name].items():
        for part in parts:
            sums = np.array([row["motion_changes"][name][source][part] for row in rows]).sum(axis=0)
            shares.setdefault(source, {})[part] = round(MotionChange(*sums.tolist()).share, 3)
    return shares


def sanity_checks(rows: Rows, names: Sequence[str]) -> list[dict[str, Any]]:
    """Checks that degenerate films score worse than the films they imitate.

    Scores are compared clip by clip, and the mean difference has Student's 95 % interval over people. By the
    means alone every second talker that does not listen would pass by chance.

    Returns:
        One object per check: `check` (what must hold), `metric`, `degenerate` and `compared_with` (mean scores),
        `difference` ([estimate, low, high]; empty without clips that have both scores, the estimate alone where there
        is one person), and `result`: `passed` where the whole interval is on the right side, `failed` where no part
        of it is, `undecided` else.
    """
    evaluated = names[0]

    def check(what: str, degenerate: tuple[str, str], honest: tuple[str, str]) -> dict[str, Any]:
        pairs = [
            (row["person"], *(row["films"].get(film, {}).get(key) for film, key in (degenerate, honest)))
            for row in rows
        ]
        known = [(person, worse, better) for person, worse, better in pairs if worse is not None and better is not None]
        means = np.mean([pair[1:] for pair in known], axis=0).tolist() if known else [math.nan, math.nan]
        gap = _people_interval([(person, better - worse) for person, worse, better in known])
        result = "passed" if gap.low > 0 else "failed" if gap.high <= 0 else "undecided"
        return _check(what, honest[1], (means[0], means[1]), gap, result)

    made, other = main_film(rows[0], evaluated), main_film_of_other_speech(rows[0], evaluated)
    crossed = f"{evaluated}: {CROSS}"
    is_crossed = crossed in rows[0]["films"]
    found = [
        check(
            "a frozen picture is less in sync than the truth",
            (FROZEN, "sync_confidence"),
            (TRUTH, "sync_confidence"),
        ),
        check(
            "a frozen mouth correlates less with the true opening",
            (FROZEN, "opening_correlation"),
            (made, "opening_correlation"),
        ),
        check(
            "a mouth driven by other speech correlates less with the true opening",
            (other, "opening_correlation"),
            (made, "opening_correlation"),
        ),
        check(
            "a mouth driven by other speech fits the clip's own speech less",
            (other, "unused_sync_cosine"),
            (made, "sync_cosine"),
        ),
        check("a late film is less in sync than the truth", (SHIFTED, "sync_cosine"), (TRUTH, "sync_cosine")),
    ]
    if is_crossed:
        what = "a copy of the pose source fits the driving audio less"
        found.append(check(what, (COPIED, "sync_cosine"), (crossed, "sync_cosine")))
        for key in sorted({key for key in rows[0]["films"][TRUTH] if key.startswith("cosine ")}):
            found.append(check("a copy of the pose source shows another person", (COPIED, key), (crossed, key)))
    return [*found, _shift_check(rows)]


def _shift_check(rows: Rows) -> dict[str, Any]:
    """Checks that the sync judge measures the delay of the shifted ground truth."""
    late = [row["films"][SHIFTED]["sync_offset"] - row["films"][TRUTH]["sync_offset"] for row in rows]
    median = bootstrap(np.array(late), np.random.default_rng(0), _DRAWS, np.median)
    gap = Interval(*(value - SHIFT_FRAMES for value in median))
    limit = _SHIFT_TOLERANCE_FRAMES
    result = "undecided"
    if max(abs(gap.low), abs(gap.high)) <= limit:
        result = "passed"
    elif gap.low > limit or gap.high < -limit:
        result = "failed"
    what = f"the sync judge measures a delay of {SHIFT_FRAMES} frames (median over clips)"
    return _check(what, "sync_offset", (median.estimate, float(SHIFT_FRAMES)), gap, result)


def _check(what: str, metric: str, scores: tuple[float, float], gap: Interval, result: str) -> dict[str, Any]:
    known = [value for value in gap if math.isfinite(value)]
    return {
        "check": what,
        "metric": metric,
        "degenerate": scores[0],
        "compared_with": scores[1],
        "difference": _rounded(known),
        "result": result,
    }


def _people_interval(values: Iterable[tuple[str, float]]) -> Interval:
    """Returns the mean over people of each person's mean, with Student's interval; infinite without values."""
    by_person: dict[str, list[float]] = {}
    for person, value in values:
        by_person.setdefault(person, []).append(value)
    if not by_person:
        return Interval(math.nan, -math.inf, math.inf)
    return student_interval(np.array([np.mean(own) for own in by_person.values()]))


def worst_first(rows: Rows, name: str) -> Rows:
    """Sorts clips by the mouth opening correlation of the main film of the weights `name`, lowest first."""
    return sorted(rows, key=lambda row: row["films"][main_film(row, name)].get("opening_correlation", 0.0))
