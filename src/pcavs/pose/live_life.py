"""Natural motion that knows no future: that of `life`, one frame after another, for live sessions.

Rates and sizes are those of `life`. What is later than in films: nods, brows and blinks follow the speech as far ahead
as it is known, so a beat is certain a few frames after it. When nothing was said for a second the person listens, and
looks away no more often than in speech.
"""

from collections import deque
from typing import Final

import numpy as np

from pcavs.pose import expression, life
from pcavs.pose.expression import ExpressionRow
from pcavs.pose.live import Beats, LivePreset, Wander
from pcavs.pose.presets import PITCH, YAW, nod_bump
from pcavs.pose.track import HeadRow
from pcavs.spec import FRAME_RATE

_STREAM: Final = 0x11FE
"""Distinguishes these random numbers from others that are drawn with the same seed."""


class LiveLife(LivePreset):
    """Moves head, brows, eyes and lids as speakers do.

    Attributes:
        face: Brows and gaze of the frame that `step` returned last.
        eyelids: How far its blink closes the lids, 0 to 1.
    """

    def __init__(self, seed: int, strength: float = 1.0) -> None:
        """Seeds the random numbers.

        Args:
            seed: Equal seeds move alike.
            strength: Factor on all of the motion but the blinks, which shut the eyes, as in films; 0 is a statue.
        """
        super().__init__(seed)
        self._strength = strength
        # Two motions of one axis need random numbers of their own.
        self._wander = [Wander(*each, seed, stream) for stream, each in enumerate(life.SWAY)]
        self._head_rng, self._face_rng, self._eye_rng = (
            np.random.default_rng((seed, _STREAM, part)) for part in range(3)
        )
        self._beats = Beats()
        self._brows: deque[float] = deque()
        self._blink: deque[float] = deque()
        self._glance, self._aim, self._is_away = np.zeros(2), np.zeros(2), False
        self._hold, self._until_blink, self._quiet = self._draw_hold(), self._draw_blink(), 0
        self.face: ExpressionRow = expression.neutral(1)[0]
        self.eyelids = 0.0

    def move(self, row: HeadRow, rhythm: float) -> None:
        """Begins nods and raised brows on some of the beats."""
        self._quiet = self._quiet + 1 if rhythm < life.PAUSE_RHYTHM else 0
        beat = self._beats.add(rhythm)
        if beat is None:
            return
        if self._head_rng.random() < life.NOD_SHARE:
            self._nods.begin(life.NOD_DEG[0] + life.NOD_DEG[1] * beat, life.NOD_FRAMES)
        if self._face_rng.random() < life.BROW_SHARE:
            size = life.BROW[0] + life.BROW[1] * beat
            self._brows.extend([0.0] * (life.BROW_FRAMES - len(self._brows)))
            for frame, value in enumerate((size * nod_bump(life.BROW_FRAMES)).tolist()):
                self._brows[frame] = max(self._brows[frame], value)

    def step(self, rhythm: float) -> HeadRow:
        """Returns the head's row of the next frame, and sets `face` and `eyelids`."""
        row = super().step(rhythm)
        is_large = self._look()
        face = expression.neutral(1)
        face[0, expression.LEFT_BROW : expression.RIGHT_BROW + 1] = self._brows.popleft() if self._brows else 0.0
        face[0, expression.GAZE] = self._glance - row[[YAW, PITCH]]
        face[0, expression.LIDS] = expression.gaze_lids(face[:, expression.GAZE_PITCH])
        self.face = expression.limited(expression.limited(face) * self._strength)[0]
        self.eyelids = self._next_blink(is_large) if self._strength > 0 else 0.0
        return row * self._strength

    def _look(self) -> bool:
        """Moves the eyes; returns whether a large glance begins."""
        self._hold -= 1
        is_large = False
        if self._hold <= 0:
            is_pause = 0 < self._quiet <= life.LISTENING_FRAMES
            share = life.AVERT_IN_PAUSE if is_pause else life.AVERT_SHARE
            before = self._aim
            self._aim, self._is_away = life.draw_glance(self._eye_rng, share, is_away=self._is_away)
            self._hold = self._draw_hold()
            is_large = bool(np.hypot(*(self._aim - before)) > life.LARGE_GLANCE_DEG)
        self._glance = self._glance + (self._aim - self._glance).clip(-life.SACCADE_DEG, life.SACCADE_DEG)
        return is_large

    def _next_blink(self, is_large: bool) -> float:
        """Returns the closure of the lids; a blink that is due waits a little for a pause or a large glance."""
        self._until_blink -= 1
        is_due = self._until_blink <= 0 and (self._quiet > 0 or self._until_blink <= -life.BLINK_REACH_FRAMES)
        if not self._blink and (is_due or (is_large and self._until_blink <= life.BLINK_REACH_FRAMES)):
            self._blink.extend(life.BLINK)
            self._until_blink = self._draw_blink()
        return self._blink.popleft() if self._blink else 0.0

    def _draw_hold(self) -> int:
        least_s, more_s = life.FIXATION_S
        return round((least_s + self._eye_rng.exponential(more_s)) * FRAME_RATE)

    def _draw_blink(self) -> int:
        least_s, more_s = life.BLINK_S
        return round((least_s + self._eye_rng.exponential(more_s)) * FRAME_RATE)
