"""From a head track to what the generator takes: pose codes, and where the film looks."""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.pose import angles_deg, pose_from_code, rotation_from_angles
from pcavs.pose.calibration import AXES, PoseMap
from pcavs.pose.track import FACE_WIDTH_CM, HeadTrack
from pcavs.types import CropTransform, Picture

PoseCode = Float32[np.ndarray, "12"]

_HEAD_CM: Final = 20.0
_LARGEST_MOVE: Final = np.array([0.35, 0.35, 0.3])
"""Face widths, and logarithm of size, that the code is asked for at most: about what heads do inside a clip's crop."""
_NOTED_DEG: Final = 1.0
_NO_MOVE: Final = 1e-3


class Steered(NamedTuple):
    """What the generator and the composer are told."""

    codes: Float32[np.ndarray, "time 12"]
    view: CropTransform | None
    """From pixels of the film as composed to pixels as shown, for a film one pixel wide; None changes nothing."""
    asked: HeadTrack
    """The track, in what can be made."""
    notes: tuple[str, ...]


def picture_angles(code: PoseCode) -> Float[np.ndarray, "3"]:
    """Yaw, pitch and roll in degrees of the head that a pose code speaks of."""
    return angles_deg(pose_from_code(code[None], 1).rotation.astype(np.float64))[0]


def steer(track: HeadTrack, seen: PoseCode, own: PoseCode, poses: PoseMap, *, anchored: bool = False) -> Steered:
    """Finds the codes with which a picture's head does what a track says.

    What the picture shows already needs no turn, so its own pose gives its own code to the last digit. The average
    place and size are moved by the film's view, as alignment takes them out of every clip; the code has the rest.

    Args:
        track: Where the head shall be.
        seen: The identity picture's pose as its landmarks have it.
        own: The same as the motion encoder has it: the code from which the generator starts.
        poses: What turns the talker makes.
        anchored: Leaves the view alone: the film begins where the picture has the head, and all else is the code's.
    """
    at = picture_angles(seen)
    wanted = track[:, :3] - at
    low, high = poses.reach()
    turns = wanted.clip(low, high)
    notes = _beyond(wanted, turns, at)
    start = picture_angles(own)
    asked = rotation_from_angles(start + poses.code_turns(turns)) - rotation_from_angles(start[None])
    moves, middle = (track[:, 3:], np.zeros(3)) if anchored else _parted(track[:, 3:])
    kept = moves.clip(-_LARGEST_MOVE, _LARGEST_MOVE)
    if np.abs(moves - kept).max() > _NO_MOVE:
        notes.append("the head is asked to move farther inside the film than it can: it stops on the way")
    size = float(own[11])
    width = 2 * FACE_WIDTH_CM / _HEAD_CM * np.exp(size)  # of a face, where the crop spans 2
    codes = np.repeat(own[None].astype(np.float64), len(track), axis=0)
    codes[:, :9] += asked.reshape(-1, 9)
    codes[:, 9:11] += kept[:, :2] * width
    codes[:, 11] += kept[:, 2]
    return Steered(
        codes=codes.astype(np.float32),
        view=_view(middle, own),
        asked=np.column_stack([at + turns, kept + middle]),
        notes=tuple(notes),
    )


def look(picture: Picture, view: CropTransform | None) -> Picture:
    """Moves a composed frame as a view says; what was outside of it repeats its edge."""
    if view is None:
        return picture
    height, width = picture.shape[:2]
    # Shares of the side become pixels, whose centres are half a pixel off their edges.
    shift = view[:, 2] * width + 0.5 * (view[:, 0] + view[:, 1]) - 0.5
    moved = np.column_stack([view[:, :2], shift])
    return cv2.warpAffine(picture, moved, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _parted(places: Float[np.ndarray, "time 3"]) -> tuple[Float[np.ndarray, "time 3"], Float[np.ndarray, "3"]]:
    """What moves, and about where; a place that is nearly the template's is left there."""
    middle = places.mean(axis=0)
    middle[np.abs(middle) < _NO_MOVE] = 0.0
    return places - middle, middle


def _view(middle: Float[np.ndarray, "3"], own: PoseCode) -> CropTransform | None:
    if not middle.any():
        return None
    scale = float(np.exp(middle[2]))
    centre = (own[9:11].astype(np.float64) + 1) / 2  # share of the side
    width = FACE_WIDTH_CM / _HEAD_CM * float(np.exp(own[11]))
    return np.column_stack([np.eye(2) * scale, centre * (1 - scale) + middle[:2] * width])


def _beyond(
    wanted: Float[np.ndarray, "time 3"], turns: Float[np.ndarray, "time 3"], at: Float[np.ndarray, "3"]
) -> list[str]:
    notes: list[str] = []
    for axis, name in enumerate(AXES):
        missed = np.abs(wanted[:, axis] - turns[:, axis])
        if missed.max() > _NOTED_DEG:
            frame = int(missed.argmax())
            asked, made = at[axis] + wanted[frame, axis], at[axis] + turns[frame, axis]
            notes.append(
                f"a {name} of {asked:.0f} degrees is farther than these weights turn this picture: {made:.0f} is taken"
            )
    return notes
