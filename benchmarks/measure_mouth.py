"""Measures how sharp and how steady speaking mouths are, and what frames cost beside the talker.

    python benchmarks/measure_mouth.py PICTURE... --audio SPEECH [--size 512] [--seconds 2.4] [--sheet P.png]

Each picture speaks with the head held still and the eyes open. Sharpness is the spread of the Laplacian on the lips and
what is between and near them, as a share of the photograph's own there; flicker is `pcavs.metrics.flicker` of the
mouth's rectangle; the cost is processor time of one thread for what is done with a talker's fields, best of three
rounds. Prints each picture and the means. The sheet has eight moments of each mouth.
"""

import argparse
import logging
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from pcavs.animate.controls import Controls
from pcavs.animate.head_motion import own_row
from pcavs.animate.identity import Identity
from pcavs.animate.renderer import DepthRenderer
from pcavs.animate.talker import Talker, load_talker
from pcavs.face.regions import OUTER_LIPS
from pcavs.metrics.flicker import flicker
from pcavs.metrics.image import laplacian_std
from pcavs.runtime.base import Rendered
from pcavs.types import Picture

logger = logging.getLogger("measure_mouth")

_ROUNDS = 3
_GROWN, _SUNK = 0.012, 0.03
"""Shares of the side: how far around the photograph's lips is measured, and how far lower lips may sink."""
_TILE_PX = (240, 160)


class Spoken(NamedTuple):
    """What one picture said."""

    identity: Identity
    frames: list[Picture]
    fields: list[Rendered]


class Replay:
    """Stands for a talker that says again what it said."""

    def __init__(self, fields: list[Rendered]) -> None:
        """Takes what it said; the first was said of the picture itself."""
        self._fields, self.number = fields, 0

    def render(self, *_: object) -> Rendered:
        """Gives what was said in the frame that is asked for."""
        return self._fields[self.number]


def main() -> None:
    """Reads the command line, measures, prints."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=2.4)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--sheet", type=Path)
    words = parser.parse_args()
    cv2.setNumThreads(1)
    talker = load_talker(words.weights, "auto", threads=1)
    rows, tiles = [], []
    for path in words.pictures:
        spoken = speak(talker, path, words.audio, words.size, words.seconds)
        mask = around_lips(spoken.identity)
        part = cv2.boundingRect(mask.astype(np.uint8))
        own = laplacian_std(spoken.identity.picture, mask)
        sharp = float(np.mean([laplacian_std(frame, mask) for frame in spoken.frames]))
        rows.append([sharp / own, flicker(_cut(frame, part) for frame in spoken.frames), cost_ms(spoken)])
        tiles.append(np.hstack([cv2.resize(_cut(frame, part), _TILE_PX) for frame in _eight(spoken.frames)]))
        logger.info("%s: sharpness %.2f of its own, flicker %.2f, %.1f ms", path.name, *rows[-1])
    logger.info(
        "%d pictures, %d px: sharpness %.2f, flicker %.2f, %.1f ms a frame", len(rows), words.size, *_means(rows)
    )
    if words.sheet:
        cv2.imwrite(str(words.sheet), np.vstack(tiles)[:, :, ::-1])


def speak(talker: Talker, path: Path, audio: Path, size: int, seconds: float) -> Spoken:
    """Makes the film, and keeps what the talker said."""
    film = talker.animate(path, audio, end=seconds, size=size, no_blinks=True)
    said, render = [], talker.runtime.render

    def kept(*words: np.ndarray) -> Rendered:
        said.append(render(*words))  # pyright: ignore[reportArgumentType]
        return said[-1]

    talker.runtime.render = kept  # pyright: ignore[reportAttributeAccessIssue]
    try:
        frames = list(film.frames)
    finally:
        talker.runtime.render = render
    return Spoken(film.identity, frames, said)


def cost_ms(spoken: Spoken) -> float:
    """Processor time a frame of all but the talker."""
    replay = Replay(spoken.fields)
    renderer = DepthRenderer(replay, spoken.identity, wide=False, segmenter=None)  # pyright: ignore[reportArgumentType]
    controls, times = Controls(spoken.identity.codes.content, own_row(spoken.identity)), []
    for _ in range(_ROUNDS):
        start = time.process_time()
        for replay.number in range(1, len(spoken.fields)):
            renderer.frame(controls)
        times.append(1e3 * (time.process_time() - start) / (len(spoken.fields) - 1))
    return min(times)


def around_lips(identity: Identity) -> np.ndarray:
    """The lips, what is near to them, and where the lower one sinks."""
    side = identity.picture.shape[0]
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [np.rint(identity.mesh[list(OUTER_LIPS), :2]).astype(np.int32)], 1)
    mask = cv2.dilate(mask, np.ones((2 * round(_GROWN * side) + 1,) * 2, np.uint8))
    return (mask | np.roll(mask, round(_SUNK * side), axis=0)) > 0


def _cut(frame: Picture, part: tuple[int, int, int, int]) -> Picture:
    x, y, width, height = part
    return np.ascontiguousarray(frame[y : y + height, x : x + width])


def _eight(frames: list[Picture]) -> list[Picture]:
    return [frames[int(t)] for t in np.linspace(3, len(frames) - 4, 8)]


def _means(rows: list[list[float]]) -> list[float]:
    return np.mean(rows, axis=0).tolist()


if __name__ == "__main__":
    main()
