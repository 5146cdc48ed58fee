"""Head tracks: head poses over time as readable numbers, their arithmetic, and their files.

A track has one row for each frame, 25 a second, and six columns: yaw, pitch and roll in degrees
(`face.pose.angles_deg` defines the signs), x and y in face widths to the picture's right and down, and the natural
logarithm of the head's size. A row of zeros is a head that looks into
the camera, with the place and size that it has in the crop.
"""

import zipfile
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from pcavs.errors import InputError
from pcavs.face.pose import HeadPose, angles_deg, rotation_from_angles
from pcavs.media.archive import ARCHIVE_ERRORS
from pcavs.media.files import atomic_file, check_readable
from pcavs.media.timeline import bounce_index
from pcavs.numeric import smoothstep
from pcavs.spec import FRAME_RATE

HeadTrack: TypeAlias = Float[np.ndarray, "_ 6"]
"""Yaw, pitch, roll (degrees), x, y (face widths), logarithm of size; 25 rows a second."""

HeadRow: TypeAlias = Float[np.ndarray, "6"]
"""One row of a head track: the head pose of one frame."""

Extrapolation = Literal["hold", "loop", "bounce"]
"""How a track is continued beyond its end: `hold` repeats the last pose, `loop` starts again, `bounce` plays it
backwards and forwards without repeating the end frames."""

COLUMNS: Final = ("yaw", "pitch", "roll", "x", "y", "size")
"""Names of a track's columns."""
FACE_WIDTH_CM: Final = 15.33
"""Distance between the temples of the canonical face."""
LARGEST_STEP: Final = np.array([3.0, 3.0, 3.0, 0.04, 0.04, 0.02])
"""Largest change of each column from one frame to the next: 75 degrees, one face width and half the size a second.
Chosen by eye."""
_LOOP_BLEND_FRAMES: Final = 12
"""Frames over which the end of a loop is cross-faded into its beginning. Chosen by eye."""
_FADE_MARGIN: Final = 3.0
"""Frames of a cross-fade for each `LARGEST_STEP` between two poses. A smoothstep is 1.5 times as steep in its middle as
on average, so 3 keeps a fade at half of the largest step."""
_FWHM_PER_SIGMA: Final = 2.355
"""Full width at half maximum of a Gaussian, as a multiple of its standard deviation: 2 sqrt(2 ln 2)."""
_MIN_SIGMA_FRAMES: Final = 0.1
"""Standard deviation below which smoothing would change nothing."""
_KERNEL_SIGMAS: Final = 3.0
"""Half width of the smoothing kernel, in standard deviations."""
_MAX_KERNEL_TRACKS: Final = 10
"""Half width of the smoothing kernel at most, as a multiple of the track's length; it bounds memory."""

_FACE_COLUMNS: Final = 10
"""Measurements of a face (`pose.face.COLUMNS`)."""
FaceRows: TypeAlias = Float[np.ndarray, "_ 10"]
"""Measurements of a face over time (`pose.face`), 25 rows a second."""
TRACK_FORMAT: Final = "pcavs-track-1"
"""Format name inside a track's file."""
_MAX_FRAMES: Final = 24 * 3600 * FRAME_RATE
"""Longest track that is read: a day."""
_BYTES_PER_FRAME: Final = 72
"""Size of a frame in a track's file before compression, rounded up: 16 4-byte numbers and a flag."""
_LARGEST_FACE: Final = 1000.0
"""Largest measurement of a face in a file; more is damage."""
_LARGEST_ANGLE_DEG: Final = 180.0
"""Largest angle in a file; more is damage."""
_LARGEST_MOVE: Final = 10.0
"""Largest x, y (face widths) and logarithm of size in a file; more is damage."""


def still(num_frames: int) -> HeadTrack:
    """Returns the track of a head that looks into the camera and does not move."""
    return np.zeros((num_frames, len(COLUMNS)))


def from_heads(heads: HeadPose) -> HeadTrack:
    """Converts measured head poses into a track; x, y and size are relative to their means, as in a clip's crop."""
    width_px = heads.scale_px_per_cm.astype(np.float64)[:, None] * FACE_WIDTH_CM
    place = (heads.translation_px - heads.translation_px.mean(axis=0)) / width_px
    size = np.log(heads.scale_px_per_cm.astype(np.float64))
    return np.column_stack([angles_deg(heads.rotation.astype(np.float64)), place, size - size.mean()])


def extrapolate(
    track: Float[np.ndarray, "_ columns"], num_frames: int, extrapolation: Extrapolation
) -> Float[np.ndarray, "_ columns"]:
    """Cuts a track to a number of frames, or continues it; the end of a loop is cross-faded into its beginning."""
    if extrapolation == "loop" and num_frames > len(track):
        track = close_loop(track)
    steps = np.arange(num_frames)
    if extrapolation == "hold":
        index = steps.clip(max=len(track) - 1)
    elif extrapolation == "loop":
        index = steps % len(track)
    else:
        index = np.array([bounce_index(int(step), len(track)) for step in steps], int)
    return track[index]


def cross_fade(
    pieces: list[tuple[Float[np.ndarray, "_ columns"], int]], num_frames: int, fade_frames: int
) -> Float[np.ndarray, "_ columns"]:
    """Joins tracks end to end; each begins with a cross-fade, during which the one before it continues.

    Tracks may have further columns, which are faded as the head's are.

    Args:
        pieces: Track and first frame of each piece. A track must last until the end of the next piece's fade
            (`fade_length`), or of the result.
        num_frames: Length of the result.
        fade_frames: Shortest length of a fade; between poses that are far apart it takes longer.
    """
    combined = np.zeros((num_frames, pieces[0][0].shape[1]))
    for number, (track, first) in enumerate(pieces):
        stop = min(num_frames, first + len(track))
        if stop <= first:
            continue
        part = track[: stop - first]
        length = 0
        if number:
            room = (pieces[number + 1][1] if number + 1 < len(pieces) else num_frames) - first
            length = min(fade_length(combined[first], part[0], fade_frames), room, len(part))
        share = smoothstep((np.arange(length) + 1) / (length + 1))[:, None]
        combined[first + length : stop] = part[length:]
        combined[first : first + length] += share * (part[:length] - combined[first : first + length])
        combined[stop:] = combined[stop - 1]
    return combined


def fade_length(before: Float[np.ndarray, " columns"], after: Float[np.ndarray, " columns"], min_frames: int) -> int:
    """Returns the frames that a fade between two poses takes, so that it stays below half of the largest step."""
    needed = _FADE_MARGIN * np.abs(after - before)[: len(LARGEST_STEP)] / LARGEST_STEP
    return max(min_frames, int(np.ceil(needed.max())))


def limit_slew_rate(
    track: Float[np.ndarray, "time columns"], step: Float[np.ndarray, " columns"] = LARGEST_STEP
) -> Float[np.ndarray, "time columns"]:
    """Limits the change from frame to frame without phase lag: the mean of the upper and lower Lipschitz envelopes.

    Motion that is slow enough is not changed, and the result does not depend on the direction of time.

    Args:
        track: Any values over time.
        step: Largest change of each column from one frame to the next.
    """
    upper, lower = track.copy(), track.copy()
    for t in range(1, len(track)):
        upper[t] = np.maximum(upper[t], upper[t - 1] - step)
        lower[t] = np.minimum(lower[t], lower[t - 1] + step)
    for t in range(len(track) - 2, -1, -1):
        upper[t] = np.maximum(upper[t], upper[t + 1] - step)
        lower[t] = np.minimum(lower[t], lower[t + 1] + step)
    return (upper + lower) / 2


def smoothed(track: Float[np.ndarray, "_ columns"], seconds: float, frame_rate: int) -> Float[np.ndarray, "_ columns"]:
    """Low-passes a track with a Gaussian whose full width at half maximum is `seconds`; its ends are held."""
    sigma = seconds * frame_rate / _FWHM_PER_SIGMA
    if sigma < _MIN_SIGMA_FRAMES:
        return track
    reach = min(int(np.ceil(_KERNEL_SIGMAS * sigma)), _MAX_KERNEL_TRACKS * len(track))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(track, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, weights / weights.sum(), "valid") for column in padded.T], axis=1)


def relative_to(track: HeadTrack, own_deg: Float[np.ndarray, "3"]) -> HeadTrack:
    """Moves a track so that it starts with a given pose; its rotations from the first frame on are kept.

    Args:
        track: The track. x, y and size become differences to its first row.
        own_deg: Yaw, pitch and roll with which the result starts: those of a photograph.
    """
    turns = rotation_from_angles(track[:, :3])
    own = rotation_from_angles(own_deg[None].astype(np.float64))[0]
    angles = angles_deg(turns @ turns[0].T @ own)
    return np.column_stack([angles, track[:, 3:] - track[0, 3:]])


def close_loop(track: Float[np.ndarray, "_ columns"]) -> Float[np.ndarray, "_ columns"]:
    """Cross-fades the end of a track into its beginning, which shortens it by the length of the fade."""
    blend = min(_LOOP_BLEND_FRAMES, len(track) // 2)
    if not blend:
        return track
    share = smoothstep((np.arange(blend) + 1) / (blend + 1))[:, None]
    kept = track[: len(track) - blend].copy()
    kept[:blend] = share * track[:blend] + (1 - share) * track[len(track) - blend :]
    return kept


def save_track(
    track: HeadTrack, found: Bool[np.ndarray, " time"], path: Path, *, overwrite: bool, face: FaceRows | None = None
) -> None:
    """Writes a track as .npz, whole or not at all (docs/formats.md).

    Args:
        track: The track.
        found: In which frames the face was found.
        path: The file to write.
        overwrite: Replace the file if it exists.
        face: What the face does besides (`pose.face`), one row for each row of the track; None leaves it out.

    Raises:
        OutputError: The file exists and must not be replaced, or it cannot be written.
    """
    head = track.astype(np.float32)
    more: dict[str, Any] = {} if face is None else {"face": face.astype(np.float32)}
    with atomic_file(path, overwrite=overwrite) as part, part.open("wb") as file:
        np.savez_compressed(file, format=TRACK_FORMAT, frame_rate=FRAME_RATE, head=head, found=found, **more)


class SavedTrack(NamedTuple):
    """What a track's file holds."""

    head: HeadTrack
    face: FaceRows | None
    """What the face does besides; None in files that hold the head alone."""


def load_track(path: Path) -> HeadTrack:
    """Reads the head of a track that `save_track` wrote; raises what `load_saved` does."""
    return load_saved(path).head


def load_saved(path: Path) -> SavedTrack:
    """Reads a file that `save_track` wrote.

    Raises:
        InputError: The file is missing, damaged, or not a track.
    """
    check_readable(path)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            _check_size(path)
            if str(arrays["format"]) != TRACK_FORMAT or int(arrays["frame_rate"]) != FRAME_RATE:
                raise InputError(f"{path} does not have the format {TRACK_FORMAT}; make it with pcavs pose extract")
            head = np.asarray(arrays["head"], np.float64)
            face = np.asarray(arrays["face"], np.float64) if "face" in arrays else None
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror or error}); check the name") from error
    except ARCHIVE_ERRORS as error:
        raise InputError(f"{path} is not a head track; make it with pcavs pose extract") from error
    limits = np.array([_LARGEST_ANGLE_DEG] * 3 + [_LARGEST_MOVE] * 3)
    if head.ndim != 2 or not len(head) or head.shape[1] != len(limits) or not (np.abs(head) <= limits).all():
        raise InputError(f"{path} does not hold six valid numbers per frame; make it with pcavs pose extract")
    if face is not None and not (face.shape == (len(head), _FACE_COLUMNS) and (np.abs(face) <= _LARGEST_FACE).all()):
        raise InputError(f"{path} does not hold valid measurements of a face; make it with pcavs pose extract")
    return SavedTrack(head, face)


def _check_size(path: Path) -> None:
    """Refuses a small file that would decompress to gigabytes."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > _BYTES_PER_FRAME * _MAX_FRAMES:
            raise InputError(f"{path} holds more than a day of poses; give a shorter track")
