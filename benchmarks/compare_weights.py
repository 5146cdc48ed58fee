"""Compares weights and articulations by the films that `pcavs animate` makes of whole pictures, clip by clip.

    python benchmarks/compare_weights.py CLIPS --weights OLD NEW [--turn network] [--most-s 3] [--out scores.json]
    python benchmarks/compare_weights.py CLIPS --weights WEIGHTS --articulation 1 0.7 1.4

For each video with sound in CLIPS, `animate` reproduces the clip: its first frame is the identity, its sound the
driving audio and the clip itself the pose source. Whole pictures are given; `pcavs evaluate` gives crops.
Film and clip are measured with the face tracker and the sync judge:

- `opening_correlation`: Pearson correlation of the mouth openings over time
- `lips_mm`: mean distance of the lip landmarks, with the lips' mean position removed
- `opening`: mean difference of the mouth openings, as a fraction of the eye distance
- `wide`: 90th percentile of the opening, as a fraction of the clip's
- `confidence`, `sync_cosine`: scores of the sync judge for the film
- `yaw_deg`: mean difference of yaw

Prints the speech features that each of the weights listens with, the mean for every weights, and the difference from
the first weights with its 95 % bootstrap interval over clips.
"""

import argparse
import json
import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np

from pcavs.animate.load import load_talker
from pcavs.errors import PcavsError
from pcavs.evaluate.observe import Judges, Observation, load_judges, observe
from pcavs.face.regions import LIPS
from pcavs.media.audio import read_waveform
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.media.video import read_frames
from pcavs.metrics.curves import lagged_correlation
from pcavs.metrics.statistics import bootstrap
from pcavs.spec import MelSpec, speech_features

Row = dict[str, float]

_SIDE_PX: Final = 256
"""Side of the films."""
_WIDE_PERCENT: Final = 90
"""Percentile of the mouth opening that counts as wide open."""
_LEAST_OPENING: Final = 1e-3
"""Lower bound of the clip's wide opening, so that a mouth that never opens causes no division by zero."""


def main() -> None:
    """Makes and measures all films, and prints the table."""
    logging.basicConfig(level=logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights", type=Path, nargs="+", required=True)
    parser.add_argument("--articulation", type=float, nargs="+", default=[1.0], help="used with every weights")
    parser.add_argument("--turn", choices=["depth", "network"], default="depth")
    parser.add_argument("--most-s", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    paths = sorted(args.clips.rglob("*.mp4"))
    shares = [paths[first :: args.workers] for first in range(args.workers)]
    with ProcessPoolExecutor(args.workers, multiprocessing.get_context("spawn")) as pool:
        parts = list(pool.map(measured, shares, [args] * args.workers))
    scores = {name: {k: v for part in parts for k, v in part[name].items()} for name in parts[0]}
    heard = {str(place): speech_features(load_talker(place, "auto", threads=1).runtime.spec) for place in args.weights}
    if args.out:
        facts = {"turn": args.turn, "seconds": args.most_s, "speech_features": heard, "scores": scores}
        args.out.write_text(json.dumps(facts, indent=1))
    print("Speech features: " + ", ".join(f"{Path(place).name} {kind}" for place, kind in heard.items()))
    print(table(scores))


def measured(paths: list[Path], args: argparse.Namespace) -> dict[str, dict[str, Row]]:
    """Returns rows by `WEIGHTS ARTICULATION` and clip name; reports and skips clips that cannot be measured."""
    judges = load_judges(Path("none"))
    talkers = {
        f"{weights} {articulation:g}": (load_talker(weights, "auto", threads=1), articulation)
        for weights in args.weights
        for articulation in args.articulation
    }
    scores: dict[str, dict[str, Row]] = {name: {} for name in talkers}
    for path in paths:
        try:
            truth = observe(list(read_frames(path, 0.0, args.most_s)), judges, path.name)
            rows = {}
            for name, (talker, articulation) in talkers.items():
                choices: dict[str, Any] = {
                    "end": args.most_s,
                    "size": _SIDE_PX,
                    "turn": args.turn,
                    "articulation": articulation,
                }
                film = talker.animate(path, path, path, **choices)
                rows[name] = scored(observe(list(film.frames), judges, path.name), truth, path, args.most_s, judges)
        except PcavsError as error:
            print(f"skipped: {error}", flush=True)
            continue
        for name, row in rows.items():
            scores[name][path.stem] = row
            print(path.stem, Path(name).name, json.dumps({k: round(v, 3) for k, v in row.items()}), flush=True)
    return scores


def scored(film: Observation, truth: Observation, path: Path, most_s: float, judges: Judges) -> Row:
    """Returns the measures of a film against the clip that it reproduces."""
    count = min(len(film.lips), len(truth.lips))
    lips = [seen.lips[:count].reshape(count, len(LIPS), 2) for seen in (film, truth)]
    # Only the shape of the lips is compared: the mean position of each frame is removed.
    one, other = (each - each.mean(axis=1, keepdims=True) for each in lips)
    windows = mel_windows(padded_mel(read_waveform(path, 0.0, most_s), len(film.faces), MelSpec()))
    judged = judges.sync.score(film.crops, film.lips, windows)
    wide = [float(np.percentile(seen.opening, _WIDE_PERCENT)) for seen in (film, truth)]
    return {
        "opening_correlation": lagged_correlation(film.opening[:count], truth.opening[:count]).correlation,
        "lips_mm": float(np.linalg.norm(one - other, axis=-1).mean()) * 10,
        "opening": float(np.abs(film.opening[:count] - truth.opening[:count]).mean()),
        "wide": wide[0] / max(wide[1], _LEAST_OPENING),
        "confidence": judged.confidence,
        "sync_cosine": judged.cosine,
        "yaw_deg": float(np.abs(film.angles_deg[:count, 0] - truth.angles_deg[:count, 0]).mean()),
    }


def table(scores: dict[str, dict[str, Row]]) -> str:
    """Formats means and differences as Markdown; only clips that were measured with every weights count."""
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
            change = values[name] - values[first]
            interval = bootstrap(change[np.isfinite(change)], np.random.default_rng(0))
            bounds = f"{interval.estimate:+.3f} ({interval.low:+.3f} to {interval.high:+.3f})"
            cells.append(f"{np.nanmean(values[name]):.3f}, {bounds}")
        lines.append(f"| {measure} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
