"""Moves the head of a live session: a preset, a saved track, or degrees that are set while it runs."""

import math
from pathlib import Path
from typing import Final

import numpy as np

from pcavs.animate.controls import Pose
from pcavs.animate.head_motion import depth_motion, network_motion, own_row
from pcavs.animate.identity import Identity
from pcavs.errors import InputError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import angles_deg, rotation_from_angles
from pcavs.face.track import TrackPolicy
from pcavs.media.names import path_exists
from pcavs.media.timeline import nearest_index
from pcavs.numeric import smoothstep_at
from pcavs.pose import expression
from pcavs.pose.calibration import PoseMap
from pcavs.pose.compile import compile_timeline
from pcavs.pose.expression import ExpressionRow
from pcavs.pose.live import LIVE_PRESETS, HeldMotion, LiveMotion, RecordedMotion
from pcavs.pose.live_life import LiveLife
from pcavs.pose.presets import NATURAL
from pcavs.pose.source import SegmentReader, clipped_track, read_pose, strength_of
from pcavs.pose.timeline import KeysSegment, MixSegment, PresetSegment, Segment, Timeline, TrackSegment
from pcavs.pose.track import LARGEST_STEP, HeadRow, HeadTrack
from pcavs.spec import FRAME_RATE

_STILL: Final = "still"
_LARGEST_DEG: Final = 90.0
_LONGEST_MOVE_S: Final = 10.0
_LONGEST_FRAMES: Final = 3600 * FRAME_RATE
"""Longest recorded motion: an hour."""


class LiveHead:
    """The head poses of a session, one frame after another.

    From one motion to the next the head moves smoothly, and never faster than `track.LARGEST_STEP`.

    Args:
        identity: The person.
        by_depth: Whether the head is turned by depth; otherwise by the talker's network.
        calibration: Measured map from rotations of the pose code to those of the face, if there is one.
        motion: The first motion; None keeps the photograph's own pose.
    """

    def __init__(
        self, identity: Identity, motion: LiveMotion | None, *, by_depth: bool, calibration: PoseMap | None
    ) -> None:
        self._identity, self._motion = identity, motion
        self.by_depth: Final = by_depth
        """Whether the head is turned by depth; otherwise by the talker's network."""
        self._calibration = calibration
        self._own = own_row(identity)
        self._last: HeadRow | None = None
        self._from, self._step, self._length = self._own, 0, 0
        self._face_from = self._face = expression.neutral(1)[0]

    @property
    def face(self) -> ExpressionRow | None:
        """Brows, gaze and lids of the last frame, without blinks; None if only the head moves."""
        return self._face if self.by_depth and self._face.any() else None

    @property
    def eyelids(self) -> float | None:
        """Closure of the lids by the motion's own blinks in the last frame, 0 to 1; None if it does not blink."""
        return self._motion.eyelids if self.by_depth and isinstance(self._motion, LiveLife) else None

    @property
    def angles(self) -> tuple[float, float, float]:
        """Yaw, pitch and roll of the last frame, in degrees."""
        yaw, pitch, roll = (self._own if self._last is None else self._last)[:3].tolist()
        return yaw, pitch, roll

    def move(self, motion: LiveMotion | None, over_s: float) -> None:
        """Changes to another motion within a time; None is the photograph's own pose."""
        self._motion = motion
        self._from, self._step = (self._own if self._last is None else self._last), 0
        self._face_from = self._face
        self._length = max(1, nearest_index(over_s, FRAME_RATE))

    def next(self, rhythm: float) -> Pose:
        """Returns the head pose of the next frame in the form that the renderer takes."""
        row = self._own if self._motion is None else self._absolute(self._motion.step(rhythm), self._motion)
        face = self._motion.face if isinstance(self._motion, LiveLife) else expression.neutral(1)[0]
        if self._step < self._length:
            self._step += 1
            share = smoothstep_at(self._step / self._length)
            row = self._from + share * (row - self._from)
            face = self._face_from + share * (face - self._face_from)
        self._face = face
        if self._last is not None:
            row = self._last + (row - self._last).clip(-LARGEST_STEP, LARGEST_STEP)
        self._last = row
        if self.by_depth:
            return depth_motion(row[None], self._identity, anchored=True).poses[0]
        return network_motion(row[None], self._identity, self._calibration, anchored=True).poses[0]

    def _absolute(self, row: HeadRow, motion: LiveMotion) -> HeadRow:
        if not motion.is_relative:
            return row
        turns = rotation_from_angles(np.stack([row[:3], self._identity.own_deg]).astype(np.float64))
        return np.append(angles_deg((turns[0] @ turns[1])[None])[0], row[3:])


def read_motion(pose: str | Path | np.ndarray | None, seed: int, landmarker: FaceLandmarker) -> LiveMotion | None:
    """Reads the head motion of a session; None is the photograph's own pose.

    Args:
        pose: A preset's name, "natural=1.5", angles such as "yaw=20,pitch=-5", a saved track (.npz), a timeline (.json)
            of keyframes and tracks, rows of a head track, or None.
        seed: Seed of presets.
        landmarker: Not used by what is allowed here, but by timelines in general.

    Raises:
        InputError: It is none of these.
    """
    if pose is None or (not isinstance(pose, np.ndarray) and str(pose) == _STILL):
        return None
    if isinstance(pose, np.ndarray):
        return RecordedMotion(_checked(pose), "bounce", is_relative=False)
    text, exists = str(pose), path_exists(Path(pose))
    if not exists and text == NATURAL:
        return LiveLife(seed)
    if not exists and text.startswith(f"{NATURAL}="):
        return LiveLife(seed, strength_of(text))
    if not exists and text in LIVE_PRESETS:
        return LIVE_PRESETS[text](seed)
    timeline = read_pose(Path(pose), relative=False, measured=True)
    assert timeline is not None
    return _recorded(timeline, text, landmarker)


def held(angles: tuple[float, float, float], yaw: float | None, pitch: float | None, roll: float | None) -> LiveMotion:
    """Returns a motion that holds angles; None keeps the present one.

    Raises:
        InputError: An angle is not finite, or larger than 90 degrees.
    """
    wanted = [old if new is None else float(new) for old, new in zip(angles, (yaw, pitch, roll), strict=True)]
    for name, value in zip(("yaw", "pitch", "roll"), wanted, strict=True):
        if not abs(value) <= _LARGEST_DEG:
            raise InputError(f"a {name} of {value:g} degrees cannot be used; give -90 to 90")
    return HeldMotion(np.array([*wanted, 0.0, 0.0, 0.0]))


def check_duration(over_s: float) -> None:
    """Checks the time of a move.

    Raises:
        InputError: It is negative, not finite, or too long.
    """
    if not (math.isfinite(over_s) and 0 <= over_s <= _LONGEST_MOVE_S):
        raise InputError(f"a move over {over_s:g} s cannot be made; give 0 to {_LONGEST_MOVE_S:g} s")


def _checked(track: np.ndarray) -> HeadTrack:
    if track.ndim != 2 or track.shape[1] != len(LARGEST_STEP) or not len(track) or not np.isfinite(track).all():
        raise InputError(f"a head track of shape {track.shape} cannot be used; give rows of six finite numbers")
    return track.astype(np.float64)


def _recorded(timeline: Timeline, name: str, landmarker: FaceLandmarker) -> LiveMotion:
    """Lays out a timeline, which lasts as long as its segments."""
    num_frames = min(_LONGEST_FRAMES, sum(_num_frames(segment, name) for segment in timeline.segments))
    sources = SegmentReader(landmarker, TrackPolicy(), lambda *_: None)
    track = compile_timeline(timeline, max(1, num_frames), np.zeros(max(1, num_frames)), sources)
    if timeline.mode == "absolute":
        track[:, 3:] -= track[:, 3:].mean(axis=0)
    return RecordedMotion(track, timeline.extrapolation, is_relative=timeline.mode == "relative")


def _num_frames(segment: Segment, name: str) -> int:
    """Returns how long a segment lasts.

    Raises:
        InputError: It follows the speech or a video.
    """
    if isinstance(segment, MixSegment):
        longest = max(_num_frames(part, name) for part in segment.parts)
        return longest if segment.duration_s is None else nearest_index(segment.duration_s, FRAME_RATE)
    if isinstance(segment, PresetSegment):
        raise InputError(f"{name} has a preset in a timeline, which live sessions cannot follow; give the preset alone")
    if not isinstance(segment, KeysSegment | TrackSegment):
        raise InputError(f"{name} is a video; save its motion with pcavs pose extract, and give that")
    if segment.duration_s is not None:
        return nearest_index(segment.duration_s, FRAME_RATE)
    if isinstance(segment, KeysSegment):
        return nearest_index(segment.keys[-1].at_s, FRAME_RATE) + 1
    return len(clipped_track(segment, _LONGEST_FRAMES))
