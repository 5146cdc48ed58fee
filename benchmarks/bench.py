"""Measures the speed and memory of the package end to end, and compares them with stored figures (`make bench`).

    python benchmarks/bench.py [--out bench.json] [--baseline benchmarks/baseline.json] [--keep] [--seconds 20]

Films at 256, 384 and 512 px and of a whole picture, each by a command of its own: time and processor time of a frame
(medians of the rounds), peak of memory. Starts: `--help`, `doctor` and a film of one second, with compiled networks in
the cache and without a cache. Live sessions: processor time of a frame. `measure_frame.py` measures stages of a frame.
Each figure is printed with its ratio to the baseline, and marked where it is more than a tenth worse. `--keep` writes
the baseline. Figures of different machines cannot be compared; the machine is in the file.
"""

import argparse
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import cv2

from pcavs.animate.load import load_talker
from pcavs.media.audio import read_waveform
from pcavs.spec import FRAME_RATE, SAMPLE_RATE_HZ
from pcavs.vino import ov

logger = logging.getLogger("bench")

ROOT: Final = Path(__file__).parents[1]
EXAMPLES: Final = ROOT / "examples"
SIZES_PX: Final = (256, 384, 512)
WHOLE_PX: Final = (1080, 1920)
WORSE: Final = 1.1
"""Ratio to the baseline from which a figure is marked."""
LIVE_S: Final = 4.0
"""Speech of the live session."""


class Ran(NamedTuple):
    """What a command took."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    output: str


def run(*words: object, cache: str | None = None) -> Ran:
    """Runs a command of `pcavs`; `cache` names the folder of compiled networks, and empty keeps none."""
    environment = os.environ if cache is None else os.environ | {"PCAVS_CACHE": cache}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-c", COMMAND, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    wall_s, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(wall_s, cpu_s, float(done.stderr.splitlines()[-1]), done.stdout)


COMMAND: Final = """
import resource, sys
from pcavs.cli import main
try:
    main()
finally:
    sys.stderr.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}\\n")
"""


def films(speech: Path, folder: Path, rounds: int) -> Iterator[tuple[str, float]]:
    """Makes films of each size; yields figures by name."""
    face, whole = EXAMPLES / "face.jpg", widened(folder)
    kinds = [(f"{size} px", ("--identity", face, "--size", size)) for size in SIZES_PX]
    for name, words in [*kinds, ("1920 x 1080", ("--identity", whole, "--full-frame"))]:
        common = ("--audio", speech, "--pose", EXAMPLES / "pose.mp4", *words)
        out = ("--out", folder / "film.mp4", "--overwrite", "--json")
        made = [run("animate", *common, *out) for _ in range(rounds)]
        facts = [json.loads(each.output) for each in made]
        yield f"film {name}: ms a frame", statistics.median(1000 / fact["rendered_per_s"] for fact in facts)
        frames = facts[0]["frames"]
        cpu_s = statistics.median(each.cpu_s for each in made)
        yield f"film {name}: processor ms a frame, start included", 1000 * cpu_s / frames
        yield f"film {name}: peak MB", max(each.peak_mb for each in made)


def starts(folder: Path, rounds: int) -> Iterator[tuple[str, float]]:
    """Starts commands with and without compiled networks; yields figures by name."""
    short = ("animate", "--identity", EXAMPLES / "face.jpg", "--audio", EXAMPLES / "speech.wav", "--end", 1)
    out = ("--out", folder / "short.mp4", "--overwrite", "--quiet")
    warm = str(folder / "warm")
    run(*short, *out, cache=warm)
    cases = {"--help": (("--help",), warm), "doctor": (("doctor",), warm)}
    cases |= {"film of 1 s, compiled before": ((*short, *out), warm), "film of 1 s, no cache": ((*short, *out), "")}
    for name, (words, cache) in cases.items():
        made = [run(*words, cache=cache) for _ in range(rounds)]
        yield f"start {name}: s", statistics.median(each.wall_s for each in made)
        yield f"start {name}: processor s", statistics.median(each.cpu_s for each in made)


def live() -> Iterator[tuple[str, float]]:
    """Yields the time of a live session's frame on one thread."""
    talker = load_talker(None, "cpu", threads=1)
    waveform = read_waveform(EXAMPLES / "speech.wav", 0.0, LIVE_S)
    for size in SIZES_PX:
        with talker.session(EXAMPLES / "face.jpg", size=size) as session:
            session.push(waveform, SAMPLE_RATE_HZ)
            session.end()
            took, began = [], time.thread_time()
            for _ in session.frames():
                took.append(time.thread_time() - began)
                began = time.thread_time()
        yield f"live {size} px: processor ms a frame", 1000 * statistics.mean(took[FRAME_RATE:])


def widened(folder: Path) -> Path:
    """Writes the example's picture with room beside it, 1920 x 1080."""
    path, picture = folder / "whole.png", cv2.imread(str(EXAMPLES / "face.jpg"))
    assert picture is not None
    height, width = WHOLE_PX
    picture = cv2.resize(picture, (height, height), interpolation=cv2.INTER_CUBIC)
    beside = (width - height) // 2
    cv2.imwrite(str(path), cv2.copyMakeBorder(picture, 0, 0, beside, beside, cv2.BORDER_REPLICATE))
    return path


def lengthened(folder: Path, seconds: float) -> Path:
    """Writes the example's speech, repeated to a length."""
    path = folder / "speech.wav"
    with wave.open(str(EXAMPLES / "speech.wav")) as source, wave.open(str(path), "wb") as target:
        target.setparams(source.getparams())
        samples = source.readframes(source.getnframes())
        size = round(seconds * source.getframerate()) * source.getsampwidth() * source.getnchannels()
        target.writeframes((samples * (size // len(samples) + 1))[:size])
    return path


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--baseline", type=Path, default=ROOT / "benchmarks" / "baseline.json")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    baseline = json.loads(arguments.baseline.read_text()) if arguments.baseline.exists() else {"figures": {}}
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speech = lengthened(folder, arguments.seconds)
        for parts in (starts(folder, arguments.rounds), live(), films(speech, folder, arguments.rounds)):
            for figure, value in parts:
                figures[figure] = round(value, 3)
                before = baseline["figures"].get(figure)
                ratio = "" if not before else f"{value / before:6.2f} of the baseline"
                mark = "  WORSE" if before and value / before > WORSE else ""
                logger.info("%-62s %9.2f %s%s", figure, value, ratio, mark)
    machine = str(ov.Core().get_property("CPU", "FULL_DEVICE_NAME")).strip()
    result = {"machine": f"{machine}, {os.cpu_count()} processors", "seconds": arguments.seconds, "figures": figures}
    for path in [*([arguments.baseline] if arguments.keep else []), *([arguments.out] if arguments.out else [])]:
        path.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
