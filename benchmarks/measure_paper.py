"""Measures the time per frame of the `paper` talker at its published size, and of the published way of computing it.

    python benchmarks/measure_paper.py [--batch 1 8] [--rounds 5] [--threads 2] [--ways published openvino-bf16 ...]

Uses random weights: speed does not depend on them. Every round runs every way once, so that other load on the machine
affects all of them alike. Prints the median in milliseconds and, in brackets, the fastest. A frame needs the speech
encoder and the generator; with a live pose source also the motion encoder. The published way
(`published_reference.py`) runs the identity encoder once, the speech encoder once, and the motion encoder and the
generator twice. Needs torch.
"""

import argparse
import copy
import functools
import logging
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
import openvino as ov
import torch
from torch import Tensor, nn

from pcavs.models.inference import inference_networks
from pcavs.models.paper import PaperModel, build_paper
from pcavs.runtime.openvino import cpu_has_bf16
from pcavs.spec import TalkerSpec
from pcavs.weights.export import convert, example_inputs
from published_reference import PublishedPath

logger = logging.getLogger("measure_paper")

SPEC: Final = TalkerSpec(kind="paper")
PARTS: Final = ("speech", "generator", "motion")
WAYS: Final = ("published", "torch-f32", "torch-bf16", "openvino-f32", "openvino-bf16")
GENERATOR_GFLOP: Final = 69.4
"""Billions of operations for one frame at the published size; a multiplication and an addition count as two."""
PUBLISHED_MS: Final = {1: 1374, 8: 2382}
"""Milliseconds per frame of the published code itself, by batch; measured separately on a machine of the same kind."""
GREY_LEVELS: Final = 127.5
"""Grey levels of 255 in a difference of 1 between values in [-1, 1]."""
MATMUL_ROWS: Final = 3136
MATMUL_COLUMNS: Final = 512
MATMULS: Final = 8
"""A chain of `MATMULS` products (`MATMUL_ROWS`, `MATMUL_COLUMNS`) x (`MATMUL_COLUMNS`, `MATMUL_COLUMNS`) measures the
rate of the processor: large enough to be limited by arithmetic."""
MATMUL_ROUNDS: Final = 9
NOISE: Final = 0.1
"""Standard deviation of what `add_noise` adds to biases and noise strengths; any number above 0 would do."""

Call = Callable[[], Any]


class Timing(NamedTuple):
    """Milliseconds for one frame."""

    median: float
    least: float

    @classmethod
    def of(cls, seconds: list[float], batch: int) -> "Timing":
        """Returns the timing of a way from the seconds that a batch took in each round."""
        return cls(*(1000 / batch * value for value in (statistics.median(seconds), min(seconds))))

    def __str__(self) -> str:
        """Formats the median, and the fastest in brackets."""
        return f"{self.median:6.0f} ({self.least:.0f})"


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    talker = add_noise(build_paper(SPEC.paper, SPEC.mel))
    ways = [way for way in arguments.ways if cpu_has_bf16() or not way.endswith("bf16")]
    report_lower_bound(arguments.threads)
    for batch in arguments.batch:
        calls = {way: dict(parts_of(way, talker, batch, arguments.threads)) for way in ways}
        report(measure(calls, arguments.rounds), batch)
        report_agreement(calls)


def add_noise(talker: PaperModel) -> PaperModel:
    """Makes biases and noise strengths non-zero, as in trained weights; a new network has zeros there."""
    with torch.no_grad():
        for name, value in talker.generator.synthesis.named_parameters():
            if name.endswith(("noise_strength", "bias")):
                value.add_(NOISE * torch.randn_like(value))
    return talker.eval()


def parts_of(way: str, talker: PaperModel, batch: int, threads: int) -> Iterator[tuple[str, Call]]:
    """Yields the name and the call of each network that a way runs for a batch; all ways get the same inputs."""
    if way == "published":
        face = torch.rand(batch, 3, SPEC.paper.frame_px, SPEC.paper.frame_px) * 2 - 1
        windows = example_inputs("speech", SPEC, batch)[0]
        yield "all", partial(PublishedPath(talker).frames, face, face, windows)
        return
    runtime, precision = way.split("-")
    for name, network in inference_networks(talker).items():
        if name not in PARTS:
            continue
        torch.manual_seed(batch)
        inputs = example_inputs(name, SPEC, batch)
        if runtime == "torch":
            yield name, torch_call(network, inputs, precision)
        elif name == "generator":
            # Films are rendered one frame at a time; a batch is no faster in OpenVINO.
            yield name, one_by_one(converted(talker, name, 1), inputs, precision, threads)
        else:
            yield name, openvino_call(converted(talker, name, batch), inputs, precision, threads)


@functools.cache
def converted(talker: PaperModel, name: str, batch: int) -> ov.Model:
    """Converts a network as `pcavs weights export` does."""
    return convert(inference_networks(talker)[name], example_inputs(name, SPEC, batch))


def torch_call(network: nn.Module, inputs: tuple[Tensor, ...], precision: str) -> Call:
    """Returns a call of a torch network in channels-last layout; bf16 is autocast, which accumulates in f32."""
    network = copy.deepcopy(network).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    inputs = tuple(
        each.contiguous(memory_format=torch.channels_last) if each.dim() == 4 and each.is_floating_point() else each
        for each in inputs
    )

    @torch.inference_mode()
    def call() -> np.ndarray:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            output = network(*inputs)
        return (output[0] if isinstance(output, tuple) else output).float().numpy()

    return call


def openvino_call(model: ov.Model, inputs: tuple[Tensor, ...], precision: str, threads: int) -> Call:
    """Returns a call of an OpenVINO network with the settings of `pcavs.runtime`."""
    request = compiled(model, precision, threads).create_infer_request()
    for index, value in enumerate(inputs):
        request.set_input_tensor(index, ov.Tensor(np.ascontiguousarray(value.numpy())))

    def call() -> np.ndarray:
        request.infer()
        return request.get_output_tensor(0).data

    return call


@functools.cache
def compiled(model: ov.Model, precision: str, threads: int) -> ov.CompiledModel:
    """Compiles a network once for all its requests."""
    settings = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    return ov.Core().compile_model(model, "CPU", settings)


def one_by_one(model: ov.Model, inputs: tuple[Tensor, ...], precision: str, threads: int) -> Call:
    """Returns a call that runs a network of batch 1 on each sample of a batch."""
    call_of = [
        openvino_call(model, sample, precision, threads)
        for sample in zip(*(each.split(1) for each in inputs), strict=True)
    ]
    return lambda: np.concatenate([np.array(call()) for call in call_of])


def measure(calls: dict[str, dict[str, Call]], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Returns the seconds of every network, by way and round; a first round warms up and is not counted."""
    seconds: dict[str, dict[str, list[float]]] = {way: {part: [] for part in parts} for way, parts in calls.items()}
    for round_index in range(rounds + 1):
        for way, parts in calls.items():
            for part, call in parts.items():
                began = time.perf_counter()
                call()
                if round_index:
                    seconds[way][part].append(time.perf_counter() - began)
    return seconds


def report(seconds: dict[str, dict[str, list[float]]], batch: int) -> None:
    """Prints a row for each way, with its speed-up over the published way."""
    logger.info(
        "\nbatch %d, ms a frame: median (fastest); the published code itself: %s", batch, PUBLISHED_MS.get(batch)
    )
    logger.info("%-14s %14s %14s %14s | %14s %9s | %14s %9s", "", *PARTS, "a frame", "times", "live pose", "times")
    published = seconds.get("published", {}).get("all")
    for way, parts in seconds.items():
        if way == "published":
            logger.info("%-60s | %14s", way, Timing.of(parts["all"], batch))
            continue
        each = [Timing.of(parts[part], batch) for part in PARTS]
        encoded = [sum(pair) for pair in zip(parts["speech"], parts["generator"], strict=True)]
        live = [sum(pair) for pair in zip(encoded, parts["motion"], strict=True)]
        cells = [f for total in (encoded, live) for f in (Timing.of(total, batch), speed_up(published, total))]
        logger.info("%-14s %14s %14s %14s | %14s %9s | %14s %9s", way, *each, *cells)


def speed_up(published: list[float] | None, ours: list[float]) -> str:
    """Formats the median over rounds of the published way's time divided by ours in the same round."""
    if published is None:
        return ""
    ratios = [reference / own for reference, own in zip(published, ours, strict=True)]
    return f"{statistics.median(ratios):.1f} x"


def report_lower_bound(threads: int) -> None:
    """Prints the generator's time if all its operations ran at the rate of a large matrix product."""
    for precision in ("f32", "bf16") if cpu_has_bf16() else ("f32",):
        chain = nn.Sequential(*(nn.Linear(MATMUL_COLUMNS, MATMUL_COLUMNS, bias=False) for _ in range(MATMULS)))
        pixels = (torch.randn(MATMUL_ROWS, MATMUL_COLUMNS),)
        call = openvino_call(convert(chain, pixels), pixels, precision, threads)
        call()
        took = []
        for _ in range(MATMUL_ROUNDS):
            began = time.perf_counter()
            call()
            took.append(time.perf_counter() - began)
        rate = 2e-9 * MATMUL_ROWS * MATMUL_COLUMNS**2 * MATMULS / min(took)
        bound_ms = 1000 * GENERATOR_GFLOP / rate
        logger.info(
            "%s matrix products %.0f GFLOP/s: %.1f GFLOP take at least %.0f ms",
            precision,
            rate,
            GENERATOR_GFLOP,
            bound_ms,
        )


def report_agreement(calls: dict[str, dict[str, Call]]) -> None:
    """Prints the difference of each way's faces from those of torch in f32, in grey levels of 255."""
    if "torch-f32" not in calls:
        return
    expected = calls["torch-f32"]["generator"]()
    for way, parts in calls.items():
        if "generator" in parts and way != "torch-f32":
            error = np.abs(parts["generator"]() - expected) * GREY_LEVELS
            logger.info("%s: %.3f grey levels from torch f32 on average, %.2f at most", way, error.mean(), error.max())


if __name__ == "__main__":
    main()
