"""From rows of clips to tables: means with intervals, paired differences, and whether the obvious tricks fail."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np

from pcavs.evaluate.catalogue import MEDIANS
from pcavs.evaluate.measure import Row
from pcavs.evaluate.scene import COPIED, CROSS, FROZEN, MISMATCHED, SELF, SHIFT_FRAMES, SHIFTED, TRUTH
from pcavs.metrics.curves import Exchange
from pcavs.metrics.identity import likeness
from pcavs.metrics.statistics import bootstrap

Rows = list[dict[str, Any]]

_DRAWS: Final = 4000
_PAIRED: Final = (
    ("sync_confidence", 1),
    ("opening_follows", 1),
    ("mouth_error", -1),
    ("mouth_lmd", -1),
    ("ssim", 1),
)
"""Metrics whose differences between films of one clip are given, and the sign that makes better positive."""


def summarise(rows: Rows, names: Sequence[str]) -> dict[str, Any]:
    """Makes everything that the report shows of finished clips.

    Args:
        rows: One a clip, as `work.run_job` gives them.
        names: Of the weights, the judged ones first.
    """
    scale_identity(rows)
    films = list(dict.fromkeys(film for row in rows for film in row["films"]))
    return {
        "clips": len(rows),
        "people": len({row["person"] for row in rows}),
        "frames": sum(row["frames"] for row in rows),
        "films": {film: _table(rows, film) for film in films},
        "differences": _differences(rows, names),
        "who_drives_what": {name: _who_drives(rows, name) for name in names},
        "checks": checks(rows, names),
    }


def scale_identity(rows: Rows) -> None:
    """Adds to each film how much it is the person: 0 like strangers, 1 like true frames of the person."""
    keys = {key for row in rows for film in row["films"].values() for key in film if key.startswith("cosine ")}
    for key in sorted(keys):
        genuine = float(np.mean([row["films"][TRUTH][key] for row in rows]))
        strangers = [row for row in rows if row.get("lender") not in (None, row["person"])]
        if not strangers:
            continue
        # The copied pose source shows somebody else: its cosine is a stranger's.
        impostor = float(np.mean([row["films"][COPIED][key] for row in strangers]))
        for row in rows:
            for film in row["films"].values():
                if key in film:
                    film[key.replace("cosine", "identity")] = likeness(film[key], genuine, impostor)


def _table(rows: Rows, film: str) -> dict[str, Any]:
    """Mean of every metric with its interval over clips and over people."""
    found = [(row["person"], row["films"].get(film, {})) for row in rows]
    keys = sorted({key for _, values in found for key in values})
    middles = {key: np.median if key in MEDIANS else np.mean for key in keys}
    return {key: _interval([(person, values.get(key)) for person, values in found], middles[key]) for key in keys}


def _interval(
    values: Iterable[tuple[str, float | None]], middle: Callable[..., np.ndarray] = np.mean
) -> dict[str, Any]:
    known = [(person, value) for person, value in values if value is not None]
    people: dict[str, list[float]] = {}
    for person, value in known:
        people.setdefault(person, []).append(value)
    rng = np.random.default_rng(0)
    over_clips = bootstrap(np.array([value for _, value in known]), rng, _DRAWS, middle)
    over_people = bootstrap(np.array([middle(own) for own in people.values()]), rng, _DRAWS, middle)
    return {"clips": _rounded(over_clips), "people": _rounded(over_people), "n": [len(known), len(people)]}


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def _differences(rows: Rows, names: Sequence[str]) -> dict[str, Any]:
    """Self-driven film of the judged weights less every other film of the same moments; positive is better."""
    base = f"{names[0]}: {SELF}"
    others = [TRUTH, SHIFTED, FROZEN, f"{names[0]}: {MISMATCHED}", *(f"{name}: {SELF}" for name in names[1:])]
    table: dict[str, Any] = {}
    for other in others:
        for key, sign in _PAIRED:
            pairs = [(row["person"], row["films"][base].get(key), row["films"][other].get(key)) for row in rows]
            gaps = [(person, sign * (a - b)) for person, a, b in pairs if a is not None and b is not None]
            if gaps:
                table.setdefault(other, {})[key] = _interval(gaps)
    return table


def _who_drives(rows: Rows, name: str) -> dict[str, dict[str, float]]:
    """Share of the mouth's and of the head's motion that followed each exchanged source, over all clips."""
    shares: dict[str, dict[str, float]] = {}
    for source, moved in rows[0]["exchanges"][name].items():
        for part in moved:
            sums = np.array([row["exchanges"][name][source][part] for row in rows]).sum(axis=0)
            shares.setdefault(source, {})[part] = round(Exchange(*sums.tolist()).share, 3)
    return shares


def checks(rows: Rows, names: Sequence[str]) -> list[dict[str, Any]]:
    """Shows that the obvious tricks do not pay: each gets the worse score where it should."""
    judged = names[0]

    def mean(film: str, key: str) -> float:
        values = [row["films"][film][key] for row in rows if key in row["films"][film]]
        return float(np.mean(values)) if values else float("nan")

    def lower(what: str, cheat: str, honest: str, key: str) -> dict[str, Any]:
        worse, better = mean(cheat, key), mean(honest, key)
        return {"check": what, "metric": key, "cheat": worse, "honest": better, "holds": worse < better}

    made, crossed, other = f"{judged}: {SELF}", f"{judged}: {CROSS}", f"{judged}: {MISMATCHED}"
    found = [
        lower("a frozen picture is not in sync", FROZEN, TRUTH, "sync_confidence"),
        lower("a frozen picture follows no mouth", FROZEN, made, "opening_follows"),
        lower("a mouth from other speech does not follow the truth", other, made, "opening_follows"),
        lower("a mouth from other speech fits the true speech less", other, made, "sync_likeness"),
        lower("a copy of the pose source does not fit the speech", COPIED, crossed, "sync_likeness"),
        lower("a late film fits less at its own time", SHIFTED, TRUTH, "sync_likeness"),
    ]
    found[3]["cheat"] = mean(other, "unheard_sync_likeness")
    found[3]["holds"] = found[3]["cheat"] < found[3]["honest"]
    for key in sorted({key for key in rows[0]["films"][TRUTH] if key.startswith("cosine ")}):
        found.append(lower("a copy of the pose source is somebody else", COPIED, crossed, key))
    late = [row["films"][SHIFTED]["sync_offset"] - row["films"][TRUTH]["sync_offset"] for row in rows]
    middle = float(np.median(late))
    what = f"a film {SHIFT_FRAMES} frames late is seen to be that late (median)"
    found.append(
        {
            "check": what,
            "metric": "sync_offset",
            "cheat": middle,
            "honest": float(SHIFT_FRAMES),
            "holds": abs(middle - SHIFT_FRAMES) <= 1,
        }
    )
    return found


def worst_first(rows: Rows, name: str) -> Rows:
    """Orders clips by how badly the mouth of the self-driven film follows the truth."""

    def key(row: dict[str, Any]) -> float:
        film: Row = row["films"][f"{name}: {SELF}"]
        return film.get("opening_follows", 0.0)

    return sorted(rows, key=key)
