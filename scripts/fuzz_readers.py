"""Feeds damaged files to everything that reads what users give, and tells what breaks.

    python scripts/fuzz_readers.py json --seconds 600 --out FOUND
    python scripts/fuzz_readers.py csv --seconds 600 --out FOUND
    python scripts/fuzz_readers.py media --seconds 600 --out FOUND

A reader may give a result or a `PcavsError`. Anything else is a finding: another exception, the end of the process, a
memory of more than 4 GB, an answer that takes more than 10 s of the processor or 100 s at all. The file lies in FOUND
then, with what happened in a `.txt` beside it; of findings in one place of the code the first three are kept. Reading
runs in a process of its own, so that a crash inside a decoder is seen and the work goes on. Input N of a seed is always
the same bytes; `--from N --count 1` makes it again. Needs only what the package needs.
"""

import argparse
import contextlib
import faulthandler
import json
import logging
import multiprocessing
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import numpy as np

import fuzz_seeds
from fuzz_changes import damaged
from pcavs.animate import batch
from pcavs.data.shard import read_ledger, read_shard
from pcavs.errors import InputError, PcavsError
from pcavs.evaluate import clips as evaluate_clips
from pcavs.media.audio import read_waveform
from pcavs.media.files import path_exists
from pcavs.media.image import read_picture
from pcavs.media.video import count_pictures, probe_video, read_frames
from pcavs.pose import calibration
from pcavs.pose.compile import compile_timeline
from pcavs.pose.source import clipped_track, read_pose
from pcavs.pose.timeline import Timeline
from pcavs.pose.track import load_track
from pcavs.prepare import clip as prepare_clip
from pcavs.prepare.options import PrepareOptions
from pcavs.prepare.sources import Source, find_sources
from pcavs.spec import TalkerSpec
from pcavs.synth.voices import read_voices
from pcavs.weights.bundle import load_bundle, read_spec
from pcavs.weights.networks import read_manifest

LONGEST_S: Final = 10
"""Of the processor: on a busy machine the clock says nothing of a reader."""
PATIENCE_S: Final = 100.0
MOST_BYTES: Final = 4 << 30
_KEPT_OF_A_PLACE: Final = 3
_SEEDS: Final = {"json": fuzz_seeds.json_seeds, "csv": fuzz_seeds.csv_seeds, "media": fuzz_seeds.media_seeds}
_FILM_FRAMES: Final = 250

# What reads it --------------------------------------------------------------------------------------------------------


def read(path: Path, seed: str) -> None:
    """Reads a file as pcavs would, all that is in it."""
    _READERS.get(seed, _READERS.get(Path(seed).suffix, _read_sound))(path)


def _read_timeline(path: Path) -> None:
    timeline = read_pose(path, relative=False)
    assert isinstance(timeline, Timeline)

    def fetch(segment: Any, most: int) -> np.ndarray:
        read_film(segment.path) if segment.path.suffix != ".npz" else clipped_track(segment, most)
        raise InputError("there is no such film")

    compile_timeline(timeline, _FILM_FRAMES, np.linspace(0, 1, _FILM_FRAMES), fetch)


def _read_jobs(path: Path) -> None:
    for job in batch.read_jobs(path):
        with contextlib.suppress(PcavsError):
            options = batch.film_options(job, path.parent)
            for use in (
                lambda o=options: path_exists(o.out),
                lambda o=options: read_picture(o.identity),
                lambda o=options: [read_picture(other) for other in o.references],
                lambda o=options: o.audio and read_waveform(o.audio, o.start, o.end),
                lambda o=options: o.pose and read_pose(o.pose, relative=o.relative),
                lambda job=job: batch._digest(job),
            ):
                with contextlib.suppress(PcavsError):
                    use()


def _read_map(path: Path) -> None:
    found = calibration._read_map(path, "0" * 64)
    if found is not None:
        found.code_turns(np.array([[30.0, -5, 3]]))


def _read_truth(path: Path) -> None:
    film = path.with_suffix(".mp4")
    truth = prepare_clip._read_truth(Source(path=film, name="a", key="a", facts={}))
    if truth is not None:
        prepare_clip.exact_pose(np.tile(np.eye(3, 4).ravel(), (len(truth), 1)).astype(np.float32), truth)


def _read_index(path: Path) -> None:
    with contextlib.suppress(PcavsError):
        evaluate_clips.read_index(path)
    find_sources(PrepareOptions(source=path.parent, out=path.parent, index=path))


def read_film(path: Path) -> None:
    """Reads a film's facts, its frames and its sound."""
    for use in (probe_video, count_pictures, read_picture, read_waveform):
        with contextlib.suppress(PcavsError):
            use(path)
    with contextlib.suppress(PcavsError):
        for _ in read_frames(path, 0.2, 0.4):
            pass
    for _ in read_frames(path):
        pass


def _read_sound(path: Path) -> None:
    with contextlib.suppress(PcavsError):
        read_waveform(path, 0.1, 0.4)
    read_waveform(path)


def _read_bundle(path: Path) -> None:
    with contextlib.suppress(PcavsError):
        read_spec(path)
    load_bundle(path)


_READERS: Final[dict[str, Callable[[Path], object]]] = {
    "timeline.json": _read_timeline,
    "jobs.jsonl": _read_jobs,
    "jobs.csv": _read_jobs,
    "journal.jsonl": batch._done,
    "shard-00000.jsonl": lambda path: list(read_ledger(path.parent)),
    "truth.json": _read_truth,
    "spec.json": lambda path: read_manifest(path.parent),
    "talker.json": lambda path: TalkerSpec.from_json(path.read_text(errors="replace")),
    "pose.json": _read_map,
    "index.csv": _read_index,
    "voices.csv": read_voices,
    ".jpg": read_picture,
    ".png": read_picture,
    ".webp": read_picture,
    ".safetensors": _read_bundle,
    ".npz": load_track,
    ".tar": lambda path: list(read_shard(path)),
} | dict.fromkeys((".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg"), read_film)


def serve(pipe: Connection, crash_log: str) -> None:
    """Reads the files whose names come through the pipe; what the readers raise goes back."""
    faulthandler.enable(Path(crash_log).open("w"))  # noqa: SIM115 - open as long as the process is
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    logging.disable(logging.CRITICAL)
    while True:
        path, seed = pipe.recv()
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + LONGEST_S, resource.RLIM_INFINITY))
        try:
            read(Path(path), seed)
            pipe.send(("read", ""))
        except PcavsError as error:
            pipe.send(("refused", str(error)))
        except BaseException:  # noqa: BLE001 - whatever comes is the finding
            pipe.send(("fault", traceback.format_exc()))


class Reader:
    """A process that reads, started anew whenever one was lost."""

    def __init__(self, folder: Path) -> None:
        self._log, self._context = folder / "crash.log", multiprocessing.get_context("spawn")
        self._process: Any = None

    def read(self, path: Path, seed: str) -> tuple[str, str]:
        """Gives `read`, `refused`, `fault`, `hang` or `crash`, and what is to be told of it."""
        if self._process is None:
            self._pipe, theirs = self._context.Pipe()
            self._process = self._context.Process(target=serve, args=(theirs, str(self._log)), daemon=True)
            self._process.start()
            theirs.close()
        self._pipe.send((str(path), seed))
        try:
            if self._pipe.poll(PATIENCE_S):
                return self._pipe.recv()
            told = "hang", f"no answer within {PATIENCE_S:g} s"
        except (EOFError, ConnectionError):
            self._process.join()
            told = "crash", f"ended with {self._process.exitcode}\n{self._log.read_text(errors='replace')}"
            if self._process.exitcode == -signal.SIGXCPU:
                told = "hang", f"no answer after {LONGEST_S} s of the processor"
        self.close()
        return told

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = None


def main() -> None:
    """Makes, reads and judges inputs until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=tuple(_SEEDS))
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--count", type=int, default=sys.maxsize)
    parser.add_argument("--only", help="name of the one whole file to begin with")
    parser.add_argument("--out", type=Path, required=True)
    words = parser.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        found = _run(words, Path(name))
    sys.exit(1 if found else 0)


def _run(words: argparse.Namespace, folder: Path) -> int:
    (folder / "whole").mkdir()
    (folder / "read").mkdir()
    whole = {path.name: path.read_bytes() for path in _SEEDS[words.what](folder / "whole")}
    names = [words.only] if words.only else list(whole)
    reader, counts, places = Reader(folder), Counter[str](), Counter[str]()
    for name, data in whole.items():
        (folder / "read" / name).write_bytes(data)
        outcome, told = reader.read(folder / "read" / name, name)
        if outcome not in ("read", "refused"):
            sys.exit(f"{name} cannot be read before anything was changed: {told}")
    slowest, end = 0.0, time.monotonic() + words.seconds
    for number in range(words.first, words.first + words.count):
        if time.monotonic() > end:
            break
        rng = np.random.default_rng([words.seed, number])
        seed, other = (str(rng.choice(choice)) for choice in (names, list(whole)))
        data = damaged(whole[seed], whole[other], words.what, rng)
        path = folder / "read" / seed
        path.write_bytes(data)
        began = time.monotonic()
        outcome, told = reader.read(path, seed)
        slowest = max(slowest, time.monotonic() - began)
        counts[outcome] += 1
        path.unlink()
        if outcome not in ("read", "refused"):
            place = _place_of(outcome, told, seed)
            places[place] += 1
            if places[place] <= _KEPT_OF_A_PLACE:
                (words.out / f"{words.what}-{number}-{seed}").write_bytes(data)
                (words.out / f"{words.what}-{number}-{seed}.txt").write_text(told.replace(str(folder), ""))
    reader.close()
    print(json.dumps({"inputs": counts.total(), **counts, "slowest_s": round(slowest, 2), "found": places}, indent=1))
    return sum(places.values())


def _place_of(outcome: str, told: str, seed: str) -> str:
    """Where in the code it happened: the last line of ours in a trace, and the kind of error."""
    if outcome != "fault":
        return f"{outcome} of {seed}: {told.splitlines()[0]}"
    lines = told.strip().splitlines()
    ours = [line.strip().partition("/pcavs/")[2] for line in lines if "/pcavs/" in line]
    return f"{ours[-1] if ours else '?'}: {lines[-1].partition(':')[0]}"


if __name__ == "__main__":
    main()
