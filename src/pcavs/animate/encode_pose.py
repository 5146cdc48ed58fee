"""Encodes the head pose in each frame of a video with the talker's own motion encoder.

Used where the network turns the head (`paper` talkers, `--turn network`) and `--pose` is a video: the result is pose
codes. Heads that are turned by depth follow degrees, which `pose.measure` reads from landmarks.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pcavs.animate.identity import FaceReader
from pcavs.face.align import Square
from pcavs.face.track import FaceFollower
from pcavs.media.timeline import frame_time_s
from pcavs.media.video import count_pictures, read_frames
from pcavs.pose.codes import PoseCodes
from pcavs.pose.measure import FaceReport, face_report, fill_missing, is_broken
from pcavs.pose.track import limit_slew_rate
from pcavs.types import Picture, Progress

_BATCH_FRAMES: Final = 16
"""Crops that are encoded at once."""
_MAX_CODE_STEP: Final = np.array([0.052] * 9 + [0.03, 0.03, 0.02])
"""Largest change of a pose code between two frames, where the video has cuts or frames without the face: rotation
matrix (0.052 is 3 degrees, the slew rate of head tracks), translation in halves of the crop (0.03 is about 0.04 face
widths), logarithm of scale. Tuned by hand; not measured."""


class EncodedPoses(NamedTuple):
    """The head motion of a video as pose codes."""

    codes: PoseCodes
    """One for each frame, 25 a second; frames that are skipped have none."""
    notes: tuple[str, ...]
    """Messages for the user, one line each."""
    report: FaceReport | None = None
    """In which frames the face was found."""


def encode_pose_source(path: Path, max_frames: int, reader: FaceReader, progress: Progress) -> EncodedPoses:
    """Aligns and encodes the frames of a pose video. It is read twice: to place the crop, and to encode the frames.

    Frames in which the face is not found are not encoded; their codes are interpolated, held or left out, as the policy
    says. Across a cut the slew rate is limited, so that the head does not jump.

    Args:
        path: A video, or a picture, whose pose is then held.
        max_frames: Number of frames that the film uses; later ones are not read.
        reader: Reads faces.
        progress: Called while frames are read.

    Raises:
        FaceError: No frame shows the face; or one does not, and the policy is to fail.
        InputError: The file cannot be read.
    """
    timing, spec = reader.timing, reader.runtime.spec
    policy = reader.policy or timing.policy
    end_s = frame_time_s(max_frames)
    placement_s = None if timing.placement_s is None else min(end_s, timing.placement_s)
    counts = [count_pictures(path, 0.0, stop) for stop in (placement_s, end_s)]
    total = sum(counts)

    def counted(frames: Iterator[Picture], done: int) -> Iterator[Picture]:
        for number, frame in enumerate(frames, start=done + 1):
            yield frame
            progress("reading the head motion", min(number, total), total)

    follower = FaceFollower(reader.landmarker, policy, path.name)
    frames = counted(read_frames(path, 0.0, placement_s, timing.largest_side_px), 0)
    track = follower.follow(frames)
    frame_px = spec.sizes.frame_px
    transforms = timing.crop_transforms(track.meshes, spec.crop, frame_px)
    found: list[bool] = []

    def crops() -> Iterator[Square]:
        frames = counted(read_frames(path, 0.0, end_s, timing.largest_side_px), counts[0])
        # Not strict: the iterator of transforms is endless, or ends before the frames do.
        for t, (frame, transform) in enumerate(zip(frames, transforms, strict=False)):
            found.append(bool(track.found[t]) if t < len(track.found) else follower.step(frame) is not None)
            if found[-1]:
                yield timing.crop(frame, transform, frame_px)

    encoded = np.concatenate([reader.runtime.encode_pose(np.stack(batch)) for batch in batches(crops())])
    report = face_report(path, policy, follower, found)
    codes = fill_missing(encoded, report)
    if is_broken(report):
        codes = limit_slew_rate(codes, _MAX_CODE_STEP).astype(np.float32)
    return EncodedPoses(timing.smooth(codes), (*follower.notes, *report.notes()), report)


def batches(crops: Iterator[Square]) -> Iterator[list[Square]]:
    """Yields lists of crops, of the number that is encoded at once."""
    while batch := list(itertools.islice(crops, _BATCH_FRAMES)):
        yield batch
