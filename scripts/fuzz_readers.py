"""Feeds damaged files to every reader of user files, and reports what breaks.

    python scripts/fuzz_readers.py json --seconds 600 --out FOUND
    python scripts/fuzz_readers.py csv --seconds 600 --out FOUND
    python scripts/fuzz_readers.py media --seconds 600 --out FOUND

A reader may return a result or raise a `PcavsError`. Anything else is a finding: another exception, the end of the
process, more than 4 GB of memory, more than 10 s of processor time or 100 s in all. FOUND gets the file of each
finding, and a `.txt` beside it with what happened; of findings at the same place of the code only three are kept.
Readers run in a process of their own, so that a crash inside a decoder is reported and the work goes on. Input N of a
seed always has the same bytes; `--from N --count 1` repeats it. Needs only what the package needs.
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
from collections.abc import Callable, Mapping
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
from pcavs.evaluate.options import EvaluateOptions
from pcavs.evaluate.phonemes import read_phonemes
from pcavs.evaluate.sets import find_sets
from pcavs.media.audio import read_waveform
from pcavs.media.image import read_picture
from pcavs.media.names import path_exists
from pcavs.media.video import count_pictures, probe_video, read_frames
from pcavs.mouth import own_teeth
from pcavs.pose import calibration
from pcavs.pose.compile import compile_timeline
from pcavs.pose.source import SegmentReader, clipped_track, read_pose
from pcavs.pose.timeline import Timeline
from pcavs.pose.track import SavedTrack, load_track
from pcavs.prepare import clip as prepare_clip
from pcavs.prepare.options import PrepareOptions
from pcavs.prepare.sources import Source, find_sources
from pcavs.spec import TalkerSpec
from pcavs.synth.voices import read_voices
from pcavs.weights.bundle import load_bundle, read_spec
from pcavs.weights.networks import read_manifest

MAX_CPU_S: Final = 10
"""Processor time for one file: other work on the machine does not count."""
MAX_WAIT_S: Final = 100.0
"""Time for one file on the clock, for readers that wait without computing."""
MAX_MEMORY_BYTES: Final = 4 << 30
_KEPT_PER_PLACE: Final = 3
"""Findings that are kept for one place of the code."""
_SEEDS: Final = {"json": fuzz_seeds.json_seeds, "csv": fuzz_seeds.csv_seeds, "media": fuzz_seeds.media_seeds}
"""Writers of the valid files, by kind."""
_FILM_FRAMES: Final = 250
"""Length of the film for which a timeline is laid out."""

# Readers -------------------------------------------------------------------------------------------------------------


def read(path: Path, seed: str) -> None:
    """Reads all of a file with the package's reader for it.

    Args:
        path: The damaged file.
        seed: Name of the valid file that it was made from, which selects the reader.
    """
    _READERS.get(seed, _READERS.get(Path(seed).suffix, _read_sound))(path)


def _read_timeline(path: Path) -> None:
    timeline = read_pose(path, relative=False)
    assert isinstance(timeline, Timeline)

    class Sources(SegmentReader):
        def __init__(self) -> None: ...

        def read(self, segment: Any, max_frames: int) -> SavedTrack:
            read_film(segment.path) if segment.path.suffix != ".npz" else clipped_track(segment, max_frames)
            raise InputError("no such video")

    compile_timeline(timeline, _FILM_FRAMES, np.linspace(0, 1, _FILM_FRAMES), Sources())


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


def _read_teeth(path: Path) -> None:
    own_teeth._read(path, "0" * 64)


def _read_truth(path: Path) -> None:
    with contextlib.suppress(PcavsError):
        read_phonemes(path)
    film = path.with_suffix(".mp4")
    truth = prepare_clip._read_truth(Source(path=film, name="a", key="a", facts={}))
    if truth is not None:
        prepare_clip.exact_pose(np.tile(np.eye(3, 4).ravel(), (len(truth), 1)).astype(np.float32), truth)


def _read_index(path: Path) -> None:
    with contextlib.suppress(PcavsError):
        evaluate_clips.read_index(path)
    find_sources(PrepareOptions(source=path.parent, out=path.parent, index=path))


def read_film(path: Path) -> None:
    """Reads the properties, frames and sound of a video."""
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


_READERS: Final[Mapping[str, Callable[[Path], object]]] = {
    "timeline.json": _read_timeline,
    "jobs.jsonl": _read_jobs,
    "jobs.csv": _read_jobs,
    "journal.jsonl": batch._finished,
    "shard-00000.jsonl": lambda path: list(read_ledger(path.parent)),
    "truth.json": _read_truth,
    "spec.json": lambda path: read_manifest(path.parent),
    "talker.json": lambda path: TalkerSpec.from_json(path.read_text(errors="replace")),
    "pose.json": _read_map,
    "teeth.json": _read_teeth,
    "index.csv": _read_index,
    "sets.csv": lambda path: find_sets(EvaluateOptions(sets=path, out=path.parent)),
    "voices.csv": read_voices,
    ".jpg": read_picture,
    ".png": read_picture,
    ".webp": read_picture,
    ".safetensors": _read_bundle,
    ".npz": load_track,
    ".tar": lambda path: list(read_shard(path)),
} | dict.fromkeys((".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg"), read_film)


def serve(pipe: Connection, crash_log: str) -> None:
    """Reads the files whose paths arrive through a pipe, and sends back the outcome of each."""
    faulthandler.enable(Path(crash_log).open("w"))  # noqa: SIM115 - stays open until the process ends
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    logging.disable(logging.CRITICAL)
    while True:
        path, seed = pipe.recv()
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1 + MAX_CPU_S, resource.RLIM_INFINITY))
        try:
            read(Path(path), seed)
            pipe.send(("read", ""))
        except PcavsError as error:
            pipe.send(("refused", str(error)))
        except BaseException:  # noqa: BLE001 - whatever comes is the finding
            pipe.send(("fault", traceback.format_exc()))


class Reader:
    """A process that reads files; it is started again after a crash or a timeout."""

    def __init__(self, folder: Path) -> None:
        self._log, self._context = folder / "crash.log", multiprocessing.get_context("spawn")
        self._process: Any = None

    def read(self, path: Path, seed: str) -> tuple[str, str]:
        """Returns the outcome (`read`, `refused`, `fault`, `hang` or `crash`) and its description."""
        if self._process is None:
            self._pipe, theirs = self._context.Pipe()
            self._process = self._context.Process(target=serve, args=(theirs, str(self._log)), daemon=True)
            self._process.start()
            theirs.close()
        self._pipe.send((str(path), seed))
        try:
            if self._pipe.poll(MAX_WAIT_S):
                return self._pipe.recv()
            result = "hang", f"no answer within {MAX_WAIT_S:g} s"
        except (EOFError, ConnectionError):
            self._process.join()
            result = "crash", f"ended with {self._process.exitcode}\n{self._log.read_text(errors='replace')}"
            if self._process.exitcode == -signal.SIGXCPU:
                result = "hang", f"no answer after {MAX_CPU_S} s of processor time"
        self.close()
        return result

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = None


def main() -> None:
    """Damages and reads files until the time is over; exits with 1 if there were findings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=tuple(_SEEDS))
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--count", type=int, default=sys.maxsize)
    parser.add_argument("--only", help="name of a valid file: only this one is damaged")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        found = _run(args, Path(name))
    sys.exit(1 if found else 0)


def _run(args: argparse.Namespace, folder: Path) -> int:
    (folder / "valid").mkdir()
    (folder / "read").mkdir()
    valid = {path.name: path.read_bytes() for path in _SEEDS[args.kind](folder / "valid")}
    names = [args.only] if args.only else list(valid)
    reader, counts, places = Reader(folder), Counter[str](), Counter[str]()
    for name, data in valid.items():
        (folder / "read" / name).write_bytes(data)
        outcome, description = reader.read(folder / "read" / name, name)
        if outcome not in ("read", "refused"):
            sys.exit(f"{name} cannot be read even without damage: {description}")
    slowest, end = 0.0, time.monotonic() + args.seconds
    for number in range(args.first, args.first + args.count):
        if time.monotonic() > end:
            break
        rng = np.random.default_rng([args.seed, number])
        seed, other = (str(rng.choice(choice)) for choice in (names, list(valid)))
        data = damaged(valid[seed], valid[other], args.kind, rng)
        path = folder / "read" / seed
        path.write_bytes(data)
        began = time.monotonic()
        outcome, description = reader.read(path, seed)
        slowest = max(slowest, time.monotonic() - began)
        counts[outcome] += 1
        path.unlink()
        if outcome not in ("read", "refused"):
            place = _place_of(outcome, description, seed)
            places[place] += 1
            if places[place] <= _KEPT_PER_PLACE:
                (args.out / f"{args.kind}-{number}-{seed}").write_bytes(data)
                (args.out / f"{args.kind}-{number}-{seed}.txt").write_text(description.replace(str(folder), ""))
    reader.close()
    print(json.dumps({"inputs": counts.total(), **counts, "slowest_s": round(slowest, 2), "found": places}, indent=1))
    return sum(places.values())


def _place_of(outcome: str, description: str, seed: str) -> str:
    """Returns where a finding happened: the last line of this package in the trace, and the kind of error."""
    if outcome != "fault":
        return f"{outcome} of {seed}: {description.splitlines()[0]}"
    lines = description.strip().splitlines()
    ours = [line.strip().partition("/pcavs/")[2] for line in lines if "/pcavs/" in line]
    return f"{ours[-1] if ours else '?'}: {lines[-1].partition(':')[0]}"


if __name__ == "__main__":
    main()
