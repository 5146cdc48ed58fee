"""Reads the two sources of a film's looks: the identity reference and the pose source."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from pcavs.animate.convention import Convention, PoseCodes
from pcavs.backends.base import IdentityArrays, TalkerBackend
from pcavs.face.align import Square, clip_transform
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import track_face, track_picture
from pcavs.media.image import read_picture
from pcavs.media.timeline import frame_time_s
from pcavs.media.video import count_pictures, read_frames
from pcavs.types import Picture

Watch = Callable[[str, int, int], None]
"""Is told what is being done, how many frames of it are done, and of how many."""

_BATCH = 16
_VISIBLY_ENLARGED = 1.5


class Eyes(NamedTuple):
    """What looks at pictures: the talker, the face networks, and where crops are to lie."""

    backend: TalkerBackend
    landmarker: FaceLandmarker
    convention: Convention


class Identity(NamedTuple):
    """The person to animate."""

    codes: IdentityArrays
    picture: UInt8[np.ndarray, "side side 3"]
    """Aligned crop at the film's size, RGB."""
    notes: tuple[str, ...]


class PoseSource(NamedTuple):
    """Head motion to borrow."""

    codes: PoseCodes
    """One a frame of the source at 25 fps."""
    notes: tuple[str, ...]


def read_identity(path: Path, side_px: int, eyes: Eyes) -> Identity:
    """Reads, aligns and encodes a picture, or the first frame of a film.

    Args:
        path: The picture.
        side_px: Side of the film.
        eyes: What looks at it.

    Raises:
        FaceError: The picture shows no face.
        InputError: It cannot be read.
    """
    picture = read_picture(path)
    track = track_picture(picture, eyes.landmarker, path.name, eyes.convention.policy)
    spec = eyes.backend.spec

    def crop(px: int) -> Square:
        transform = next(eyes.convention.transforms(track.meshes, spec.crop, px))
        return eyes.convention.cut(picture, transform, px)

    notes = [*track.notes]
    enlarged = float(np.sqrt(np.linalg.det(clip_transform(track.meshes, spec.crop, side_px)[:, :2])))
    if enlarged > _VISIBLY_ENLARGED:
        notes.append(f"{path.name} holds {side_px / enlarged:.0f} px of what the film shows in {side_px}: enlarged")
    return Identity(eyes.backend.encode_identity(crop(spec.sizes.frame_px)), crop(side_px), tuple(notes))


def read_pose_source(path: Path, most_frames: int, eyes: Eyes, watch: Watch) -> PoseSource:
    """Reads, aligns and encodes the frames of a pose source as two streams: one to find its place, one to encode.

    Args:
        path: A film; a picture is a pose that is held.
        most_frames: Frames beyond are not encoded, for the film will not need them.
        eyes: What looks at it.
        watch: Is told of the progress.

    Raises:
        FaceError: No frame shows a face.
        InputError: It cannot be read.
    """
    convention, spec = eyes.convention, eyes.backend.spec
    end_s = frame_time_s(most_frames)
    place_s = None if convention.place_s is None else min(end_s, convention.place_s)
    counts = [count_pictures(path, 0.0, stop) for stop in (place_s, end_s)]
    total = sum(counts)

    def counted(frames: Iterator[Picture], done: int) -> Iterator[Picture]:
        for number, frame in enumerate(frames, start=done + 1):
            yield frame
            watch("reading the head motion", min(number, total), total)

    frames = counted(read_frames(path, 0.0, place_s, convention.largest_side_px), 0)
    track = track_face(frames, eyes.landmarker, path.name, convention.policy)
    frame_px = spec.sizes.frame_px
    transforms = convention.transforms(track.meshes, spec.crop, frame_px)
    frames = counted(read_frames(path, 0.0, end_s, convention.largest_side_px), counts[0])
    # Not strict: a place may be known for fewer frames than there are places, or for ever.
    crops = (convention.cut(frame, transform, frame_px) for frame, transform in zip(frames, transforms, strict=False))
    codes = np.concatenate([eyes.backend.encode_pose(np.stack(faces)) for faces in _batches(crops)])
    return PoseSource(convention.settle(codes), track.notes)


def _batches(crops: Iterable[Square]) -> Iterator[list[Square]]:
    batch: list[Square] = []
    for crop in crops:
        batch.append(crop)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
