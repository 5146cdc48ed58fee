"""Measures what faces in videos do besides speaking and turning, from landmarks, and converts it into expressions.

Measurements are rows of `COLUMNS`, in the head's own frame, so that a turned head measures alike. They are the person's
own; `to_expression` compares them with the person's neutral face, the median of the clip, because faces differ.
"""

from typing import Final

import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.pose import head_frame
from pcavs.face.regions import INNER_LIPS, mouth_opening
from pcavs.pose import expression
from pcavs.pose.expression import ExpressionTrack
from pcavs.pose.track import FaceRows, smoothed
from pcavs.spec import FRAME_RATE

COLUMNS: Final = (
    "left_opening",
    "right_opening",
    "gaze_yaw",
    "gaze_pitch",
    "left_brow",
    "right_brow",
    "brow_gap",
    "mouth_width",
    "mouth_corners",
    "mouth_opening",
)
"""Gap of the lids over the width of the eye (twice); gaze in the head in degrees (twice); height of the brows above the
corners of the eyes, and the gap between them, in centimetres of an average head; distance of the corners of the mouth,
and their height above its middle, in the same; mouth opening (`face.regions.mouth_opening`)."""
(
    LEFT_OPENING,
    RIGHT_OPENING,
    YAW,
    PITCH,
    LEFT_BROW,
    RIGHT_BROW,
    BROW_GAP,
    MOUTH_WIDTH,
    MOUTH_CORNERS,
    MOUTH_OPENING,
) = range(len(COLUMNS))

_EYES: Final = (
    ((33, 133), (159, 145), (160, 144), (158, 153), 468),
    ((362, 263), (386, 374), (385, 380), (387, 373), 473),
)
"""For each eye: its corners, three pairs of lids' points, and the centre of the iris."""
_BROWS: Final = ((105, 66, 63, 52, 65), (334, 296, 293, 282, 295))
_BROW_ENDS: Final = ((55, 107), (285, 336))
"""Landmarks along the brows, and of their inner ends."""
_EYEBALL_CM: Final = 1.2
"""Radius of the eyeball."""
_LEVEL_CM: Final = -0.25
"""Height of the centre of the iris below the middle of the corners, for a gaze straight ahead: the median over 72
photographs whose heads face the camera within 6 degrees; it differs by 0.06 between people."""

_NEUTRAL_OPENING_PERCENTILE: Final = 70
"""Percentile of the lids' gap in a clip that counts as the person's neutral: blinks and looks down are below."""
_SHUT: Final = 0.15
"""Gap of shut lids, relative to the neutral one: landmarks of shut lids nearly meet."""
_OPENING_DEAD: Final = 0.08
"""Change of the gap, relative to the neutral one, up to which lids count as neutral: their landmarks jitter."""
_WIDE: Final = 0.09
"""Gap, in eye widths, that fully widened eyes add; see `head.eyeball`."""
_WINK: Final = 0.2
"""Half the difference of both closures from which on it is a wink."""
_BROW_CM, _FROWN_CM = 1.0, 0.64
"""Motion of a brow, and of the gap between both, that is an expression of 1; see `head.expression`."""
_SMILE_CM: Final = (1.24, 0.42)
"""The same of the width of the mouth, and of the height of its corners."""
_SMILE_DEAD: Final = 0.15
"""Smile up to which a mouth counts as neutral: speech changes it by as much."""
_BROW_SMOOTHING_S, _SMILE_SMOOTHING_S, _GAZE_SMOOTHING_S = 0.16, 0.6, 0.06
"""Full widths at half maximum of the Gaussians over brows, smile and gaze. Blinks are not smoothed."""


def measure_face(meshes: Float32[np.ndarray, "time 478 3"]) -> Float32[np.ndarray, "time 10"]:
    """Measures faces from their landmarks; rows of `COLUMNS`."""
    heads = head_frame(meshes).astype(np.float64)
    rows = np.zeros((len(meshes), len(COLUMNS)))
    offsets = []
    level = heads[:, [33, 133, 362, 263], 1].mean(axis=1)
    for side, (corners, *gaps, iris) in enumerate(_EYES):
        ends = heads[:, corners]
        width = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=-1)
        gap = np.mean([heads[:, lower, 1] - heads[:, upper, 1] for upper, lower in gaps], axis=0)
        rows[:, LEFT_OPENING + side] = gap / np.maximum(width, 1e-3)
        offsets.append(heads[:, iris, :2] - ends[..., :2].mean(axis=1))
        rows[:, LEFT_BROW + side] = level - heads[:, _BROWS[side], 1].mean(axis=1)
    offset = np.mean(offsets, axis=0) - (0.0, _LEVEL_CM)
    rows[:, YAW : PITCH + 1] = np.degrees(np.arcsin((offset * (1, -1) / _EYEBALL_CM).clip(-0.9, 0.9)))
    ends = [heads[:, points].mean(axis=1) for points in _BROW_ENDS]
    rows[:, BROW_GAP] = ends[1][:, 0] - ends[0][:, 0]
    rows[:, MOUTH_WIDTH] = heads[:, 291, 0] - heads[:, 61, 0]
    rows[:, MOUTH_CORNERS] = heads[:, list(INNER_LIPS), 1].mean(axis=1) - heads[:, [61, 291], 1].mean(axis=1)
    rows[:, MOUTH_OPENING] = mouth_opening(meshes)
    return rows.astype(np.float32)


def neutral_face(rows: FaceRows) -> Float[np.ndarray, "10"]:
    """Returns the neutral face of a clip: medians; of the lids a higher percentile."""
    neutral = np.median(rows, axis=0)
    openings = slice(LEFT_OPENING, RIGHT_OPENING + 1)
    # Both eyes alike: of an eye that is hidden or winks for long, the percentile is no neutral.
    neutral[openings] = np.percentile(rows[:, openings], _NEUTRAL_OPENING_PERCENTILE, axis=0).max()
    return neutral


def to_expression(rows: FaceRows) -> ExpressionTrack:
    """Converts a clip's measurements into an expression track; gaze is absolute, everything else relative to neutral.

    The gaze is that in the head, 0 straight ahead.
    """
    rows = rows.astype(np.float64)
    neutral = neutral_face(rows)
    track = expression.neutral(len(rows))
    for side in range(2):
        track[:, expression.LEFT_LID + side] = _closure(rows[:, LEFT_OPENING + side], neutral[LEFT_OPENING + side])
    track[:, expression.LIDS] = _together(track[:, expression.LIDS])
    seen = track[:, expression.LIDS].max(axis=1) < expression.UNSEEN_CLOSURE
    gaze = rows[:, YAW : PITCH + 1]
    if seen.any():
        frames = np.arange(len(rows))
        gaze = np.stack([np.interp(frames, frames[seen], column[seen]) for column in gaze.T], axis=1)
    track[:, expression.GAZE] = smoothed(gaze, _GAZE_SMOOTHING_S, FRAME_RATE)
    rows = _without_blinks(rows, track[:, expression.LIDS].min(axis=1))
    brows = np.column_stack(
        [
            (rows[:, LEFT_BROW : RIGHT_BROW + 1] - neutral[LEFT_BROW : RIGHT_BROW + 1]) / _BROW_CM,
            (neutral[BROW_GAP] - rows[:, BROW_GAP]) / _FROWN_CM,
        ]
    )
    track[:, expression.BROWS] = smoothed(brows, _BROW_SMOOTHING_S, FRAME_RATE)
    mouth = (rows[:, MOUTH_WIDTH : MOUTH_CORNERS + 1] - neutral[MOUTH_WIDTH : MOUTH_CORNERS + 1]) / _SMILE_CM
    smile = smoothed(mouth.mean(axis=1, keepdims=True), _SMILE_SMOOTHING_S, FRAME_RATE)[:, 0]
    track[:, expression.SMILE] = np.sign(smile) * (np.abs(smile) - _SMILE_DEAD).clip(0)
    return expression.limited(track)


def _without_blinks(
    rows: Float[np.ndarray, "time 10"], closure: Float[np.ndarray, " time"]
) -> Float[np.ndarray, "time 10"]:
    """Interpolates the brows over blinks, in which the landmarks of brows move up although brows do not.

    Longer closures are kept: brows do move while eyes are shut.
    """
    blinks = closure >= expression.UNSEEN_CLOSURE
    edges = np.flatnonzero(np.diff(np.concatenate([[0], blinks.astype(np.int8), [0]])))
    is_known = np.ones(len(rows), bool)
    for first, stop in edges.reshape(-1, 2):
        if stop - first <= expression.BLINK_FRAMES:
            is_known[max(0, first - expression.BLINK_SIDE_FRAMES) : stop + expression.BLINK_SIDE_FRAMES] = False
    if is_known.all() or not is_known.any():
        return rows
    rows, frames = rows.copy(), np.arange(len(rows))
    for column in range(LEFT_BROW, BROW_GAP + 1):
        rows[:, column] = np.interp(frames, frames[is_known], rows[is_known, column])
    return rows


def _together(lids: Float[np.ndarray, "time 2"]) -> Float[np.ndarray, "time 2"]:
    """Closes both lids alike, except in winks: landmarks of the two eyes of a turned head differ by chance."""
    mean, half = lids.mean(axis=1), (lids[:, 1] - lids[:, 0]) / 2
    half = np.sign(half) * (2 * (np.abs(half) - _WINK).clip(0)).clip(max=0.5)
    return np.stack([mean - half, mean + half], axis=1)


def _closure(opening: Float[np.ndarray, " time"], neutral: float) -> Float[np.ndarray, " time"]:
    """Converts the gap of the lids into their closure: 0 neutral, 1 shut, below 0 wide."""
    neutral = max(neutral, 1e-3)
    change = opening / neutral - 1
    change = np.sign(change) * (np.abs(change) - _OPENING_DEAD).clip(0)
    return np.where(change < 0, -change / (1 - _SHUT - _OPENING_DEAD), -change * neutral / _WIDE).clip(-1, 1)
