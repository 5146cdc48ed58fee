"""Turns the eyes of a live session."""

import numpy as np

from pcavs.animate.controls import Pose
from pcavs.animate.options import LookAt
from pcavs.media.timeline import nearest_index
from pcavs.numeric import smoothstep_at
from pcavs.pose import expression
from pcavs.pose.codes import Angles
from pcavs.pose.expression import ExpressionRow
from pcavs.spec import FRAME_RATE


class LiveGaze:
    """The gaze of a session, one frame after another; at first that of the photograph.

    Args:
        own_deg: Yaw, pitch and roll of the photograph.
    """

    def __init__(self, own_deg: Angles) -> None:
        self._own_deg = own_deg
        self._look: LookAt = "head"
        self._aim, self._from, self._last = np.zeros(2), np.zeros(2), np.zeros(2)
        self._step, self._length = 0, 0

    def move(self, gaze_deg: tuple[float, float], look: LookAt, over_s: float) -> None:
        """Turns the eyes to a gaze within a time, in degrees to the picture's right, and up."""
        self._aim, self._look, self._from = np.array(gaze_deg), look, self._last
        self._step, self._length = 0, max(1, nearest_index(over_s, FRAME_RATE))

    def next(self, pose: Pose) -> ExpressionRow | None:
        """Returns the expression of the next frame; None while the eyes are as they are in the photograph.

        Args:
            pose: The head's pose in that frame, a row of a head track.
        """
        aim = self._aim if self._look == "head" else self._aim + self._own_deg[:2] - pose[:2]
        if self._step < self._length:
            self._step += 1
            aim = self._from + smoothstep_at(self._step / self._length) * (aim - self._from)
        self._last = aim
        if not aim.any():
            return None
        row = expression.neutral(1)
        row[:, expression.GAZE] = aim
        row[:, expression.LIDS] = expression.gaze_lids(row[:, expression.GAZE_PITCH])[:, None]
        return expression.limited(row)[0]
