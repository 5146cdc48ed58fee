"""Blinks: when they happen.

Eyelid closure is 0 for the eyes as they are in the photograph and 1 for shut eyes. `eyes` closes them.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from jaxtyping import Float32

from pcavs.pose.life import BLINK
from pcavs.spec import FRAME_RATE

_MEAN_INTERVAL_S: Final = 3.2
"""Mean time between blinks: 19 a minute. People blink 26 times a minute when they talk, 17 times at rest.
Reference: Bentivoglio et al., Analysis of blink rate patterns in normal subjects, Mov. Disord. 1997."""
_MIN_INTERVAL_S: Final = 1.2
"""Smallest time between blinks. Tuned by hand; not measured."""
_INTERVAL_SHAPE: Final = 2.0
"""Shape parameter of the gamma distribution of the time beyond the smallest one. Tuned by hand; not measured."""
_BLINK_STREAM: Final = 0xB11CC
"""Distinguishes the random numbers of blinks from others that are drawn with the same seed."""


def blink_track(num_frames: int, seed: int) -> Float32[np.ndarray, " time"]:
    """Draws the eyelid closure of each frame of a film, 0 to 1.

    Equal seeds give equal blinks, and a longer film begins as a shorter one does. A blink that would not end within the
    film is left out.
    """
    closure = np.zeros(num_frames, np.float32)
    for first in blink_starts(seed):
        if first + len(BLINK) > num_frames:
            break  # a cut-off blink would end the film with half-shut eyes
        closure[first : first + len(BLINK)] = BLINK
    return closure


def blink_starts(seed: int) -> Iterator[int]:
    """Draws the frames in which blinks begin, without end."""
    rng = np.random.default_rng((seed, _BLINK_STREAM))
    at_s = 0.0
    while True:
        at_s += _MIN_INTERVAL_S + float(
            rng.gamma(_INTERVAL_SHAPE, (_MEAN_INTERVAL_S - _MIN_INTERVAL_S) / _INTERVAL_SHAPE)
        )
        yield round(at_s * FRAME_RATE)


def endless_blinks(seed: int) -> Iterator[float]:
    """Yields the eyelid closure of one frame after another, 0 to 1; they are those of `blink_track`."""
    frame = 0
    for first in blink_starts(seed):
        for _ in range(frame, first):
            yield 0.0
        yield from BLINK
        frame = first + len(BLINK)
