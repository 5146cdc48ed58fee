"""Fits a head track to one photograph: limits of its turns, the view of the film, and pose codes.

A *pose code* is the motion encoder's twelve numbers (`face.pose.pose_code`). A head that is turned by depth needs
none: it takes rows of the head track.
"""

from typing import Final, NamedTuple, TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from pcavs.face.pose import HEAD_CM, angles_deg, pose_from_code, rotation_from_angles
from pcavs.pose.calibration import AXES, PoseMap
from pcavs.pose.track import FACE_WIDTH_CM, HeadTrack
from pcavs.types import CropTransform

PoseCode: TypeAlias = Float32[np.ndarray, "12"]
"""Pose code of one frame."""
PoseCodes: TypeAlias = Float32[np.ndarray, "time 12"]
"""Pose codes of consecutive frames."""
Angles: TypeAlias = Float[np.ndarray, "3"]
"""Yaw, pitch and roll in degrees, as `face.pose.angles_deg` defines them."""

_LARGEST_MOVE: Final = np.array([0.35, 0.35, 0.3])
"""Largest move of a head about its average place: x and y in face widths, and natural logarithm of size. About the
largest moves inside the crop of one clip, so training data hold no larger ones. Tuned by hand; not measured."""
_NOTED_DEG: Final = 1.0
"""Angles that are limited by more than this are reported. Tuned by hand; not measured."""
_NO_MOVE: Final = 1e-3
"""Average places and sizes below this do not move the view, so that the film is not resampled for nothing."""


class Surroundings(NamedTuple):
    """How much of the photograph lies around the crop, in sides of the crop: 0 is its edge."""

    left: float
    top: float
    right: float
    bottom: float


class FittedTrack(NamedTuple):
    """A head track within the limits of one photograph."""

    turns_deg: Float[np.ndarray, "time 3"]
    """Yaw, pitch and roll less those of the photograph."""
    moves: Float[np.ndarray, "time 3"]
    """x and y in face widths, and logarithm of size, about `average`."""
    average: Float[np.ndarray, "3"]
    """Average x, y and size: the film's view moves the whole frame by them."""
    notes: tuple[str, ...]
    """Messages for the user about limited motion, one line each."""


def code_angles(code: PoseCode) -> Angles:
    """Returns yaw, pitch and roll of a pose code, in degrees."""
    return angles_deg(pose_from_code(code[None], 1).rotation.astype(np.float64))[0]


def fit_track(
    track: HeadTrack, own_deg: Angles, reach_deg: Float[np.ndarray, "2 3"], *, anchored: bool = False
) -> FittedTrack:
    """Limits a head track to what one photograph can show.

    Args:
        track: The requested head poses.
        own_deg: Yaw, pitch and roll of the photograph, from its landmarks.
        reach_deg: Smallest and largest turn about each axis, relative to the photograph.
        anchored: Places and sizes are moves from where the photograph has the head, and the film's view does not move.
            Otherwise their average moves the view.
    """
    requested_deg = track[:, :3] - own_deg
    turns = requested_deg.clip(reach_deg[0], reach_deg[1])
    notes = _limit_notes(requested_deg, turns, own_deg)
    moves, average = (track[:, 3:], np.zeros(3)) if anchored else _centred(track[:, 3:])
    kept = moves.clip(-_LARGEST_MOVE, _LARGEST_MOVE)
    if np.abs(moves - kept).max() > _NO_MOVE:
        notes.append("the head would move too far from its average place or size; the move is limited")
    return FittedTrack(turns, kept, average, tuple(notes))


def track_of(fitted: FittedTrack, own_deg: Angles) -> HeadTrack:
    """Returns a fitted track as absolute degrees, places and sizes."""
    return np.column_stack([own_deg + fitted.turns_deg, fitted.moves + fitted.average])


def codes_of(fitted: FittedTrack, own: PoseCode, calibration: PoseMap) -> PoseCodes:
    """Converts a fitted track to pose codes for a talker whose network turns the head.

    The photograph's own pose gives its own code, exactly.

    Args:
        fitted: The track.
        own: The photograph's pose code, from the talker's motion encoder.
        calibration: How far the network turns a head for a rotation of the code.
    """
    start = code_angles(own)
    turned = rotation_from_angles(start + calibration.code_turns(fitted.turns_deg)) - rotation_from_angles(start[None])
    codes = np.repeat(own[None].astype(np.float64), len(turned), axis=0)
    codes[:, :9] += turned.reshape(-1, 9)
    codes[:, 9:11] += 2 * face_width(own) * fitted.moves[:, :2]  # the crop spans 2 in a code
    codes[:, 11] += fitted.moves[:, 2]
    return codes.astype(np.float32)


def face_width(code: PoseCode) -> float:
    """Returns the width of a face (`FACE_WIDTH_CM`) at a pose code's size, as a share of the crop's side."""
    return FACE_WIDTH_CM / HEAD_CM * float(np.exp(float(code[11])))


def limit_view(fitted: FittedTrack, own: PoseCode, around: Surroundings) -> FittedTrack:
    """Limits a track's average place and size, so that the film's view stays in the photograph; adds a note if it must.

    Beyond the photograph there is nothing to show but its repeated edge: streaks of skin and clothes.

    Args:
        fitted: The track.
        own: The photograph's pose code.
        around: What the photograph shows around the crop.
    """
    view = view_of(fitted, own)
    if view is None:
        return fitted
    # A point p of the crop is shown at scale * p + shift; the film's corners are (0, 0) and (1, 1).
    first = np.array([-around.left, -around.top])
    last = 1 + np.array([around.right, around.bottom])
    scale = max(float(view[0, 0]), float((1 / (last - first)).max()))
    size = float(np.log(scale))
    centre, width = _centre(own), face_width(own)
    low, high = 1 - scale * last, -scale * first
    shift = (centre * (1 - scale) + fitted.average[:2] * width).clip(low, high)
    limited = np.append((shift - centre * (1 - scale)) / width, size)
    if np.abs(limited - fitted.average).max() < _NO_MOVE:
        return fitted
    note = "the pose source puts the head where this picture has no surroundings to show; it is moved less far"
    return fitted._replace(average=limited, notes=(*fitted.notes, note))


def view_reach(view: CropTransform) -> float:
    """Returns how far beyond the crop's edges a view shows the photograph, in sides of the crop; 0 if it does not."""
    scale, shift = float(view[0, 0]), view[:, 2]
    return max(0.0, float((shift / scale).max()), float(((1 - shift) / scale - 1).max()))


def _centre(code: PoseCode) -> Float[np.ndarray, "2"]:
    """Returns the head's place in the crop, in sides of the crop."""
    return (code[9:11].astype(np.float64) + 1) / 2


def view_of(fitted: FittedTrack, own: PoseCode) -> CropTransform | None:
    """Returns the transform that moves whole frames to a track's average place and size; None if it is the identity.

    It maps pixels of a rendered frame to pixels of the film, for frames one pixel wide.
    """
    if not fitted.average.any():
        return None
    scale = float(np.exp(fitted.average[2]))
    return np.column_stack([np.eye(2) * scale, _centre(own) * (1 - scale) + fitted.average[:2] * face_width(own)])


def apply_view(
    picture: UInt8[np.ndarray, "wide wide channels"], view: CropTransform | None, margin_px: int = 0
) -> UInt8[np.ndarray, "side side channels"]:
    """Applies the transform of `view_of` to a rendered frame, bicubically; outside the frame its edge is repeated.

    Args:
        picture: The crop with a margin around it.
        view: The transform; None leaves the frame as it is, with its margin.
        margin_px: Width of the margin, which the result does not have.
    """
    if view is None:
        return picture
    side_px = picture.shape[0] - 2 * margin_px
    # Shares of the side become pixels, whose centres are half a pixel off their edges.
    shift = view[:, 2] * side_px + (0.5 - margin_px) * (view[:, 0] + view[:, 1]) - 0.5
    moved = np.column_stack([view[:, :2], shift])
    return cv2.warpAffine(picture, moved, (side_px, side_px), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _centred(places: Float[np.ndarray, "time 3"]) -> tuple[Float[np.ndarray, "time 3"], Float[np.ndarray, "3"]]:
    """Splits places and sizes into moves and their average; an average that is nearly 0 stays in the moves."""
    average = places.mean(axis=0)
    average[np.abs(average) < _NO_MOVE] = 0.0
    return places - average, average


def _limit_notes(
    requested_deg: Float[np.ndarray, "time 3"], turns: Float[np.ndarray, "time 3"], own_deg: Angles
) -> list[str]:
    """Returns a note for each axis that was limited, with the frame that misses its angle by most."""
    notes: list[str] = []
    for axis, name in enumerate(AXES):
        missed = np.abs(requested_deg[:, axis] - turns[:, axis])
        if missed.max() > _NOTED_DEG:
            frame = int(missed.argmax())
            requested, used = own_deg[axis] + requested_deg[frame, axis], own_deg[axis] + turns[frame, axis]
            notes.append(
                f"a {name} of {requested:.0f} degrees is too far for this picture and these weights; {used:.0f} is used"
            )
    return notes
