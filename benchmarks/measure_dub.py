"""Measures films of people into which other words were put: do lips fit, does anything else change, does it flicker.

    python benchmarks/measure_dub.py FILM... --audio SPEECH --out FOLDER [--weights W] [--seconds 5]

Each film is dubbed as `pcavs animate --identity FILM --audio SPEECH --full-frame` does, before encoding. Told are the
sync judge's confidence with the new speech, of the film before and after; what the dubbed film's flicker is of the
film's own; the share of pixels that changed; by how much the head's turns differ; and the time a frame takes. FOLDER
gets a strip of each, eight moments above those of the film.
"""

import argparse
import json
import logging
import time
from pathlib import Path

import cv2
import numpy as np

from pcavs.animate.talker import Talker, load_talker
from pcavs.evaluate.observe import Judges, Observation, load_judges, observe
from pcavs.media.audio import read_waveform
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.media.video import read_frames
from pcavs.metrics.flicker import flicker
from pcavs.spec import MelSpec
from pcavs.types import Picture

_MOMENTS, _TILE_PX = 8, 240


def main() -> None:
    """Dubs and measures every film."""
    logging.basicConfig(level=logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, nargs="+")
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    words = parser.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    judges, talker = load_judges(Path("none")), load_talker(words.weights, "auto", threads=1)
    rows = {path.stem: measured(path, talker, judges, words) for path in words.films}
    (words.out / "dub.json").write_text(json.dumps(rows, indent=1))
    names = next(iter(rows.values()))
    print(json.dumps({name: round(float(np.mean([row[name] for row in rows.values()])), 3) for name in names}))


def measured(path: Path, talker: Talker, judges: Judges, words: argparse.Namespace) -> dict[str, float]:
    """Dubs one film."""
    plan = talker.animate(path, words.audio, end=words.seconds, full_frame=True)
    began = time.perf_counter()
    made = list(plan.frames)
    took_ms = 1000 * (time.perf_counter() - began) / len(made)
    height, width = made[0].shape[:2]
    film = [frame[:height, :width] for frame in read_frames(path, 0.0, words.seconds, max(made[0].shape))][: len(made)]
    after, before = observe(made, judges, path.name), observe(film, judges, path.name)
    changed = [float((a != b).any(axis=-1).mean()) for a, b in zip(made, film, strict=True)]
    row = {
        "confidence": confidence(after, words, judges),
        "confidence_before": confidence(before, words, judges),
        "flicker": flicker(made) / flicker(film),
        "changed": float(np.mean(changed)),
        "turn_deg": float(np.abs(after.angles_deg - before.angles_deg).mean()),
        "yaw_reach_deg": float(np.abs(before.angles_deg[:, 0]).max()),
        "ms": took_ms,
    }
    cv2.imwrite(str(words.out / f"{path.stem}.png"), cv2.cvtColor(strip(made, film, before), cv2.COLOR_RGB2BGR))
    print(path.stem, json.dumps({name: round(value, 3) for name, value in row.items()}), flush=True)
    return row


def confidence(seen: Observation, words: argparse.Namespace, judges: Judges) -> float:
    """How surely the sync judge takes the new speech for that of a film."""
    windows = mel_windows(padded_mel(read_waveform(words.audio, 0.0, words.seconds), len(seen.faces), MelSpec()))
    return judges.sync.score(seen.crops, seen.lips, windows).confidence


def strip(made: list[Picture], film: list[Picture], seen: Observation) -> Picture:
    """Eight moments after, above the same before, around the face."""
    half = 0.9 * float(np.ptp(seen.meshes[..., 1], axis=1).max())
    rows = []
    moments = np.linspace(0, len(made) - 1, _MOMENTS).round().astype(int)
    for frames in (made, film):
        tiles = []
        for t in moments:
            x, y = seen.meshes[t, :, :2].mean(axis=0)
            place = np.array([[1, 0, half - x], [0, 1, half - y]]) * (_TILE_PX / 2 / half)
            tiles.append(cv2.warpAffine(frames[t], place, (_TILE_PX, _TILE_PX), flags=cv2.INTER_AREA))
        rows.append(np.concatenate(tiles, axis=1))
    return np.concatenate(rows)


if __name__ == "__main__":
    main()
