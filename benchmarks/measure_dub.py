"""Measures dubbed videos: lip sync, flicker, and how much outside of the mouth changes.

    python benchmarks/measure_dub.py VIDEO... --audio SPEECH --out FOLDER [--weights W] [--seconds 5]

Each video is dubbed as `pcavs animate --identity VIDEO --audio SPEECH --full-frame` does; frames are measured before
they are encoded. FOLDER gets dub.json with a row for each video, and a picture of eight frames, dubbed above original:

- `confidence`, `confidence_before`: confidence of the sync judge for the new speech, with the dubbed and the original
  frames
- `flicker`: flicker of the dubbed frames as a fraction of the original's
- `changed`: fraction of pixels that differ
- `turn_deg`: mean difference of the head's angles; `yaw_reach_deg`: largest yaw of the original
- `ms`: time for one frame
"""

import argparse
import json
import logging
import time
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pcavs.animate.load import load_talker
from pcavs.animate.talker import Talker
from pcavs.evaluate.observe import Judges, Observation, load_judges, observe
from pcavs.media.audio import read_waveform
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.media.video import read_frames
from pcavs.metrics.flicker import flicker
from pcavs.spec import MelSpec
from pcavs.types import Picture

_NUM_TILES: Final = 8
"""Frames of a video in its strip."""
_TILE_PX: Final = 240
_FACE_MARGIN: Final = 0.9
"""Half side of a tile, as a fraction of the largest face height in the video."""


def main() -> None:
    """Dubs and measures every video."""
    logging.basicConfig(level=logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    judges, talker = load_judges(Path("none")), load_talker(args.weights, "auto", threads=1)
    rows = {path.stem: measured(path, talker, judges, args) for path in args.videos}
    (args.out / "dub.json").write_text(json.dumps(rows, indent=1))
    names = next(iter(rows.values()))
    print(json.dumps({name: round(float(np.mean([row[name] for row in rows.values()])), 3) for name in names}))


def measured(path: Path, talker: Talker, judges: Judges, args: argparse.Namespace) -> dict[str, float]:
    """Dubs one video and returns its row."""
    film = talker.animate(path, args.audio, end=args.seconds, full_frame=True)
    began = time.perf_counter()
    dubbed = list(film.frames)
    took_ms = 1000 * (time.perf_counter() - began) / len(dubbed)
    height, width = dubbed[0].shape[:2]
    source = list(read_frames(path, 0.0, args.seconds, max(dubbed[0].shape)))
    original = [frame[:height, :width] for frame in source][: len(dubbed)]
    after, before = observe(dubbed, judges, path.name), observe(original, judges, path.name)
    changed = [float((a != b).any(axis=-1).mean()) for a, b in zip(dubbed, original, strict=True)]
    row = {
        "confidence": confidence(after, args, judges),
        "confidence_before": confidence(before, args, judges),
        "flicker": flicker(dubbed) / flicker(original),
        "changed": float(np.mean(changed)),
        "turn_deg": float(np.abs(after.angles_deg - before.angles_deg).mean()),
        "yaw_reach_deg": float(np.abs(before.angles_deg[:, 0]).max()),
        "ms": took_ms,
    }
    cv2.imwrite(str(args.out / f"{path.stem}.png"), cv2.cvtColor(strip(dubbed, original, before), cv2.COLOR_RGB2BGR))
    print(path.stem, json.dumps({name: round(value, 3) for name, value in row.items()}), flush=True)
    return row


def confidence(observation: Observation, args: argparse.Namespace, judges: Judges) -> float:
    """Returns the confidence of the sync judge for the new speech with the observed frames."""
    windows = mel_windows(padded_mel(read_waveform(args.audio, 0.0, args.seconds), len(observation.faces), MelSpec()))
    return judges.sync.score(observation.crops, observation.lips, windows).confidence


def strip(dubbed: list[Picture], original: list[Picture], observation: Observation) -> Picture:
    """Draws eight frames around the face: dubbed in the upper row, the original in the lower."""
    half = _FACE_MARGIN * float(np.ptp(observation.meshes[..., 1], axis=1).max())
    rows = []
    indices = np.linspace(0, len(dubbed) - 1, _NUM_TILES).round().astype(int)
    for frames in (dubbed, original):
        tiles = []
        for t in indices:
            x, y = observation.meshes[t, :, :2].mean(axis=0)
            to_tile = np.array([[1, 0, half - x], [0, 1, half - y]]) * (_TILE_PX / 2 / half)
            tiles.append(cv2.warpAffine(frames[t], to_tile, (_TILE_PX, _TILE_PX), flags=cv2.INTER_AREA))
        rows.append(np.concatenate(tiles, axis=1))
    return np.concatenate(rows)


if __name__ == "__main__":
    main()
