"""Measures live sessions: latency, time of a frame, memory, and what it costs to know only the speech so far.

    python benchmarks/measure_live.py latency --photo FACE --audio SPEECH [--sizes 256 384 512] [--sessions 2]
    python benchmarks/measure_live.py memory --photo FACE --audio SPEECH --minutes 10 [--draw-every 10]
    python benchmarks/measure_live.py causality CLIP.mp4 ...

`latency` pushes speech in pieces of 20 ms on a simulated clock: a piece arrives when its last sample was spoken, and a
frame is ready when the work for it, which is measured, is done. So a busy machine delays only the work. The latency of
a frame is the time from when the sound of its start was spoken to when it is ready. With `--sessions 2`, two processes
do that at the same time.

`causality` lets the first frame of each clip of a speaking person say the clip's words, and correlates the opening of
the mouth with that of the clip, with the whole speech known (a film) and with what a session knows.
"""

import argparse
import gc
import itertools
import logging
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from pcavs.animate.live_speech import LOUDNESS_DB
from pcavs.animate.load import load_talker
from pcavs.animate.session import LiveFrame, Session
from pcavs.animate.talker import Talker
from pcavs.evaluate.observe import Observation, frame_windows, load_judges, observe
from pcavs.media.audio import read_waveform
from pcavs.media.video import read_frames
from pcavs.metrics.curves import correlation
from pcavs.metrics.sync import confidence_at_0
from pcavs.spec import FRAME_RATE, SAMPLE_RATE_HZ
from pcavs.types import Waveform

logger = logging.getLogger("measure_live")

PIECE_SAMPLES: Final = SAMPLE_RATE_HZ // 50
QUIET_DB: Final = -30.0
"""Change of level of the quiet voices."""
FILM_S: Final = 2.0
"""Length of the film whose frames are timed as well, for comparison."""
LOOK_AHEADS_S: Final = (0.36, 0.28, 0.24, 0.16, 0.08)
CLOCKS: Final[dict[str, Callable[[], float]]] = {"wall": time.perf_counter, "thread": time.thread_time}


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, run in (("latency", latency), ("memory", memory), ("causality", causality)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        if name == "causality":
            command.add_argument("clips", type=Path, nargs="+")
            command.add_argument("--look-aheads", type=float, nargs="*", default=LOOK_AHEADS_S)
            command.add_argument("--most-s", type=float, default=10.0, help="seconds of each clip")
            continue
        command.add_argument("--photo", type=Path, required=True)
        command.add_argument("--audio", type=Path, required=True)
        command.add_argument("--look-ahead", type=float, default=0.28)
        if name == "memory":
            command.add_argument("--minutes", type=float, default=10.0)
            command.add_argument("--draw-every", type=int, default=1, help="skip the other frames")
            continue
        command.add_argument("--sizes", type=int, nargs="+", default=[256, 384, 512])
        command.add_argument("--seconds", type=float, default=20.0)
        command.add_argument("--sessions", type=int, default=1)
        command.add_argument("--clock", choices=CLOCKS, default="wall", help="what counts as work")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    arguments = parser.parse_args()
    arguments.run(arguments)


def latency(arguments: argparse.Namespace) -> None:
    """Measures latency and time of a frame for each size."""
    for size in arguments.sizes:
        if arguments.sessions == 1:
            logger.info("%d px: %s", size, timed(arguments, size))
            continue
        with multiprocessing.get_context("spawn").Pool(arguments.sessions) as pool:
            for line in pool.starmap(timed, [(arguments, size)] * arguments.sessions):
                logger.info("%d px, %d sessions: %s", size, arguments.sessions, line)


def timed(arguments: argparse.Namespace, size: int) -> str:
    """Runs one session on a simulated clock; returns its figures."""
    cv2.setNumThreads(1)
    clock = CLOCKS[arguments.clock]
    talker = load_talker(None, "cpu", threads=1)
    talker.session(arguments.photo, size=size).close()
    start = time.perf_counter()
    session = talker.session(arguments.photo, size=size, look_ahead=arguments.look_ahead)
    opened_s = time.perf_counter() - start
    latencies, works, free_s = [], [], 0.0
    for count, piece in enumerate(pieces(speech_of(arguments.audio, arguments.seconds)), start=1):
        free_s = max(free_s, count * PIECE_SAMPLES / SAMPLE_RATE_HZ)
        start = clock()
        session.push(piece, SAMPLE_RATE_HZ)
        frames, work_s = session.frames(), clock() - start
        while True:
            start = clock()
            frame = next(frames, None)
            work_s += clock() - start
            free_s += work_s
            if frame is None:
                break
            latencies.append(1e3 * (free_s - float(frame.pts)))
            works.append(1e3 * work_s)
            work_s = 0.0
    film = talker.animate(arguments.photo, arguments.audio, "lively", size=size, end=FILM_S)
    film_ms, start = [], clock()
    for _ in film.frames:
        film_ms.append(1e3 * (clock() - start))
        start = clock()
    ahead_ms, factor = 1e3 * session.look_ahead_s, np.mean(works) * FRAME_RATE / 1e3
    return (
        f"look-ahead {ahead_ms:.0f} ms; latency {median(latencies)} (p99 {percentile(latencies, 99)}) ms; frame "
        f"{median(works)} (p99 {percentile(works, 99)}) ms of {arguments.clock} time, a film's {median(film_ms[1:])} "
        f"ms; real-time factor {factor:.2f}; opened in {opened_s:.2f} s"
    )


def memory(arguments: argparse.Namespace) -> None:
    """Measures the memory of one session after a minute, and at the end."""
    talker = load_talker(None, "cpu", threads=1)
    session = talker.session(arguments.photo, look_ahead=arguments.look_ahead)
    speech = speech_of(arguments.audio, 60.0)
    used: list[float] = []
    for _ in range(round(arguments.minutes)):
        for piece in pieces(speech):
            session.push(piece, SAMPLE_RATE_HZ)
            while session.is_ready:
                if session.num_frames % arguments.draw_every:
                    session.skip()
                else:
                    next(session.frames())
        gc.collect()
        used.append(resident_mib())
        logger.info("after %d min of speech: %.1f MiB", len(used), used[-1])
    logger.info("grew by %.1f MiB since the first minute", used[-1] - used[0])


def causality(arguments: argparse.Namespace) -> None:
    """Compares films and sessions with the clips whose words they say."""
    talker = load_talker(None, "cpu", threads=1)
    rows: dict[str, list[list[float]]] = {}
    for clip in arguments.clips:
        for name, figures in compared(talker, clip, arguments.look_aheads, arguments.most_s):
            rows.setdefault(name, []).append(figures)
        logger.info("%s done", clip.name)
    logger.info("%-28s opening followed, motion (film = 1), confidence; means of %d clips", "", len(arguments.clips))
    for name, figures in rows.items():
        logger.info("%-28s %.2f  %.2f  %.2f", name, *np.mean(figures, axis=0))


def compared(
    talker: Talker, clip: Path, look_aheads_s: Sequence[float], most_s: float
) -> Iterator[tuple[str, list[float]]]:
    """Yields the figures of each setting for one clip."""
    judges = load_judges(Path())
    pictures = list(itertools.islice(read_frames(clip), round(most_s * FRAME_RATE)))
    truth, speech = observe(pictures, judges, clip.name), read_waveform(clip)[: round(most_s * SAMPLE_RATE_HZ)]
    if not speech.any():
        raise SystemExit(f"{clip} is silent; give clips of people who speak")
    quiet = speech * np.float32(10 ** (QUIET_DB / 20))
    sound = judges.sync.embed_sound(frame_windows(speech, len(truth.faces)))
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        cv2.imwrite(str(photo), np.ascontiguousarray(truth.faces[0][:, :, ::-1]))
        person = talker.session(photo).person

    def figures(samples: Waveform, film: Observation | None, **settings: Any) -> tuple[Observation, list[float]]:
        session = talker.session(person, pose=None, no_blinks=True, **settings)
        made = observe([frame.picture for frame in said(session, samples)], judges, clip.name)
        count = min(len(made.opening), len(truth.opening))
        mouth = judges.sync.embed_mouth(made.crops, made.lips)
        motion = 1.0 if film is None else float(made.opening.std() / film.opening.std())
        confidence = confidence_at_0(mouth, sound[: len(mouth)])
        return made, [correlation(made.opening[:count], truth.opening[:count]), motion, confidence]

    film, own = figures(speech, None, loudness="whole")
    yield "film", own
    for look_ahead in look_aheads_s:
        yield f"running, {look_ahead:.2f} s", figures(speech, film, look_ahead=look_ahead)[1]
    yield f"film, {QUIET_DB:+.0f} dB", figures(quiet, film, loudness="whole")[1]
    yield f"running, 0.28 s, {QUIET_DB:+.0f} dB", figures(quiet, film, look_ahead=0.28)[1]
    level_db = max(LOUDNESS_DB[0], float(10 * np.log10(np.square(quiet, dtype=np.float64).mean())))
    yield f"level given, 0.28 s, {QUIET_DB:+.0f} dB", figures(quiet, film, look_ahead=0.28, loudness=level_db)[1]


def said(session: Session, speech: Waveform) -> list[LiveFrame]:
    """Returns the frames of a whole speech."""
    with session:
        session.push(speech, SAMPLE_RATE_HZ)
        session.end()
        return list(session.frames())


def speech_of(path: Path, seconds: float) -> Waveform:
    """Reads speech, and repeats it to a length."""
    return np.resize(read_waveform(path), round(seconds * SAMPLE_RATE_HZ))


def pieces(speech: Waveform) -> Iterator[Waveform]:
    """Cuts speech into pieces of 20 ms."""
    for at in range(0, len(speech), PIECE_SAMPLES):
        yield speech[at : at + PIECE_SAMPLES]


def resident_mib() -> float:
    """Returns the resident memory of this process (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def median(values: list[float]) -> str:
    """Formats the median."""
    return f"{np.median(values):.0f}"


def percentile(values: list[float], share: float) -> str:
    """Formats a percentile."""
    return f"{np.percentile(values, share):.0f}"


if __name__ == "__main__":
    main()
