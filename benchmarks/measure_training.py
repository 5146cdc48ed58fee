"""Measures the speed of a training step for each stage, with several precisions and memory layouts.

    python benchmarks/measure_training.py --packs PACKS [--stages sync generator] [--size tiny] [--rounds 3]

Times are processor time of one thread, which other work on the machine affects far less than wall-clock time. The ways
take turns, so that their ratios come from one run. Columns of the table:

- `above the bound`: time divided by a lower bound, the step's multiplications and additions (forward and backward) at
  the rate of one large matrix product on this machine
- `loading`: time to draw and load a batch, which a second thread does in advance, as a fraction of the step
- `waited`: fraction of a real training loop's time that was spent waiting for batches
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

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
"""Options of the stages, as in recipes/. The measured step of `generator` is a reconstruction step."""

LEARNING_RATE: Final = 1e-5
"""Of the measured steps; speed does not depend on it."""
MATMUL_SIDE: Final = 2048
"""Side of the matrices whose product measures the processor's rate."""
MATMUL_ROUNDS: Final = 4
RECONSTRUCTION_STEP: Final = 2
"""A step of `generator` that reconstructs; its odd steps differ."""


class Way(NamedTuple):
    """Precision, memory layout and compilation of a step."""

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
    """Runs the command line, prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=Path, nargs="+", required=True)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--size", choices=("default", "tiny"), default="default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loop-steps", type=int, default=6, help="steps of the real loop, for the column `waited`")
    parser.add_argument("--no-compiled", action="store_true", help="skip torch.compile, which takes minutes")
    parser.add_argument(
        "--ways",
        nargs="+",
        choices=[way.name for way in WAYS],
        help="default: all; the column `of first` compares with the first",
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    wanted = args.ways or [way.name for way in WAYS if not (way.compiled and args.no_compiled)]
    ways = [way for way in WAYS if way.name in wanted]
    rates = {half: matrix_rate(torch.bfloat16 if half else torch.float32) for half in (False, True)}
    print(f"matrix products: f32 {rates[False] / 1e9:.0f} GFLOP/s, bf16 {rates[True] / 1e9:.0f} GFLOP/s, one thread\n")
    print("| stage | way | frames a second | step, ms | of first | GFLOP a step | above the bound | loading | waited |")
    print("|---" * 9 + "|")
    for name in args.stages:
        with tempfile.TemporaryDirectory() as folder:
            fields = {"packs": args.packs, "run": folder, "size": args.size, "stage": name, "device": "cpu"}
            options = options_from({**fields, **STAGES[name]})
            for line in stage_lines(options, ways, rates, args):
                print(line, flush=True)


def stage_lines(
    options: TrainOptions, ways: list[Way], rates: dict[bool, float], args: argparse.Namespace
) -> Iterator[str]:
    """Measures a stage in all ways, and yields the rows of the table."""
    processes = {half: Process(options_with(options, half)) for half in (False, True)}
    session = start(options, processes[False])
    times: dict[str, list[float]] = {way.name: [] for way in ways}
    for number in range(args.rounds + 1):
        for way in ways:
            with set_to(session, way):
                # The first round compiles and fills caches, so it is not counted.
                changed = session._replace(process=processes[way.half])
                times[way.name].append(step_seconds(changed, number + 2))
    loading = statistics.median(seconds(lambda step=step: session.stage.batch(step)) for step in range(1, 5))
    work = operations(session)
    waited = share_waited(session._replace(process=processes[True]), args.loop_steps)
    first = statistics.median(times[ways[0].name][1:])
    for way in ways:
        step = statistics.median(times[way.name][1:])
        cells = [options.stage, way.name, f"{frames_per_step(options) / step:.1f}", f"{step * 1000:.0f}"]
        cells += [f"{step / first:.2f}", f"{work / 1e9:.1f}", f"{step * rates[way.half] / work:.1f}"]
        cells += [f"{loading / step:.0%}", f"{waited:.1%}" if way.name == "bf16 channels_last" else ""]
        yield "| " + " | ".join(cells) + " |"


def options_with(options: TrainOptions, half: bool) -> TrainOptions:
    """Returns the options with `bf16-mixed` or full precision."""
    return options_from({**vars(options), "precision": "bf16-mixed" if half else "32-true"})


@contextmanager
def set_to(session: Session, way: Way) -> Generator[None]:
    """Sets memory layout and compilation of the networks; on exit they are no longer compiled."""
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    session.modules.to(memory_format=layout)  # pyright: ignore[reportCallIssue] - missing in torch's types
    networks = [part for _, part in session.model.named_children()]
    for network in networks if way.compiled else ():
        network.compile()
    yield
    for network in networks:
        network._compiled_call_impl = None


def step_seconds(session: Session, step: int) -> float:
    """Returns the processor seconds of a step, without loading its batch."""
    batch = session.stage.batch(step)
    return seconds(lambda: train_step(session, batch, step, LEARNING_RATE))


def seconds(call: Callable[[], object]) -> float:
    """Returns the processor seconds of a call."""
    began = time.process_time()
    call()
    return time.process_time() - began


def operations(session: Session) -> float:
    """Returns the multiplications and additions of a step's convolutions and matrix products, forward and backward."""
    batch = session.stage.batch(RECONSTRUCTION_STEP)
    with FlopCounterMode(display=False) as counter:
        train_step(session, batch, RECONSTRUCTION_STEP, LEARNING_RATE)
    return float(counter.get_total_flops())


def matrix_rate(precision: torch.dtype) -> float:
    """Returns the operations per second of a large matrix product."""
    matrix = torch.rand(MATMUL_SIDE, MATMUL_SIDE).to(precision)
    return 2 * MATMUL_SIDE**3 / min(seconds(lambda: matrix @ matrix) for _ in range(MATMUL_ROUNDS))


def share_waited(session: Session, steps: int) -> float:
    """Returns the fraction of a training loop's time spent waiting for batches, without the first wait."""
    options = options_from({**vars(session.options), "steps": steps + 1})
    waits, began = 0.0, 0.0
    for step, batch, waited in batches(session.stage, 0, options, session.process.device):
        waits, began = (0.0, time.monotonic()) if step == 1 else (waits + waited, began)
        train_step(session, batch, step, LEARNING_RATE)
    return waits / (time.monotonic() - began)


if __name__ == "__main__":
    main()
