"""The one place that turns seconds into frames, samples or mel bins.

Frame k is shown at k/25 s; its mel window spans 20 bins of the padded mel spectrogram from bin 4k on.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Generic, TypeVar

from pcavs.errors import InputError
from pcavs.spec import (
    FRAME_RATE,
    MEL_BINS_PER_FRAME,
    MEL_WINDOW_BINS,
    SAMPLE_RATE_HZ,
    SAMPLES_PER_FRAME,
    exact_div,
)

Item = TypeVar("Item")

FRAME_S = Fraction(1, FRAME_RATE)
MEL_LEAD_FRAMES = 2
"""A frame's mel window begins two frames before it (published code: `mel[4 * (i - 2):][:20]`)."""
PUBLISHED_LEAD_FRAMES = 2
"""The published code's first film frame is the one that belongs to frame 2 of the sound."""
MEL_LEAD_BINS = MEL_LEAD_FRAMES * MEL_BINS_PER_FRAME
MEL_TAIL_BINS = MEL_WINDOW_BINS - MEL_BINS_PER_FRAME
"""Bins of the padded mel beyond four a frame, so that the last frame's window is whole."""
LEAST_SPEECH_S = 0.2
"""One mel window."""
LEAST_SPEECH_SAMPLES = exact_div(SAMPLE_RATE_HZ, 5)


def count_frames(num_samples: int) -> int:
    """Counts the frames of a film as long as `num_samples` at 16 kHz: floor(25 n / 16000 + 1/2)."""
    return (2 * num_samples + SAMPLES_PER_FRAME) // (2 * SAMPLES_PER_FRAME)


def count_frames_between(start: Fraction, end: Fraction) -> int:
    """Counts the frames of a film from `start` to `end` seconds, rounded to the nearest, halves up."""
    return max(0, math.floor((end - start) * FRAME_RATE + Fraction(1, 2)))


def count_samples(num_frames: int) -> int:
    """Counts the 16 kHz samples that `num_frames` frames last."""
    return num_frames * SAMPLES_PER_FRAME


def count_padded_bins(num_frames: int) -> int:
    """Counts the bins of the padded mel of `num_frames` frames."""
    return num_frames * MEL_BINS_PER_FRAME + MEL_TAIL_BINS


def count_whole_windows(num_bins: int) -> int:
    """Counts the mel windows, one each four bins from bin 0 on, that lie wholly inside a mel spectrogram.

    For a plain (unpadded) mel this is the published code's number of frames.
    """
    return max(0, (num_bins - MEL_TAIL_BINS) // MEL_BINS_PER_FRAME)


def frame_time_s(frame: int) -> float:
    """Gives the time in seconds at which a frame is shown."""
    return frame / FRAME_RATE


def window_bins(frame: int) -> slice:
    """Gives the bins of the padded mel that belong to a frame."""
    first = frame * MEL_BINS_PER_FRAME
    return slice(first, first + MEL_WINDOW_BINS)


def nearest_index(time_s: float | Fraction, rate_hz: int | Fraction) -> int:
    """Gives the sample or frame nearest to a time, halves up."""
    return math.floor(Fraction(time_s) * rate_hz + Fraction(1, 2))


def resampled_count(count: int, from_hz: int, to_hz: int) -> int:
    """Counts the samples that `count` samples at one rate make at another, rounded to the nearest, halves up."""
    return (2 * count * to_hz + from_hz) // (2 * from_hz)


def bounce_index(t: int, n: int) -> int:
    """Walks to and fro over n frames for ever: 0 .. n-1 .. 1, 0 ..

    The end frames are not doubled (the published code doubles them, which makes the head halt for a frame).

    Args:
        t: Step, 0 or more.
        n: Number of frames, 1 or more; with one frame the answer is always 0.
    """
    if n == 1:
        return 0
    period = 2 * (n - 1)
    return (n - 1) - abs(t % period - (n - 1))


def doubling_bounce_index(t: int, n: int) -> int:
    """Walks to and fro as the published code does, each end frame twice: 0 .. n-1, n-1 .. 0, 0 ..

    Args:
        t: Step, 0 or more.
        n: Number of frames, 1 or more.
    """
    place = t % (2 * n)
    return min(place, 2 * n - 1 - place)


def check_range(start_s: float, end_s: float | None) -> None:
    """Refuses a range that runs backwards.

    Raises:
        InputError: The start is negative or not a number, or the end is not after the start.
    """
    if not (math.isfinite(start_s) and start_s >= 0):
        raise InputError(f"the start of {start_s} s cannot be used; give seconds from 0 on")
    if end_s is not None and not (math.isfinite(end_s) and end_s > start_s):
        raise InputError(f"the end of {end_s} s is not after the start of {start_s} s; give a later end")


def resample_nearest(
    timed: Iterable[tuple[Fraction, Fraction, Item]], start: Fraction = Fraction(0), end: Fraction | None = None
) -> Iterator[Item]:
    """Lays items with times of their own on the 25 fps grid, each grid time taking the item nearest to it.

    Works as a stream: holds one item, and those of the last 20 ms. A grid time halfway between two items
    takes the earlier. Before the first item the grid shows the first. An item that is not later than the one
    before it is left out. Gives `count_frames_between(start, end of the last item)` items, and at least one
    when any item lasts beyond `start`.

    Args:
        timed: (time shown, time its showing ends, item), in seconds, in order of time.
        start: Time of the first grid point.
        end: No grid point lies after the frame that ends nearest to this time.
    """
    grid: _Grid[Item] = _Grid(start)
    held: tuple[Fraction, Fraction, Item] | None = None
    for shown, until, item in timed:
        if held is not None and shown <= held[0]:
            continue
        if held is not None:
            certain = count_frames_between(start, shown if end is None else min(shown, end))
            yield from grid.take((held[0] + shown) / 2, held[2], certain)
        held = shown, max(shown, until), item
        if end is not None and shown >= end:
            break
    if held is None:
        return
    last = held[1] if end is None else min(held[1], end)
    total = max(count_frames_between(start, last), int(last > start))
    yield from grid.take(start + (total - 1) * FRAME_S, held[2], total)


class _Grid(Generic[Item]):
    """The grid of `resample_nearest` as far as it has been filled.

    A grid point is given out only once the source is known to last to the middle of its frame: a source of 240
    fps may end before that though the nearest item is already known.
    """

    def __init__(self, start: Fraction) -> None:
        self._start = start
        self._step = 0
        self._chosen: deque[tuple[int, Item]] = deque()

    def take(self, latest: Fraction, item: Item, certain: int) -> Iterator[Item]:
        """Fills the points up to `latest` with an item; gives out what lies among the first `certain` points."""
        while self._start + self._step * FRAME_S <= latest:
            self._chosen.append((self._step, item))
            self._step += 1
            yield from self._release(certain)
        yield from self._release(certain)

    def _release(self, certain: int) -> Iterator[Item]:
        while self._chosen and self._chosen[0][0] < certain:
            yield self._chosen.popleft()[1]
