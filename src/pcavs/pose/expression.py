"""What a face does besides speaking and turning: lids, gaze, brows, cheeks and smile, as readable numbers over time.

An expression track has one row for each frame, 25 a second, and the columns of `COLUMNS`. All are changes from the
photograph's own face, so a row of zeros is the photograph. "Left" and "right" are the picture's.

| column | unit | above 0 |
|---|---|---|
| left_lid, right_lid | share, -1 to 1 | closes: 1 is shut, -1 wide open |
| gaze_yaw | degrees in the head | the eyes turn to the picture's right |
| gaze_pitch | degrees in the head | they look up |
| left_brow, right_brow | share, -1 to 1 | raises the brow: 1 is a centimetre of an average face |
| frown | share, 0 to 1 | draws the inner ends of the brows together and down |
| cheeks | share, 0 to 1 | raises cheeks and lower lids, as in a squint or a broad smile |
| smile | share, -0.5 to 1 | draws the corners of the mouth out and up; below 0, down |
"""

from typing import Final, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from pcavs.errors import InputError

COLUMNS: Final = (
    "left_lid",
    "right_lid",
    "gaze_yaw",
    "gaze_pitch",
    "left_brow",
    "right_brow",
    "frown",
    "cheeks",
    "smile",
)
"""Names of a track's columns."""
LEFT_LID, RIGHT_LID, GAZE_YAW, GAZE_PITCH, LEFT_BROW, RIGHT_BROW, FROWN, CHEEKS, SMILE = range(len(COLUMNS))
LOWEST: Final = np.array([-1.0, -1.0, -35.0, -25.0, -1.0, -1.0, 0.0, 0.0, -0.5])
"""Smallest value of each column."""
HIGHEST: Final = np.array([1.0, 1.0, 35.0, 25.0, 1.0, 1.0, 1.0, 1.0, 1.0])
"""Largest value of each column."""
LIDS: Final = slice(LEFT_LID, RIGHT_LID + 1)
GAZE: Final = slice(GAZE_YAW, GAZE_PITCH + 1)
BROWS: Final = slice(LEFT_BROW, FROWN + 1)
_GAZE_NAMES: Final = ("yaw", "pitch")
_LID_FOLLOWS: Final = (1.0, 3.0)
"""Lid closure for the sine of a gaze downwards, and opening for that of one upwards: the upper lid goes with the iris.
Chosen by eye."""
UNSEEN_CLOSURE: Final = 0.45
"""Closure from which the iris is not seen. Lids that close further, for a short time, blink."""
BLINK_FRAMES, BLINK_SIDE_FRAMES = 10, 2
"""Longest such closure that is a blink, and frames beside it in which the lids move as well."""

ExpressionTrack: TypeAlias = Float[np.ndarray, "_ 9"]
"""Values of `COLUMNS`, one row for each frame."""
ExpressionRow: TypeAlias = Float[np.ndarray, "9"]
"""One row of an expression track."""


def neutral(num_frames: int) -> ExpressionTrack:
    """Returns the track of a face that stays as it is in the photograph."""
    return np.zeros((num_frames, len(COLUMNS)))


def limited(track: ExpressionTrack) -> ExpressionTrack:
    """Limits each column to what a face can do."""
    return track.clip(LOWEST, HIGHEST)


def parse_gaze(text: str) -> tuple[float, float]:
    """Reads a gaze, `10,-5` or `yaw=10,pitch=-5`: degrees to the picture's right, and up.

    Raises:
        InputError: It is no such text, or outside of what eyes can do.
    """
    words = [word.strip() for word in text.split(",")]
    named = dict(word.split("=", 1) for word in words if "=" in word)
    if not named:
        named = dict(zip(_GAZE_NAMES, words, strict=False)) if len(words) == len(_GAZE_NAMES) else {"": ""}
    elif len(named) < len(words):
        named = {"": ""}
    values = [0.0, 0.0]
    for name, value in named.items():
        try:
            values[_GAZE_NAMES.index(name.strip())] = float(value)
        except ValueError as error:
            raise InputError(f"a gaze of {text} cannot be read; give two numbers such as 10,-5") from error
    for name, value, most in zip(_GAZE_NAMES, values, HIGHEST[GAZE].tolist(), strict=True):
        if not abs(value) <= most:
            raise InputError(f"a gaze {name} of {value:g} degrees cannot be used; give {-most:g} to {most:g}")
    return values[0], values[1]


def gaze_lids(gaze_pitch_deg: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
    """Returns the closure of the lids that goes with a gaze up or down: lids follow the iris."""
    sine = np.sin(np.radians(gaze_pitch_deg))
    down, up = _LID_FOLLOWS
    return np.where(sine < 0, -down * sine, -up * sine).clip(-1, 1)


def add_blinks(
    lids: Float[np.ndarray, "*time 2"], closure: Float[np.ndarray, "*time #2"]
) -> Float[np.ndarray, "*time 2"]:
    """Adds blinks to the closure of both lids; a blink shuts eyes however wide they are."""
    return closure + (1 - closure) * lids


def joined_lids(one: Float[np.ndarray, "time 2"], other: Float[np.ndarray, "#time #2"]) -> Float[np.ndarray, "time 2"]:
    """Adds two closures of the lids; what one of them shuts stays shut, however wide the other opens."""
    return one + other - np.where(np.maximum(one, other) > 0, one * other, 0.0)


def split_blinks(
    lids: Float[np.ndarray, "time 2"],
) -> tuple[Float[np.ndarray, "time 2"], Float[np.ndarray, "time 2"]]:
    """Tells short closures, blinks and winks, from how far the lids are closed otherwise.

    Returns:
        Closure without blinks, and that of the blinks, 0 to 1; `add_blinks` joins them again.
    """
    rest = lids.copy()
    frames = np.arange(len(lids))
    for side in range(2):
        is_known = np.ones(len(lids), bool)
        for first, stop in _runs(lids[:, side] >= UNSEEN_CLOSURE):
            if stop - first <= BLINK_FRAMES:
                is_known[max(0, first - BLINK_SIDE_FRAMES) : stop + BLINK_SIDE_FRAMES] = False
        if is_known.any() and not is_known.all():
            between = np.interp(frames, frames[is_known], lids[is_known, side])
            rest[:, side] = np.minimum(between, lids[:, side])
    # Where nothing is left to close (rest is 1) there is no blink.
    return rest, (lids - rest) / np.maximum(1 - rest, 1e-9)


def whole_runs(blinks: Float[np.ndarray, "time 2"], num_frames: int) -> Float[np.ndarray, "time 2"]:
    """Keeps the blinks that begin in the first frames, each to its end, and removes the later ones."""
    kept = blinks.copy()
    for side in range(blinks.shape[1]):
        for first, stop in _runs(blinks[:, side] > 0):
            if first >= num_frames:
                kept[first:stop, side] = 0.0
    return kept


def _runs(mask: Bool[np.ndarray, " time"]) -> Int[np.ndarray, "runs 2"]:
    """Returns first and stop of each run of frames in which a mask is set."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return edges.reshape(-1, 2)
