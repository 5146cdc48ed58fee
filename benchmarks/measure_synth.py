"""Measures how many frames a second `pcavs.synth` renders with several processes, with and without encoding.

python benchmarks/measure_synth.py --avatars HEADS --processes 2 --frames 300
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from pcavs.media.film import FilmWriter
from pcavs.synth.avatars import load_avatar
from pcavs.synth.render import HeadRenderer
from pcavs.synth.scenes import random_scene
from pcavs.synth.script import random_script

SIZE_PX: Final = 256
SCRIPT_S: Final = 4.0
"""Length of the movement that is rendered over and over."""
SCRIPT_FRAMES: Final = 100
AVATAR_STEP: Final = 5
"""Stride in the list of avatars: each process renders another one, and five apart they are different people."""


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--avatars", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--frames", type=int, default=300)
    arguments = parser.parse_args()
    os.environ["LP_NUM_THREADS"] = "0"  # one thread for each process in Mesa's software renderer
    heads = sorted(arguments.avatars.glob("*.npz"))
    context = multiprocessing.get_context("spawn")
    for encoded in (False, True):
        ready, results = context.Barrier(arguments.processes), context.Queue()
        workers = [
            context.Process(target=work, args=(heads[AVATAR_STEP * index], arguments.frames, encoded, ready, results))
            for index in range(arguments.processes)
        ]
        for worker in workers:
            worker.start()
        spent_s = max(results.get() for _ in workers)
        for worker in workers:
            worker.join()
        rate = arguments.frames * arguments.processes / spent_s
        print(f"{'rendered and encoded' if encoded else 'rendered and read back'}: {rate:.1f} frames a second")


def work(head: Path, frames: int, encoded: bool, ready: Any, results: Any) -> None:
    """Renders in one process: loads an avatar, waits until all processes are ready, and reports its seconds."""
    random = np.random.default_rng(0)
    script = random_script(SCRIPT_S, False, random)
    with HeadRenderer(load_avatar(head), SIZE_PX) as renderer, tempfile.TemporaryDirectory() as folder:
        renderer.set_scene(random_scene(SIZE_PX, (0.0, 0.0, 0.0), random))
        renderer.render(script.state(0))
        ready.wait()
        begin_s = time.perf_counter()
        _draw(renderer, script.state, frames, Path(folder) / "film.mp4" if encoded else None)
        results.put(time.perf_counter() - begin_s)


def _draw(renderer: HeadRenderer, state: Callable, frames: int, film: Path | None) -> None:
    if film is None:
        for frame in range(frames):
            renderer.render(state(frame % SCRIPT_FRAMES))
        return
    with FilmWriter(film, (SIZE_PX, SIZE_PX), overwrite=True) as writer:
        for frame in range(frames):
            writer.write(renderer.render(state(frame % SCRIPT_FRAMES)))


if __name__ == "__main__":
    main()
