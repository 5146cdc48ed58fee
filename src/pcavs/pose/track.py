"""Head motion as numbers that a person can read, and the arithmetic that lays pieces of it end to end.

A track has six columns: yaw, pitch and roll in degrees (`face.pose.angles_deg` says which way is positive), x and y
in face widths to the picture's right and down, and the natural logarithm of the head's size. Zero is a head that
looks into the camera, where and as large as the crop puts it. Rows are frames at 25 a second.
"""

from typing import Final, Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from pcavs.face.pose import HeadPose, angles_deg, rotation_from_angles
from pcavs.media.timeline import bounce_index
from pcavs.numeric import smoothstep

HeadTrack: TypeAlias = Float[np.ndarray, "_ 6"]
"""Yaw, pitch, roll (degrees), x, y (face widths), logarithm of size; 25 rows a second."""

HeadRow: TypeAlias = Float[np.ndarray, "6"]
"""One row of a head track: the head pose of one frame."""

Beyond = Literal["hold", "loop", "bounce"]
"""What a piece does when it is over: stays, begins again, or goes to and fro without a doubled frame."""

COLUMNS: Final = ("yaw", "pitch", "roll", "x", "y", "size")
FACE_WIDTH_CM: Final = 15.33
"""Between the temples of the canonical face."""
LARGEST_STEP: Final = np.array([3.0, 3.0, 3.0, 0.04, 0.04, 0.02])
"""Change from one frame to the next that is not exceeded: 75 degrees, a face width, half the size a second."""
_LOOP_BLEND: Final = 12
"""Frames over which the end of a loop turns into its beginning."""


def still(num_frames: int) -> HeadTrack:
    """Gives a head that looks into the camera and does not move."""
    return np.zeros((num_frames, len(COLUMNS)))


def from_heads(heads: HeadPose) -> HeadTrack:
    """Turns measured heads into a track; place and size are told against their means, as the crop's are."""
    width_px = heads.scale_px_per_cm.astype(np.float64)[:, None] * FACE_WIDTH_CM
    place = (heads.translation_px - heads.translation_px.mean(axis=0)) / width_px
    size = np.log(heads.scale_px_per_cm.astype(np.float64))
    return np.column_stack([angles_deg(heads.rotation.astype(np.float64)), place, size - size.mean()])


def extended(track: HeadTrack, num_frames: int, beyond: Beyond) -> HeadTrack:
    """Makes a track longer, or cuts it, to a number of frames."""
    if beyond == "loop" and num_frames > len(track):
        track = _closed(track)
    steps = np.arange(num_frames)
    if beyond == "hold":
        index = steps.clip(max=len(track) - 1)
    elif beyond == "loop":
        index = steps % len(track)
    else:
        index = np.array([bounce_index(int(step), len(track)) for step in steps], int)
    return track[index]


def joined(pieces: list[tuple[HeadTrack, int]], num_frames: int, fade_frames: int) -> HeadTrack:
    """Lays pieces end to end; each goes on under the beginning of the next while it fades out.

    Args:
        pieces: Of each, its track and the frame at which it begins; a track must last until the end of the fade
            of the next piece (`faded_length`) or of the film.
        num_frames: Of the whole.
        fade_frames: Length of a fade; one between poses that are far apart takes longer.
    """
    whole = still(num_frames)
    for number, (track, first) in enumerate(pieces):
        stop = min(num_frames, first + len(track))
        if stop <= first:
            continue
        part = track[: stop - first]
        length = 0
        if number:
            room = (pieces[number + 1][1] if number + 1 < len(pieces) else num_frames) - first
            length = min(faded_length(whole[first], part[0], fade_frames), room, len(part))
        share = smoothstep((np.arange(length) + 1) / (length + 1))[:, None]
        whole[first + length : stop] = part[length:]
        whole[first : first + length] += share * (part[:length] - whole[first : first + length])
        whole[stop:] = whole[stop - 1]
    return whole


def faded_length(before: Float[np.ndarray, "6"], after: Float[np.ndarray, "6"], asked: int) -> int:
    """Counts the frames that a fade takes so that nothing moves faster than half of what is allowed."""
    needed = 3 * np.abs(after - before) / LARGEST_STEP
    return max(asked, int(np.ceil(needed.max())))


def limited(
    track: Float[np.ndarray, "time columns"], step: Float[np.ndarray, " columns"] = LARGEST_STEP
) -> Float[np.ndarray, "time columns"]:
    """Slows what moves by more than a step a frame; leaves the rest as it is, and moves nothing in time.

    The mean of the lowest track above and the highest track below that are slow enough: each is a running extreme,
    and the same whichever way time runs.
    """
    above, below = track.copy(), track.copy()
    for t in range(1, len(track)):
        above[t] = np.maximum(above[t], above[t - 1] - step)
        below[t] = np.minimum(below[t], below[t - 1] + step)
    for t in range(len(track) - 2, -1, -1):
        above[t] = np.maximum(above[t], above[t + 1] - step)
        below[t] = np.minimum(below[t], below[t + 1] + step)
    return (above + below) / 2


def smoothed(track: HeadTrack, seconds: float, frame_rate: int) -> HeadTrack:
    """Takes out what is quicker than about `seconds`, with a Gaussian of that full width at half height."""
    sigma = seconds * frame_rate / 2.355
    if sigma < 0.1:
        return track
    reach = min(int(np.ceil(3 * sigma)), 10 * len(track))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(track, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, weights / weights.sum(), "valid") for column in padded.T], axis=1)


def relative_to(track: HeadTrack, own_deg: Float[np.ndarray, "3"]) -> HeadTrack:
    """Starts a track where a photograph is: its turns, one after the other, are those of the head in the photograph.

    Args:
        track: Its first row becomes the photograph's pose.
        own_deg: Yaw, pitch and roll of the photograph.
    """
    turns = rotation_from_angles(track[:, :3])
    own = rotation_from_angles(own_deg[None].astype(np.float64))[0]
    angles = angles_deg(turns @ turns[0].T @ own)
    return np.column_stack([angles, track[:, 3:] - track[0, 3:]])


def _closed(track: HeadTrack) -> HeadTrack:
    """Lets the end of a loop turn into its beginning, which shortens it by the length of the blend."""
    blend = min(_LOOP_BLEND, len(track) // 2)
    if not blend:
        return track
    share = smoothstep((np.arange(blend) + 1) / (blend + 1))[:, None]
    kept = track[: len(track) - blend].copy()
    kept[:blend] = share * track[:blend] + (1 - share) * track[len(track) - blend :]
    return kept
