"""Measures the time per frame of a talker's networks, one frame at a time, as `pcavs animate` runs them.

    python benchmarks/measure_speed.py [--weights FOLDER] [--frames 200] [--picture examples/face.jpg --audio SPEECH]

Prints the median and the range over five rounds, for bf16 (where the processor supports it) and f32. With a picture and
speech, also whole frames of a film with a moving head: networks, head, background and mouth, before encoding. Needs no
torch.
"""

import argparse
import logging
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from pcavs.animate.controls import Controls
from pcavs.animate.options import FilmOptions
from pcavs.animate.renderer import Renderer
from pcavs.animate.talker import Talker
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.person import PersonSegmenter
from pcavs.runtime.openvino import OpenVinoRuntime, cpu_has_bf16
from pcavs.spec import FRAME_RATE, MEL_WINDOW_BINS
from pcavs.weights.locate import find_weights
from pcavs.weights.networks import read_networks

logger = logging.getLogger("measure_speed")

ROUNDS: Final = 5
FILM_FRAMES: Final = 50
"""Frames of the film that is timed."""
FILM_SIZES_PX: Final = (256, 512)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--audio", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    networks = find_weights(arguments.weights).networks
    if networks is None:
        parser.error("these weights have no OpenVINO networks; `pcavs weights export` makes them")
    facts = read_networks(networks)
    for precision in ("bf16", "f32") if cpu_has_bf16() else ("f32",):
        runtime = OpenVinoRuntime(networks, facts.spec, precision=precision)
        side = facts.spec.sizes.frame_px
        rng = np.random.default_rng(0)
        face = rng.integers(0, 256, (side, side, 3), np.uint8)
        identity = runtime.encode_identity(face)
        content, pose = identity.content, identity.pose
        windows = rng.random((1, 1, facts.spec.mel.mel_channels, MEL_WINDOW_BINS), np.float32)
        _report(f"generator {precision}", partial(runtime.render, identity, content, pose), arguments.frames)
        _report(f"speech encoder {precision}", partial(runtime.encode_speech, windows), arguments.frames)
        _report(f"motion encoder {precision}", partial(runtime.encode_pose, face[None]), arguments.frames)
        if arguments.picture and arguments.audio:
            talker = Talker(runtime, FaceLandmarker(), facts.digest, facts.digest, segmenter=PersonSegmenter())
            _report_films(talker, arguments.picture, arguments.audio)


def _report_films(talker: Talker, picture: Path, audio: Path) -> None:
    precision = talker.runtime.description.split()[-1]
    for size in FILM_SIZES_PX:
        end = FILM_FRAMES / FRAME_RATE
        film = talker.film(FilmOptions(identity=picture, audio=audio, pose=Path("lively"), size=size, end=end))
        renderer = film.make_renderer()
        controls = list(film.controls.of(range(film.num_frames)))

        def frames(renderer: Renderer = renderer, controls: list[Controls] = controls) -> None:
            for control in controls:
                renderer.frame(control)

        _report(f"film {size} px {precision}", frames, rounds_of=1, frames_a_call=film.num_frames)


def _report(name: str, call: Callable[[], object], rounds_of: int, frames_a_call: int = 1) -> None:
    call()
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(rounds_of):
            call()
        rounds.append((time.perf_counter() - began) / (rounds_of * frames_a_call) * 1000)
    logger.info("%-22s %6.2f ms a frame (%.2f to %.2f)", name, statistics.median(rounds), min(rounds), max(rounds))


if __name__ == "__main__":
    main()
