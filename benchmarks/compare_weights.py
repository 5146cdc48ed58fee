"""Compares weights by the films that users get of them, clip by clip, in minutes.

    python benchmarks/compare_weights.py CLIPS --weights V0F NEW [--turn network] [--most-s 3] [--out scores.json]
    python benchmarks/compare_weights.py CLIPS --weights V0F --articulation 1 0.7 1.4

Of each film with sound in CLIPS, `animate` makes its first frame say its own speech and move as it moves, whole
pictures known (`pcavs evaluate` knows the crops alone). The tracker and the sync judge look at film and clip: how well
the opening of the mouth follows, by how many millimetres lips are off and by what share of the eye distance their
opening, how wide the widest openings are beside the clip's, the judge's confidence and likeness, degrees of yaw.
Printed are the means of each weights and, against the first ones, differences with 95 % intervals, clips resampled.
"""

import argparse
import json
import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from pcavs.animate.talker import load_talker
from pcavs.errors import PcavsError
from pcavs.evaluate.observe import Judges, Observation, load_judges, observe
from pcavs.face.regions import LIPS
from pcavs.media.audio import read_waveform
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.media.video import read_frames
from pcavs.metrics.curves import lagged_correlation
from pcavs.metrics.statistics import bootstrap
from pcavs.spec import MelSpec

Row = dict[str, float]

_SIDE_PX = 256
_WIDE_PERCENT = 90


def main() -> None:
    """Makes and measures all films, and prints a table."""
    logging.basicConfig(level=logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights", type=Path, nargs="+", required=True)
    parser.add_argument("--articulation", type=float, nargs="+", default=[1.0], help="each with all weights")
    parser.add_argument("--turn", choices=["depth", "network"], default="depth")
    parser.add_argument("--most-s", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    paths = sorted(words.clips.rglob("*.mp4"))
    share = [paths[first :: words.workers] for first in range(words.workers)]
    with ProcessPoolExecutor(words.workers, multiprocessing.get_context("spawn")) as pool:
        parts = list(pool.map(measured, share, [words] * words.workers))
    scores = {name: {k: v for part in parts for k, v in part[name].items()} for name in parts[0]}
    if words.out:
        words.out.write_text(json.dumps({"turn": words.turn, "seconds": words.most_s, "scores": scores}, indent=1))
    print(table(scores))


def measured(paths: list[Path], words: argparse.Namespace) -> dict[str, dict[str, Row]]:
    """Scores by weights, articulation and clip; a clip that cannot be measured is told and passed over."""
    judges = load_judges(Path("none"))
    talkers = {
        f"{weights} {articulation:g}": (load_talker(weights, "auto", threads=1), articulation)
        for weights in words.weights
        for articulation in words.articulation
    }
    scores: dict[str, dict[str, Row]] = {name: {} for name in talkers}
    for path in paths:
        try:
            truth = observe(list(read_frames(path, 0.0, words.most_s)), judges, path.name)
            rows = {}
            for name, (talker, articulation) in talkers.items():
                choices = {"end": words.most_s, "size": _SIDE_PX, "turn": words.turn, "articulation": articulation}
                film = talker.animate(path, path, path, **choices)
                rows[name] = scored(observe(list(film.frames), judges, path.name), truth, path, words.most_s, judges)
        except PcavsError as error:
            print(f"passed over: {error}", flush=True)
            continue
        for name, row in rows.items():
            scores[name][path.stem] = row
            print(path.stem, Path(name).name, json.dumps({k: round(v, 3) for k, v in row.items()}), flush=True)
    return scores


def scored(film: Observation, truth: Observation, path: Path, most_s: float, judges: Judges) -> Row:
    """Sets a film beside the clip that it should be."""
    count = min(len(film.lips), len(truth.lips))
    lips = [seen.lips[:count].reshape(count, len(LIPS), 2) for seen in (film, truth)]
    # A mouth that sits a little lower is no other shape.
    one, other = (each - each.mean(axis=1, keepdims=True) for each in lips)
    windows = mel_windows(padded_mel(read_waveform(path, 0.0, most_s), len(film.faces), MelSpec()))
    judged = judges.sync.score(film.crops, film.lips, windows)
    wide = [float(np.percentile(seen.opening, _WIDE_PERCENT)) for seen in (film, truth)]
    return {
        "follows": lagged_correlation(film.opening[:count], truth.opening[:count]).correlation,
        "lips_mm": float(np.linalg.norm(one - other, axis=-1).mean()) * 10,
        "opening": float(np.abs(film.opening[:count] - truth.opening[:count]).mean()),
        "wide": wide[0] / max(wide[1], 1e-3),
        "confidence": judged.confidence,
        "likeness": judged.cosine,
        "yaw_deg": float(np.abs(film.angles_deg[:count, 0] - truth.angles_deg[:count, 0]).mean()),
    }


def table(scores: dict[str, dict[str, Row]]) -> str:
    """Lays means and differences out as a Markdown table; clips that one weights lack count for none."""
    first, *others = scores
    clips = sorted(set.intersection(*(set(rows) for rows in scores.values())))
    lines = [
        f"| {len(clips)} clips | {' | '.join(Path(name).name for name in scores)} |",
        "|---" * (1 + len(scores)) + "|",
    ]
    for measure in scores[first][clips[0]]:
        values = {name: np.array([rows[clip][measure] for clip in clips]) for name, rows in scores.items()}
        cells = [f"{np.nanmean(values[first]):.3f}"]
        for name in others:
            apart = values[name] - values[first]
            found = bootstrap(apart[np.isfinite(apart)], np.random.default_rng(0))
            cells.append(
                f"{np.nanmean(values[name]):.3f}, {found.estimate:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
            )
        lines.append(f"| {measure} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
