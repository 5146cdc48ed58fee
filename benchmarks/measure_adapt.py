"""Measures what `pcavs adapt` gains on speech that it has not seen, and what it costs.

    python benchmarks/measure_adapt.py OUT FILM... [--seconds 8] [--steps 60] [--shift 0]

The first `--seconds` of each film are given to `pcavs adapt`, with the sound late by `--shift` frames; it holds out
their end itself and chooses the weights. What follows in the film, up to `_MOST_TEST_S`, is then spoken by the start
and by the adapted weights, from a frame of the first part, and compared with the person as filmed. A film may be given
as FILM+FILM: the first is adapted to, the second is spoken; FILM,FILM are joined. Where less than two seconds follow,
the scores are those of the held-out part alone, by which the weights were chosen. Rows are appended to OUT/rows.jsonl;
finished ones are not repeated. Means over people have 95 % bootstrap intervals.

Processor seconds are of this process and all of its threads: a busy machine makes the clock slower, not these.
"""

import argparse
import json
import logging
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from pcavs.errors import PcavsError
from pcavs.media.audio import read_waveform
from pcavs.media.files import write_wav
from pcavs.media.film import FilmWriter
from pcavs.media.timeline import count_samples
from pcavs.media.video import read_frames
from pcavs.metrics.statistics import bootstrap
from pcavs.models.build import build_model
from pcavs.models.inference import inference_networks
from pcavs.models.state import fill
from pcavs.runtime.features import load_features
from pcavs.spec import FRAME_RATE, SAMPLES_PER_FRAME
from pcavs.train.adapt import Adapted, choose_portrait, run, usable_clips
from pcavs.train.held_out import HeldOutFilm, LipScore, Speech
from pcavs.train.options import AdaptOptions
from pcavs.types import Picture, Waveform
from pcavs.weights.bundle import load_bundle
from pcavs.weights.locate import find_weights

_MAX_SIDE_PX: Final = 640
_MOST_TEST_S: Final = 8.0
_LEAST_FRAMES: Final = 50
_MINUTES: Final = 60.0
"""Time limit, so that steps and scores decide and not the load of the machine."""


def main() -> None:
    """Measures the films that have no row yet, and prints all rows and their means."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("films", nargs="+")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--shift", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)  # threads wait for each other on a busy machine
    args.out.mkdir(parents=True, exist_ok=True)
    rows_path = args.out / "rows.jsonl"
    rows = [json.loads(line) for line in rows_path.read_text().splitlines()] if rows_path.exists() else []
    for film in args.films:
        if any((row["film"], row["shift"]) == (film, args.shift) for row in rows):
            continue
        try:
            rows.append(measure(film, args))
        except PcavsError as error:
            rows.append({"film": film, "shift": args.shift, "refused": str(error).split(";")[0]})
        with rows_path.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    for row in rows:
        print(json.dumps(row))
    print(json.dumps(means(rows), indent=1))


def measure(film: str, args: argparse.Namespace) -> dict[str, Any]:
    """Adapts to one film and scores what follows."""
    first, _, second = film.partition("+")
    name = f"{Path(first.partition(',')[0]).stem}{args.shift:+d}"
    folder = args.out / name
    folder.mkdir(exist_ok=True)
    cut(first, folder / "first.mp4", 0.0, args.seconds, args.shift)
    start_s = 0.0 if second else args.seconds
    has_more = cut(second or first, folder / "second.mp4", start_s, start_s + _MOST_TEST_S, 0)
    began, busy = time.monotonic(), time.process_time()
    options = AdaptOptions(
        video=folder / "first.mp4",
        out=folder / "me.safetensors",
        run=folder / "run",
        steps=args.steps,
        minutes=_MINUTES,
        overwrite=True,
    )
    adapted: Adapted = run(options)
    cost = {"clock_s": time.monotonic() - began, "processor_s": time.process_time() - busy}
    moved = [clip.facts.get("offset_corrected", 0) for clip in usable_clips(options.video, folder / "run")]
    row = {
        "film": film,
        "shift": args.shift,
        "moved": moved,
        "steps": adapted.steps,
        "held_out": {"before": adapted.before._asdict(), "after": adapted.after._asdict()},
        **{key: round(value, 1) for key, value in cost.items()},
    }
    if not has_more:
        return row
    test = unseen(options, folder)
    start = find_weights(None).bundle
    assert start is not None
    scores = {key: score(test, path) for key, path in (("before", start), ("after", adapted.path))}
    return row | {"unseen_s": test.seconds, "unseen": {key: value._asdict() for key, value in scores.items()}}


def unseen(options: AdaptOptions, folder: Path) -> HeldOutFilm:
    """Prepares the part that adapting has not seen."""
    clips = usable_clips(options.video, folder / "run")
    portrait = choose_portrait(clips, [len(clip.mesh) for clip in clips])
    spec = load_bundle(options.out).spec
    tests = usable_clips(folder / "second.mp4", folder / "test")
    speech = [Speech(clip.waveform, clip.mesh) for clip in tests if clip.waveform is not None]
    return HeldOutFilm(portrait, speech, spec, load_features(spec))


def score(film: HeldOutFilm, path: Path) -> LipScore:
    """Scores the weights of a bundle."""
    bundle = load_bundle(path)
    model = build_model(bundle.spec)
    fill(model, bundle.tensors, str(path))
    return film.score(inference_networks(model), torch.device("cpu"))


def cut(source: str, out: Path, start_s: float, end_s: float, late_frames: int) -> bool:
    """Writes a part of joined films at 25 frames a second, their sound late by some frames; False if it is short."""
    if out.exists():
        return True
    first, stop = round(start_s * FRAME_RATE), round(end_s * FRAME_RATE)
    frames: list[Picture] = []
    sounds: list[Waveform] = []
    for film in map(Path, source.split(",")):
        own = list(read_frames(film, 0.0, end_s, _MAX_SIDE_PX))
        sound = read_waveform(film, 0.0, end_s)
        count = min(len(own), len(sound) // SAMPLES_PER_FRAME)
        frames += own[:count]
        sounds.append(sound[: count_samples(count)])
    frames = frames[first:stop]
    if len(frames) < _LEAST_FRAMES:
        return False
    sound = np.concatenate(sounds)[count_samples(first) : count_samples(stop)]
    sound = np.roll(sound, count_samples(late_frames))
    if late_frames > 0:
        sound[: count_samples(late_frames)] = 0
    elif late_frames < 0:
        sound[count_samples(late_frames) :] = 0
    write_wav(out.with_suffix(".wav"), sound)
    height, width = (side // 2 * 2 for side in frames[0].shape[:2])
    with FilmWriter(out, (width, height), audio=out.with_suffix(".wav"), overwrite=True) as writer:
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[:height, :width]))
    return True


def means(rows: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Averages the changes over people, for each shift."""
    table: dict[str, dict[str, str]] = {}
    for shift in sorted({row["shift"] for row in rows}):
        for part in ("held_out", "unseen"):
            used = [row for row in rows if row["shift"] == shift and part in row]
            for name in LipScore._fields if used else ():
                change = np.array([row[part]["after"][name] - row[part]["before"][name] for row in used])
                found = bootstrap(change, np.random.default_rng(0))
                text = f"{found.estimate:+.3f} ({found.low:+.3f} to {found.high:+.3f}), {len(used)} films"
                table.setdefault(f"shift {shift:+d}, {part}", {})[name] = text
    return table


if __name__ == "__main__":
    main()
