"""Generates natural motion from speech: sways and nods, raised brows, glances and blinks, as the preset `natural`.

It is a model, not a trained network: rates and sizes are those that were measured on clips of three people who speak to
a camera (docs/measurements.md), and the rules say where each happens. Heads sway all the time and nod a little on some
of the loudest syllables; brows rise on a few of these, a little earlier; eyes stay on the camera while the head sways,
glance aside now and then, longer in pauses; lids blink in pauses and with large glances.
"""

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from pcavs.numeric import smoothstep
from pcavs.pose import expression
from pcavs.pose.expression import ExpressionTrack
from pcavs.pose.presets import (
    PITCH,
    ROLL,
    START_S,
    YAW,
    Rhythm,
    beats,
    nod_bump,
    wander,
)
from pcavs.pose.track import HeadTrack, still
from pcavs.spec import FRAME_RATE

BLINK: Final = (0.4, 0.9, 1.0, 0.8, 0.5, 0.2)
"""Eyelid closure in the frames of a blink: 80 ms down, 160 ms up.
Reference: VanderWerf et al., Eyelid movements, J. Neurophysiol. 2003."""

SWAY: Final = (
    (YAW, 3.6, 3.6),
    (YAW, 0.5, 2.8),
    (YAW, 0.28, 1.4),
    (PITCH, 3.1, 4.0),
    (PITCH, 0.55, 4.2),
    (PITCH, 0.3, 0.8),
    (ROLL, 4.2, 3.4),
    (ROLL, 0.7, 1.6),
)
"""Random motion: column, period in seconds, largest angle in degrees. Set to the deviation and, a little calmer, to the
power below 0.5, 1 and 2 Hz of speakers (`benchmarks/measure_life.py`)."""
NOD_SHARE: Final = 0.45
"""Share of the beats of the speech with a nod."""
NOD_DEG: Final = (0.5, 1.0)
"""Depth of a nod: the constant part, and what full loudness adds."""
NOD_FRAMES: Final = 14
"""Length of a nod."""
BROW_SHARE: Final = 0.22
"""Share of the beats with raised brows."""
BROW: Final = (0.15, 0.3)
"""How far they are raised: the constant part, and what full loudness adds."""
BROW_FRAMES, _BROW_LEAD_FRAMES = 18, 3
"""Length of such a raise, and how much earlier than the beat it is highest."""
FIXATION_S: Final = (0.5, 0.9)
"""Shortest time between two glances, and the mean of the further, exponential time: 0.7 glances a second."""
GLANCE_DEG: Final = (1.6, 1.1)
"""Standard deviations of small glances, to the side and up or down."""
AVERT_SHARE: Final = 0.12
"""Share of the glances in speech that look away."""
AVERT_IN_PAUSE: Final = 0.4
"""The same in pauses."""
AVERT_DEG: Final = ((7.0, 13.0), (-5.0, 6.0))
"""Range of these to a side, and up or down."""
_SACCADE_FRAMES: Final = 2
"""Frames in which the eyes get there."""
SACCADE_DEG: Final = 9.0
"""Largest step of the eyes in a frame, where they do not know where they will look: two frames for large glances."""
BLINK_S: Final = (1.0, 1.5)
"""Shortest time between two blinks, and the mean of the further, exponential time: about 24 a minute."""
PAUSE_RHYTHM: Final = 0.2
"""Rhythm below which a moment counts as a pause."""
LISTENING_FRAMES: Final = 25
"""Pause after which the person listens instead, and looks away no more often than in speech."""
BLINK_REACH_FRAMES: Final = 12
"""How far a blink moves to reach a pause or a large glance."""
LARGE_GLANCE_DEG: Final = 6.0
"""Glance with which people blink."""


class Life(NamedTuple):
    """Natural motion of a film."""

    head: HeadTrack
    """Angles relative to the photograph's own."""
    open_face: ExpressionTrack
    """Brows and gaze, and lids that follow the gaze but do not blink."""
    blinks: Float[np.ndarray, " time"]
    """Closure of the lids by blinks, 0 to 1."""

    @property
    def expression(self) -> ExpressionTrack:
        """Brows, gaze, and lids that blink."""
        face = self.open_face.copy()
        face[:, expression.LIDS] = expression.add_blinks(face[:, expression.LIDS], self.blinks[:, None])
        return face


def natural(rhythm: Rhythm, seed: int) -> Life:
    """Generates natural motion, as long as the rhythm; equal seeds give equal motion.

    Args:
        rhythm: Loudness of the speech in each frame, 0 to 1.
        seed: Seed of the random numbers.
    """
    num_frames = len(rhythm)
    head_rng, face_rng, eye_rng = (np.random.default_rng((seed, 0x11FE, part)) for part in range(3))
    head, face = still(num_frames), expression.neutral(num_frames)
    for column, period_s, size_deg in SWAY:
        head[:, column] += wander(num_frames, period_s, size_deg, head_rng)
    for beat in beats(rhythm):
        loud = float(rhythm[beat])
        if head_rng.random() < NOD_SHARE:
            _add(head[:, PITCH], beat, -(NOD_DEG[0] + NOD_DEG[1] * loud) * nod_bump(NOD_FRAMES))
        if face_rng.random() < BROW_SHARE:
            raised = (BROW[0] + BROW[1] * loud) * nod_bump(BROW_FRAMES)
            for column in (expression.LEFT_BROW, expression.RIGHT_BROW):
                _add(face[:, column], beat - _BROW_LEAD_FRAMES, raised)
    head *= smoothstep((np.arange(num_frames) / FRAME_RATE / START_S).clip(max=1))[:, None]
    glances, moments = _glances(rhythm, eye_rng)
    face[:, expression.GAZE] = glances - head[:, :2]
    face[:, expression.LIDS] += expression.gaze_lids(face[:, expression.GAZE_PITCH])[:, None]
    return Life(head, expression.limited(face), _blinks(rhythm, moments, eye_rng).astype(np.float64))


def _add(column: Float[np.ndarray, " time"], at: int, bump: Float[np.ndarray, " length"]) -> None:
    """Adds a bump whose middle is at a frame; what is outside is cut off."""
    frames = np.arange(len(bump)) + at - len(bump) // 2
    inside = (frames >= 0) & (frames < len(column))
    column[frames[inside]] += bump[inside]


def _glances(rhythm: Rhythm, rng: np.random.Generator) -> tuple[Float[np.ndarray, "time 2"], list[int]]:
    """Draws where the eyes look, in degrees from the camera, and the frames of large glances."""
    track, large = np.zeros((len(rhythm), 2)), list[int]()
    at, aim, is_away = 0, np.zeros(2), False
    while at < len(rhythm):
        hold = round((FIXATION_S[0] + rng.exponential(FIXATION_S[1])) * FRAME_RATE)
        end = min(at + hold, len(rhythm))
        track[at:end] = aim
        is_pause = end < len(rhythm) and rhythm[end] < PAUSE_RHYTHM
        if is_pause and rhythm[max(0, end - LISTENING_FRAMES) : end + 1].max() < PAUSE_RHYTHM:
            is_pause = False  # who listens looks at the speaker
        share = AVERT_IN_PAUSE if is_pause else AVERT_SHARE
        before = aim
        aim, is_away = draw_glance(rng, share, is_away=is_away)
        if np.hypot(*(aim - before)) > LARGE_GLANCE_DEG:
            large.append(end)
        at = max(end, at + 1)
    kernel = np.ones(_SACCADE_FRAMES) / _SACCADE_FRAMES
    padded = np.pad(track, ((_SACCADE_FRAMES - 1, 0), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel, "valid") for column in padded.T], axis=1), large


def draw_glance(rng: np.random.Generator, share: float, *, is_away: bool) -> tuple[Float[np.ndarray, "2"], bool]:
    """Draws where the eyes look next, in degrees from the camera, and whether that is away from it.

    Args:
        rng: Random numbers.
        share: Share of the glances that look away.
        is_away: Whether the eyes look away now; then they come back.
    """
    if not is_away and rng.random() < share:
        side = rng.choice([-1.0, 1.0]) * rng.uniform(*AVERT_DEG[0])
        return np.array([side, rng.uniform(*AVERT_DEG[1])]), True
    return rng.normal(0, GLANCE_DEG), False


def _blinks(rhythm: Rhythm, large: list[int], rng: np.random.Generator) -> Float32[np.ndarray, " time"]:
    """Draws blinks, each moved to a large glance or to the quietest frame near it."""
    closure = np.zeros(len(rhythm), np.float32)
    at = 0.0
    while True:
        at += (BLINK_S[0] + float(rng.exponential(BLINK_S[1]))) * FRAME_RATE
        first = round(at)
        if first + BLINK_REACH_FRAMES + len(BLINK) > len(rhythm):
            return closure
        near = [glance for glance in large if abs(glance - first) <= BLINK_REACH_FRAMES]
        low = max(first - BLINK_REACH_FRAMES // 2, 0)
        quiet = low + int(np.argmin(rhythm[low : first + BLINK_REACH_FRAMES]))
        start = near[0] - 1 if near else quiet
        start = max(start, 0)
        if closure[start : start + len(BLINK)].any():
            continue
        closure[start : start + len(BLINK)] = BLINK
        at = max(at, float(start))
