"""Encodes the head pose in each frame of a video with the talker's own motion encoder."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pcavs.animate.identity import FaceReader
from pcavs.face.align import Square
from pcavs.face.track import FaceFollower
from pcavs.media.timeline import frame_time_s
from pcavs.media.video import count_pictures, read_frames
from pcavs.pose.codes import PoseCodes
from pcavs.pose.measure import FaceReport, completed, face_report, is_broken
from pcavs.pose.track import limited
from pcavs.types import Picture, Progress

_BATCH = 16
_LARGEST_STEP = np.array([0.052] * 9 + [0.03, 0.03, 0.02])
"""Of a pose code between two frames where the film itself jumps: 3 degrees, and about 0.04 face widths."""


class PoseSource(NamedTuple):
    """Head motion to borrow."""

    codes: PoseCodes
    """One a frame of the source at 25 fps, less those that are skipped."""
    notes: tuple[str, ...]
    report: FaceReport | None = None


def read_pose_source(path: Path, most_frames: int, reader: FaceReader, progress: Progress) -> PoseSource:
    """Reads, aligns and encodes the frames of a pose source as two streams: one to find its place, one to encode.

    Frames without the face are not encoded: their codes follow from those around them, as the policy says. Over a cut
    the head does not jump, but turns quickly.

    Args:
        path: A film; a picture is a pose that is held.
        most_frames: Frames beyond are not encoded, for the film will not need them.
        reader: What looks at it.
        progress: Is told of the progress.

    Raises:
        FaceError: No frame shows a face; or one does not, and the policy is to fail.
        InputError: It cannot be read.
    """
    timing, spec = reader.timing, reader.runtime.spec
    policy = reader.policy or timing.policy
    end_s = frame_time_s(most_frames)
    place_s = None if timing.place_s is None else min(end_s, timing.place_s)
    counts = [count_pictures(path, 0.0, stop) for stop in (place_s, end_s)]
    total = sum(counts)

    def counted(frames: Iterator[Picture], done: int) -> Iterator[Picture]:
        for number, frame in enumerate(frames, start=done + 1):
            yield frame
            progress("reading the head motion", min(number, total), total)

    follower = FaceFollower(reader.landmarker, policy, path.name)
    frames = counted(read_frames(path, 0.0, place_s, timing.largest_side_px), 0)
    track = follower.follow(frames)
    frame_px = spec.sizes.frame_px
    transforms = timing.transforms(track.meshes, spec.crop, frame_px)
    found: list[bool] = []

    def crops() -> Iterator[Square]:
        frames = counted(read_frames(path, 0.0, end_s, timing.largest_side_px), counts[0])
        # Not strict: a place may be known for fewer frames than there are places, or for ever.
        for t, (frame, transform) in enumerate(zip(frames, transforms, strict=False)):
            found.append(bool(track.found[t]) if t < len(track.found) else follower.step(frame) is not None)
            if found[-1]:
                yield timing.cut(frame, transform, frame_px)

    seen = np.concatenate([reader.runtime.encode_pose(np.stack(faces)) for faces in _batches(crops())])
    report = face_report(path, policy, follower, found)
    codes = completed(seen, report)
    if is_broken(report):
        codes = limited(codes, _LARGEST_STEP).astype(np.float32)
    return PoseSource(timing.settle(codes), (*follower.notes, *report.notes()), report)


def _batches(crops: Iterator[Square]) -> Iterator[list[Square]]:
    while batch := list(itertools.islice(crops, _BATCH)):
        yield batch
