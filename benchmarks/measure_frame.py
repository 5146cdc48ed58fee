"""Measures where the time of a film's frame goes, stage by stage, on one thread.

    python benchmarks/measure_frame.py [--picture examples/face.jpg] [--audio SPEECH] [--frames 100] [--json FILE]

Prints processor time in milliseconds a frame (the median over the frames, and the mean, which blinks and folds raise).
Time of the calling thread is measured, so other processes disturb it little. Encoding is x264 at the film's settings,
on the calling thread as far as x264 computes there. Needs no torch.
"""

import argparse
import functools
import json
import logging
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import cv2

from pcavs.animate import renderer, stepper
from pcavs.animate.compose import paste
from pcavs.animate.load import load_talker
from pcavs.animate.options import FilmOptions
from pcavs.animate.talker import Talker
from pcavs.head import background, expression, eyes, sampling, warp
from pcavs.mouth import closure, motion, render
from pcavs.runtime import features, openvino

logger = logging.getLogger("measure_frame")

SIZES_PX: Final = (256, 384, 512)
STAGES: Final[tuple[tuple[str, Any, str], ...]] = (
    ("speech network", features.SpeechFeatures, "states"),
    ("speech encoder", openvino.OpenVinoRuntime, "encode_speech"),
    ("generator", openvino.OpenVinoRuntime, "render"),
    ("turn of the head", warp.DepthHead, "sources"),
    ("motion of the mouth", motion.MouthMotion, "displacement"),
    ("closing of the lips", closure.LipClosure, "close"),
    ("expression", expression.ExpressionWarp, "displacement"),
    ("eyes", eyes.Eyes, "show"),
    ("sampling of the photograph", sampling.PhotoSampler, "sample"),
    ("places of the pixels", renderer, "photo_px_maps"),
    ("background", background.Background, "composite"),
    ("folds", renderer, "inpaint_folds"),
    ("mouth", render.Mouth, "composite"),
    ("view", stepper, "apply_view"),
    ("pasting", paste.HeadPaster, "paste"),
)
"""Name of a stage, and the function whose time it is, without that of stages inside of it."""


class Clock:
    """Adds up the processor time of the stages of each frame."""

    def __init__(self) -> None:
        self._inside: list[float] = []
        self.frame: dict[str, float] = defaultdict(float)

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function, with its time added to a stage."""

        @functools.wraps(function)
        def call(*arguments: Any, **settings: Any) -> Any:
            began = time.thread_time()
            self._inside.append(0.0)
            try:
                return function(*arguments, **settings)
            finally:
                took, inside = time.thread_time() - began, self._inside.pop()
                self.frame[name] += took - inside
                if self._inside:
                    self._inside[-1] += took

        return call


def frame_times(talker: Talker, options: FilmOptions, clock: Clock) -> Iterator[dict[str, float]]:
    """Renders a film, and yields the seconds of each stage for each frame; `all` is the whole frame."""
    frames = talker.film(options).frames
    next(frames)
    while True:
        clock.frame = defaultdict(float)
        began = time.thread_time()
        if next(frames, None) is None:
            return
        yield clock.frame | {"all": time.thread_time() - began}


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--picture", type=Path, default=Path("examples/face.jpg"))
    parser.add_argument("--audio", type=Path, default=Path("examples/speech.wav"))
    parser.add_argument("--pose", type=Path, default=Path("lively"))
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--full-frame", action="store_true")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES_PX)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    cv2.setNumThreads(1)
    clock = Clock()
    for name, owner, attribute in STAGES:
        setattr(owner, attribute, clock.timed(name, getattr(owner, attribute)))
    talker = load_talker(arguments.weights, "cpu", threads=1)
    table: dict[str, dict[str, float]] = {}
    for size in (None,) if arguments.full_frame else arguments.sizes:
        options = FilmOptions(
            identity=arguments.picture,
            audio=arguments.audio,
            pose=arguments.pose,
            size=size,
            full_frame=arguments.full_frame,
            end=(arguments.frames + 1) / 25,
        )
        times = list(frame_times(talker, options, clock))
        rows = {name: [each.get(name, 0.0) * 1000 for each in times] for name in (*(s[0] for s in STAGES), "all")}
        rows["rest"] = [each["all"] * 1000 - sum(v for k, v in each.items() if k != "all") * 1000 for each in times]
        logger.info("%s: %d frames", "full frame" if size is None else f"{size} px", len(times))
        for name, values in rows.items():
            logger.info("  %-28s median %6.2f  mean %6.2f ms", name, statistics.median(values), statistics.mean(values))
        table[str(size)] = {name: statistics.mean(values) for name, values in rows.items()}
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
