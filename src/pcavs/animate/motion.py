"""Reads films for their head motion: as the talker's own codes, or as degrees."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from pcavs.animate.convention import PoseCodes
from pcavs.animate.headtrack import HeadTrack, from_heads, limited, smoothed
from pcavs.animate.sources import Eyes, Watch
from pcavs.face.align import Square
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import HeadPose, head_pose
from pcavs.face.track import FaceFollower, Missing, TrackPolicy
from pcavs.media.timeline import frame_time_s
from pcavs.media.video import count_pictures, read_frames
from pcavs.spec import FRAME_RATE
from pcavs.types import Picture

Rows: TypeAlias = Float[np.ndarray, "_ columns"]

_BATCH = 16
_LARGEST_STEP = np.array([0.052] * 9 + [0.03, 0.03, 0.02])
"""Of a pose code between two frames where the film itself jumps: 3 degrees, and about 0.04 face widths."""
_LARGEST_SIDE_PX = 1280
SMOOTHING_S = 0.12
"""Of what landmarks say of a head: they tremble, heads do not."""
_DONE = {"interpolate": "interpolated", "hold": "held", "skip": "skipped"}


class FaceReport(NamedTuple):
    """What was seen in each frame of a film."""

    source: str
    missing: Missing
    found: Bool[np.ndarray, " time"]
    cuts: tuple[int, ...]
    num_faces: int
    """Faces in the frame in which the one to follow was chosen."""
    chosen: str
    """Which of them."""

    def notes(self) -> list[str]:
        """What a user may want to know, one line each."""
        notes: list[str] = []
        lost = int((~self.found).sum())
        if lost:
            done = {"hold": "held", "skip": "left out"}.get(self.missing, "filled in")
            notes.append(f"the face in {self.source} was not seen in {lost} of {len(self.found)} frames: {done}")
        if self.cuts:
            times = ", ".join(f"{frame_time_s(cut):.2f}" for cut in self.cuts[:3])
            more = f" and {len(self.cuts) - 3} more" if len(self.cuts) > 3 else ""
            notes.append(f"{self.source} jumps at {times} s{more}: the head turns from one pose to the other")
        return notes

    def to_json(self) -> dict[str, Any]:
        """One row a frame at 25 fps."""
        done = _DONE.get(self.missing, "failed")
        rows = [
            {"frame": t, "time_s": frame_time_s(t), "face": "found" if seen else done, "cut": t in self.cuts}
            for t, seen in enumerate(self.found.tolist())
        ]
        who = {"faces": self.num_faces, "chosen": self.chosen}
        counts = {"frames": len(rows), "found": int(self.found.sum()), "cuts": len(self.cuts)}
        return {"source": self.source, "missing": self.missing, **who, **counts, "rows": rows}


class PoseSource(NamedTuple):
    """Head motion to borrow."""

    codes: PoseCodes
    """One a frame of the source at 25 fps, less those that are skipped."""
    notes: tuple[str, ...]
    report: FaceReport | None = None


class Measured(NamedTuple):
    """Head motion in degrees."""

    track: HeadTrack
    notes: tuple[str, ...]
    report: FaceReport


def read_pose_source(path: Path, most_frames: int, eyes: Eyes, watch: Watch) -> PoseSource:
    """Reads, aligns and encodes the frames of a pose source as two streams: one to find its place, one to encode.

    Frames without the face are not encoded: their codes follow from those around them, as the policy says. Over a cut
    the head does not jump, but turns quickly.

    Args:
        path: A film; a picture is a pose that is held.
        most_frames: Frames beyond are not encoded, for the film will not need them.
        eyes: What looks at it.
        watch: Is told of the progress.

    Raises:
        FaceError: No frame shows a face; or one does not, and the policy is to fail.
        InputError: It cannot be read.
    """
    convention, spec = eyes.convention, eyes.backend.spec
    policy = eyes.policy or convention.policy
    end_s = frame_time_s(most_frames)
    place_s = None if convention.place_s is None else min(end_s, convention.place_s)
    counts = [count_pictures(path, 0.0, stop) for stop in (place_s, end_s)]
    total = sum(counts)

    def counted(frames: Iterator[Picture], done: int) -> Iterator[Picture]:
        for number, frame in enumerate(frames, start=done + 1):
            yield frame
            watch("reading the head motion", min(number, total), total)

    follower = FaceFollower(eyes.landmarker, policy, path.name)
    frames = counted(read_frames(path, 0.0, place_s, convention.largest_side_px), 0)
    track = follower.follow(frames)
    frame_px = spec.sizes.frame_px
    transforms = convention.transforms(track.meshes, spec.crop, frame_px)
    found: list[bool] = []

    def crops() -> Iterator[Square]:
        frames = counted(read_frames(path, 0.0, end_s, convention.largest_side_px), counts[0])
        # Not strict: a place may be known for fewer frames than there are places, or for ever.
        for t, (frame, transform) in enumerate(zip(frames, transforms, strict=False)):
            found.append(bool(track.found[t]) if t < len(track.found) else follower.step(frame) is not None)
            if found[-1]:
                yield convention.cut(frame, transform, frame_px)

    seen = np.concatenate([eyes.backend.encode_pose(np.stack(faces)) for faces in _batches(crops())])
    report = _report(path, policy, follower, found)
    codes = _completed(seen, report)
    if _is_broken(report):
        codes = limited(codes, _LARGEST_STEP).astype(np.float32)
    return PoseSource(convention.settle(codes), (*follower.notes, *report.notes()), report)


def measure_film(
    path: Path, span_s: tuple[float, float | None], landmarker: FaceLandmarker, policy: TrackPolicy, watch: Watch
) -> Measured:
    """Measures the head of a film in degrees; no talker is needed.

    Args:
        path: A film; a picture is a pose that is held.
        span_s: From where to where; None is the end.
        landmarker: Loaded networks.
        policy: How the face is followed.
        watch: Is told of the progress.

    Raises:
        FaceError: No frame shows a face; or one does not, and the policy is to fail.
        InputError: It cannot be read.
    """
    total = count_pictures(path, *span_s)
    follower = FaceFollower(landmarker, policy, path.name)
    heads: list[HeadPose] = []
    found: list[bool] = []
    for number, frame in enumerate(read_frames(path, span_s[0], span_s[1], _LARGEST_SIDE_PX), start=1):
        mesh = follower.step(frame)
        found.append(mesh is not None)
        if mesh is not None:
            heads.append(head_pose(mesh[None]))  # twelve numbers a frame, where meshes would take six kilobytes
        watch("reading the head motion", number, total)
    follower.check_found()
    report = _report(path, policy, follower, found)
    track = from_heads(HeadPose(*(np.concatenate(values) for values in zip(*heads, strict=True))))
    track = limited(_completed(track, report)) if _is_broken(report) else track
    notes = (*follower.notes, *report.notes())
    return Measured(smoothed(track, SMOOTHING_S, FRAME_RATE), notes, report)


def _report(path: Path, policy: TrackPolicy, follower: FaceFollower, found: list[bool]) -> FaceReport:
    cuts, chosen = tuple(follower.cuts), policy.choice.name
    return FaceReport(path.name, policy.missing, np.array(found), cuts, follower.num_candidates, chosen)


def _is_broken(report: FaceReport) -> bool:
    return bool(report.cuts) or not report.found.all()


def _completed(seen: Rows, report: FaceReport) -> Rows:
    """Puts rows where no face was seen: between their neighbours, as the last one, or none."""
    if report.found.all() or report.missing == "skip":
        return seen
    known, frames = np.flatnonzero(report.found), np.arange(len(report.found))
    if report.missing == "hold":
        return seen[(np.searchsorted(known, frames, side="right") - 1).clip(0)]
    columns = [np.interp(frames, known, column) for column in seen.T]
    return np.stack(columns, axis=1).astype(seen.dtype)


def _batches(crops: Iterator[Square]) -> Iterator[list[Square]]:
    while batch := list(itertools.islice(crops, _BATCH)):
        yield batch
