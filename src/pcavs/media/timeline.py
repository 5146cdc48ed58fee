"""Converts between seconds, frames, samples and mel bins; no other module does (docs/decisions/0002).

Frame k is shown at k/25 s. Its mel window is the 20 bins of the padded mel spectrogram from bin 4 k on. Times are exact
`Fraction`s wherever they come from a file.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Final, Generic, TypeVar

from pcavs.errors import InputError
from pcavs.spec import (
    FRAME_RATE,
    MEL_BINS_PER_FRAME,
    MEL_WINDOW_BINS,
    SAMPLE_RATE_HZ,
    SAMPLES_PER_FRAME,
    FeatureSpec,
    exact_div,
)

Item = TypeVar("Item")

FRAME_S: Final = Fraction(1, FRAME_RATE)
"""Duration of a frame, in seconds."""
MEL_LEAD_FRAMES: Final = 2
"""A frame's mel window begins two frames before it (published code: `mel[4 * (i - 2):][:20]`)."""
PUBLISHED_LEAD_FRAMES: Final = 2
"""The first film frame of the published code belongs to frame 2 of the sound."""
MEL_LEAD_BINS: Final = MEL_LEAD_FRAMES * MEL_BINS_PER_FRAME
"""Bins of silence in front of the padded mel."""
MEL_TAIL_BINS: Final = MEL_WINDOW_BINS - MEL_BINS_PER_FRAME
"""Bins of the padded mel beyond four for each frame, so that the last frame's window is complete."""
MIN_SPEECH_S: Final = 0.2
"""Shortest speech that is accepted: one mel window."""
MIN_SPEECH_SAMPLES: Final = exact_div(SAMPLE_RATE_HZ, 5)
"""`MIN_SPEECH_S` at 16 kHz."""


def count_frames(num_samples: int) -> int:
    """Returns the number of frames of a film as long as `num_samples` at 16 kHz: floor(25 n / 16000 + 1/2)."""
    return (2 * num_samples + SAMPLES_PER_FRAME) // (2 * SAMPLES_PER_FRAME)


def count_frames_between(start: Fraction, end: Fraction) -> int:
    """Returns the number of frames from `start` to `end` seconds, rounded to the nearest, halves up; at least 0."""
    return max(0, math.floor((end - start) * FRAME_RATE + Fraction(1, 2)))


def count_samples(num_frames: int) -> int:
    """Returns the number of samples at 16 kHz that `num_frames` frames last."""
    return num_frames * SAMPLES_PER_FRAME


def count_padded_bins(num_frames: int) -> int:
    """Returns the number of bins of the padded mel of `num_frames` frames."""
    return num_frames * MEL_BINS_PER_FRAME + MEL_TAIL_BINS


def count_whole_windows(num_bins: int) -> int:
    """Returns the number of mel windows, one every four bins from bin 0 on, that fit into a mel spectrogram.

    For an unpadded mel this is the published code's number of frames.
    """
    return max(0, (num_bins - MEL_TAIL_BINS) // MEL_BINS_PER_FRAME)


def frame_time_s(frame: int) -> float:
    """Returns the time at which a frame is shown, in seconds."""
    return frame / FRAME_RATE


def window_bins(frame: int) -> slice:
    """Returns the bins of the padded mel that are the window of a frame."""
    first = frame * MEL_BINS_PER_FRAME
    return slice(first, first + MEL_WINDOW_BINS)


def count_groups(num_frames: int, spec: FeatureSpec) -> int:
    """Returns the number of groups that hold `num_frames` frames; the last one may hold fewer than the others."""
    return -(-num_frames // spec.hop_frames)


def group_samples(group: int, spec: FeatureSpec) -> range:
    """Returns the samples of the window from which the features of a group of frames are computed.

    Group g holds the frames from g h to (g + 1) h - 1, with h = `spec.hop_frames`. Frame k is centred at sample 640 k.
    The window ends before sample 640 ((g + 1) h + `look_ahead_frames`), which is `look_ahead_frames` + 1 frames after
    the group's last frame is shown. It may begin below 0 and end after the sound.
    """
    stop = count_samples((group + 1) * spec.hop_frames + spec.look_ahead_frames)
    return range(stop - spec.window_samples, stop)


def nearest_index(time_s: float | Fraction, rate_hz: int | Fraction) -> int:
    """Returns the index of the sample or frame nearest to a time, halves up.

    Args:
        time_s: Time in seconds.
        rate_hz: Samples or frames a second.
    """
    return math.floor(Fraction(time_s) * rate_hz + Fraction(1, 2))


def resampled_count(count: int, from_hz: int, to_hz: int) -> int:
    """Returns how many samples `count` samples become at another rate, rounded to the nearest, halves up."""
    return (2 * count * to_hz + from_hz) // (2 * from_hz)


def bounce_index(t: int, n: int) -> int:
    """Maps step `t` to one of n frames that are played forwards and backwards in turn: 0 .. n-1 .. 1, 0 ..

    The end frames are not repeated; the published code repeats them, which stops the head for a frame.

    Args:
        t: Step, 0 or more.
        n: Number of frames, 1 or more; with one frame the result is always 0.
    """
    if n == 1:
        return 0
    period = 2 * (n - 1)
    return (n - 1) - abs(t % period - (n - 1))


def doubling_bounce_index(t: int, n: int) -> int:
    """Maps step `t` to a frame as the published code does, each end frame twice: 0 .. n-1, n-1 .. 0, 0 ..

    Args:
        t: Step, 0 or more.
        n: Number of frames, 1 or more.
    """
    phase = t % (2 * n)
    return min(phase, 2 * n - 1 - phase)


def parse_time(text: str) -> float:
    """Reads a time as seconds (62.5) or with minutes and hours (1:02.5, 1:01:02.5).

    Returns:
        Seconds.

    Raises:
        ValueError: It is neither; minutes and seconds after a colon are below 60.
    """
    *larger, last = text.strip().split(":")
    seconds = float(last)
    if not larger:
        return seconds
    numbers = [int(each) for each in larger]
    if len(numbers) > 2 or min(numbers) < 0 or not 0 <= seconds < 60 or max(numbers[1:], default=0) >= 60:
        raise ValueError(text)
    for power, number in enumerate(reversed(numbers), start=1):
        seconds += number * 60**power
    return seconds


def check_range(start_s: float, end_s: float | None) -> None:
    """Checks a time range.

    Raises:
        InputError: The start is negative or not finite, or the end is not after the start.
    """
    if not (math.isfinite(start_s) and start_s >= 0):
        raise InputError(f"a start of {start_s} s cannot be used; give seconds from 0 on")
    if end_s is not None and not (math.isfinite(end_s) and end_s > start_s):
        raise InputError(f"the end of {end_s} s is not after the start of {start_s} s; give a later end")


def resample_nearest(
    timed: Iterable[tuple[Fraction, Fraction, Item]], start: Fraction = Fraction(0), end: Fraction | None = None
) -> Iterator[Item]:
    """Resamples timed items to 25 a second: each output time takes the item that is nearest in time.

    An output time halfway between two items takes the earlier one; output times before the first item take the first.
    An item that is not later than the one before it is skipped. The result has `count_frames_between(start, end of the
    last item)` items, and at least one if any item lasts beyond `start`. It is a stream: one item is held, and the
    outputs of the last 20 ms.

    Args:
        timed: (time shown, time at which its display ends, item), in seconds, in order of time.
        start: Output time of the first frame, in seconds.
        end: Time in seconds at which the output ends, rounded to the nearest frame; None is the end of the last item.
    """
    output: _OutputFrames[Item] = _OutputFrames(start)
    held: tuple[Fraction, Fraction, Item] | None = None
    for shown, until, item in timed:
        if held is not None and shown <= held[0]:
            continue
        if held is not None:
            # Damaged files have times of years; no frame after the end is counted up to.
            middle, known = (each if end is None else min(each, end) for each in ((held[0] + shown) / 2, shown))
            yield from output.assign(middle, held[2], count_frames_between(start, known))
        held = shown, max(shown, until), item
        if end is not None and shown >= end:
            break
    if held is None:
        return
    last = held[1] if end is None else min(held[1], end)
    total = max(count_frames_between(start, last), int(last > start))
    yield from output.assign(start + (total - 1) * FRAME_S, held[2], total)


class _OutputFrames(Generic[Item]):
    """The output frames of `resample_nearest` that have an item but have not been returned yet.

    A frame is returned only once the source is known to last to the middle of that frame: a source of 240 frames a
    second may end earlier, although the nearest item is already known.
    """

    def __init__(self, start: Fraction) -> None:
        self._start = start
        self._step = 0
        self._chosen: deque[tuple[int, Item]] = deque()

    def assign(self, latest: Fraction, item: Item, certain: int) -> Iterator[Item]:
        """Assigns an item to the frames up to time `latest`; yields those among the first `certain` frames."""
        while self._start + self._step * FRAME_S <= latest:
            self._chosen.append((self._step, item))
            self._step += 1
            yield from self._release(certain)
        yield from self._release(certain)

    def _release(self, certain: int) -> Iterator[Item]:
        while self._chosen and self._chosen[0][0] < certain:
            yield self._chosen.popleft()[1]
