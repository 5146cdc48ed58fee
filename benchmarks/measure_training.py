"""Target frames a second of each stage in several ways of computing, and how far from the floor they are.

    python benchmarks/measure_training.py --packs PACKS [--stages sync generator] [--size tiny] [--rounds 3]

Counts processor time of one thread, which other work on the machine stretches far less than the time on the wall.
Ways take turns, so that ratios come from one run. The floor is the multiplications and additions of a step, forth and
back, at the rate at which one large matrix product runs here. `drawing` is what a batch costs beside its step, in
the thread that draws ahead; `waited` is the share of a real loop's time that it waited for data.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from pcavs.train.distributed import Process
from pcavs.train.options import TrainOptions, frames_per_step
from pcavs.train.recipe import options_from
from pcavs.train.run import batches, train_step
from pcavs.train.session import Session, start

STAGES: dict[str, dict[str, object]] = {
    "identity": {"clips": 12, "moments": 1, "margin": 0.2},
    "visual": {"clips": 5, "moments": 4, "pose_head": "free"},
    "sync": {"clips": 4, "moments": 16},
    "generator": {"clips": 5, "moments": 4, "discriminators": ["mouth"]},
}
"""As the recipes have them; a step of `generator` is one that rebuilds."""


class Way(NamedTuple):
    """A way of computing a step."""

    name: str
    half: bool
    channels_last: bool
    compiled: bool = False


WAYS = (
    Way("f32", half=False, channels_last=False),
    Way("bf16", half=True, channels_last=False),
    Way("bf16 channels_last", half=True, channels_last=True),
    Way("bf16 channels_last compiled", half=True, channels_last=True, compiled=True),
)


def main() -> None:
    """Reads the command line, measures, prints Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=Path, nargs="+", required=True)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--size", choices=("default", "tiny"), default="default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loop-steps", type=int, default=6, help="steps of the real loop, for the share waited")
    parser.add_argument("--no-compiled", action="store_true", help="leaves torch.compile out; it takes minutes")
    parser.add_argument(
        "--ways", nargs="+", choices=[way.name for way in WAYS], help="these alone; times are shares of the first one's"
    )
    words = parser.parse_args()
    torch.set_num_threads(1)
    wanted = words.ways or [way.name for way in WAYS if not (way.compiled and words.no_compiled)]
    ways = [way for way in WAYS if way.name in wanted]
    rates = {half: matrix_rate(torch.bfloat16 if half else torch.float32) for half in (False, True)}
    print(f"matrix products: f32 {rates[False] / 1e9:.0f} GFLOP/s, bf16 {rates[True] / 1e9:.0f} GFLOP/s, one thread\n")
    print("| stage | way | frames a second | step, ms | of first | GFLOP a step | above the floor | drawing | waited |")
    print("|---" * 9 + "|")
    for name in words.stages:
        with tempfile.TemporaryDirectory() as folder:
            fields = {"packs": words.packs, "run": folder, "size": words.size, "stage": name, "device": "cpu"}
            options = options_from({**fields, **STAGES[name]})
            for line in stage_lines(options, ways, rates, words):
                print(line, flush=True)


def stage_lines(
    options: TrainOptions, ways: list[Way], rates: dict[bool, float], words: argparse.Namespace
) -> Iterator[str]:
    """Measures a stage in all ways, and gives the table's lines."""
    processes = {half: Process(options_with(options, half)) for half in (False, True)}
    session = start(options, processes[False])
    times: dict[str, list[float]] = {way.name: [] for way in ways}
    for number in range(words.rounds + 1):
        for way in ways:
            with set_to(session, way):
                moved = session._replace(process=processes[way.half])
                # The first round compiles and fills caches; only those after it count.
                times[way.name].append(step_seconds(moved, number + 2))
    drawing = statistics.median(seconds(lambda step=step: session.stage.batch(step)) for step in range(1, 5))
    work = operations(session)
    waited = share_waited(session._replace(process=processes[True]), words.loop_steps)
    plain = statistics.median(times[ways[0].name][1:])
    for way in ways:
        step = statistics.median(times[way.name][1:])
        cells = [options.stage, way.name, f"{frames_per_step(options) / step:.1f}", f"{step * 1000:.0f}"]
        cells += [f"{step / plain:.2f}", f"{work / 1e9:.1f}", f"{step * rates[way.half] / work:.1f}"]
        cells += [f"{drawing / step:.0%}", f"{waited:.1%}" if way.name == "bf16 channels_last" else ""]
        yield "| " + " | ".join(cells) + " |"


def options_with(options: TrainOptions, half: bool) -> TrainOptions:
    """Gives the options in another precision."""
    return options_from({**vars(options), "precision": "bf16-mixed" if half else "32-true"})


@contextmanager
def set_to(session: Session, way: Way) -> Iterator[None]:
    """Lays the networks out as a way wants them, compiled or not, and takes the compiling back."""
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    session.modules.to(memory_format=layout)  # pyright: ignore[reportCallIssue] - missing in torch's types
    networks = [part for _, part in session.model.named_children()]
    for network in networks if way.compiled else ():
        network.compile()
    yield
    for network in networks:
        network._compiled_call_impl = None


def step_seconds(session: Session, step: int) -> float:
    """Processor seconds of a step without its drawing."""
    drawn = session.stage.batch(step)
    return seconds(lambda: train_step(session, drawn, step, 1e-5))


def seconds(call: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def operations(session: Session) -> float:
    """Multiplications and additions of convolutions and matrix products of a step, forth and back."""
    drawn = session.stage.batch(2)
    with FlopCounterMode(display=False) as counter:
        train_step(session, drawn, 2, 1e-5)
    return float(counter.get_total_flops())


def matrix_rate(precision: torch.dtype, side: int = 2048) -> float:
    """Operations a second of a large matrix product."""
    a = torch.rand(side, side).to(precision)
    return 2 * side**3 / min(seconds(lambda: a @ a) for _ in range(4))


def share_waited(session: Session, steps: int) -> float:
    """Runs the loop with its thread that draws ahead; the first wait, before anything was drawn, is left out."""
    options = options_from({**vars(session.options), "steps": steps + 1})
    waits, began = 0.0, 0.0
    for step, drawn, waited in batches(session.stage, 0, options, session.process.device):
        waits, began = (0.0, time.monotonic()) if step == 1 else (waits + waited, began)
        train_step(session, drawn, step, 1e-5)
    return waits / (time.monotonic() - began)


if __name__ == "__main__":
    main()
