"""Measures sharpness and flicker of speaking mouths, and the processor time of a frame without the networks.

    python benchmarks/measure_mouth.py PICTURE... --audio SPEECH [--size 512] [--seconds 2.4] [--sheet P.png]

Each picture speaks with its head still and its eyes open. Printed for each picture, and as means:

- sharpness: standard deviation of the Laplacian on and around the lips, as a fraction of the photograph's there
- flicker: `pcavs.metrics.flicker` in the mouth's rectangle
- processor time of one thread for rendering a frame from the fields that the networks have computed; the fastest of
  three rounds

The sheet shows eight frames of each mouth.
"""

import argparse
import logging
import time
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np

from pcavs.animate.controls import Controls
from pcavs.animate.head_motion import own_row
from pcavs.animate.identity import Identity
from pcavs.animate.load import load_talker
from pcavs.animate.renderer import DepthRenderer
from pcavs.animate.talker import Talker
from pcavs.face.regions import OUTER_LIPS
from pcavs.metrics.flicker import flicker
from pcavs.metrics.image import laplacian_std
from pcavs.runtime.base import Rendered
from pcavs.types import Picture

logger = logging.getLogger("measure_mouth")

_ROUNDS: Final = 3
_LIP_MARGIN: Final = 0.012
"""How far around the photograph's lips sharpness is measured, as a fraction of the crop's side. Chosen by eye."""
_LIP_DROP: Final = 0.03
"""How far the measured area is extended downwards, where an open mouth's lower lip is; same unit. Chosen by eye."""
_TILE_PX: Final = (240, 160)
"""Width and height of a mouth in the sheet."""
_NUM_TILES: Final = 8
_EDGE_FRAMES: Final = 3
"""Frames left out of the sheet at either end of a film."""


class Spoken(NamedTuple):
    """A film of one picture.

    Attributes:
        identity: The picture.
        frames: The film's frames.
        fields: What the networks computed: for the picture itself, then for each frame.
    """

    identity: Identity
    frames: list[Picture]
    fields: list[Rendered]


class Replay:
    """A runtime that returns recorded fields, so that rendering can be timed without the networks.

    Set `number` to choose the fields that `render` returns; 0 are those of the picture itself.
    """

    def __init__(self, fields: list[Rendered]) -> None:
        self._fields, self.number = fields, 0

    def render(self, *_: object) -> Rendered:
        """Returns the recorded fields of `number`, whatever the arguments."""
        return self._fields[self.number]


def main() -> None:
    """Runs the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=2.4)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    talker = load_talker(args.weights, "auto", threads=1)
    rows, tiles = [], []
    for path in args.pictures:
        spoken = speak(talker, path, args.audio, args.size, args.seconds)
        mask = around_lips(spoken.identity)
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        mouths = [np.ascontiguousarray(frame[y : y + height, x : x + width]) for frame in spoken.frames]
        own = laplacian_std(spoken.identity.picture, mask)
        sharp = float(np.mean([laplacian_std(frame, mask) for frame in spoken.frames]))
        rows.append([sharp / own, flicker(mouths), cost_ms(spoken)])
        shown = np.linspace(_EDGE_FRAMES, len(mouths) - 1 - _EDGE_FRAMES, _NUM_TILES).astype(int)
        tiles.append(np.hstack([cv2.resize(mouths[t], _TILE_PX) for t in shown]))
        logger.info("%s: sharpness %.2f of the photograph's, flicker %.2f, %.1f ms", path.name, *rows[-1])
    means = np.mean(rows, axis=0).tolist()
    logger.info("%d pictures, %d px: sharpness %.2f, flicker %.2f, %.1f ms a frame", len(rows), args.size, *means)
    if args.sheet:
        cv2.imwrite(str(args.sheet), np.vstack(tiles)[:, :, ::-1])


def speak(talker: Talker, path: Path, audio: Path, size: int, seconds: float) -> Spoken:
    """Makes the film, and records what the networks compute for it."""
    film = talker.animate(path, audio, end=seconds, size=size, no_blinks=True)
    fields, render = [], talker.runtime.render

    def recorded(*inputs: np.ndarray) -> Rendered:
        fields.append(render(*inputs))  # pyright: ignore[reportArgumentType]
        return fields[-1]

    talker.runtime.render = recorded  # pyright: ignore[reportAttributeAccessIssue]
    try:
        frames = list(film.frames)
    finally:
        talker.runtime.render = render
    return Spoken(film.identity, frames, fields)


def cost_ms(spoken: Spoken) -> float:
    """Returns the processor time for one frame without the networks, in milliseconds."""
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
    """Returns the mask in which sharpness is measured: lips, a margin, and where an open mouth's lower lip is."""
    side = identity.picture.shape[0]
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [np.rint(identity.mesh[list(OUTER_LIPS), :2]).astype(np.int32)], 1)
    grown = cv2.dilate(mask, np.ones((2 * round(_LIP_MARGIN * side) + 1,) * 2, np.uint8)) > 0
    return grown | np.roll(grown, round(_LIP_DROP * side), axis=0)


if __name__ == "__main__":
    main()
