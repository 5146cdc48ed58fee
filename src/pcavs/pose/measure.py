"""Measures the head pose in each frame of a video, in degrees, from its landmarks."""

from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import HeadPose, head_pose
from pcavs.face.track import FaceFollower, TrackPolicy
from pcavs.media.timeline import frame_time_s
from pcavs.media.video import count_pictures, read_frames
from pcavs.pose.track import HeadTrack, from_heads, limited, smoothed
from pcavs.spec import FRAME_RATE, Missing
from pcavs.types import Progress

Rows: TypeAlias = Float[np.ndarray, "_ columns"]

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
            notes.append(f"the face in {self.source} was not found in {lost} of {len(self.found)} frames: {done}")
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


class Measured(NamedTuple):
    """Head motion in degrees."""

    track: HeadTrack
    notes: tuple[str, ...]
    report: FaceReport


def measure_film(
    path: Path, span_s: tuple[float, float | None], landmarker: FaceLandmarker, policy: TrackPolicy, progress: Progress
) -> Measured:
    """Measures the head of a film in degrees; no talker is needed.

    Args:
        path: A film; a picture is a pose that is held.
        span_s: From where to where; None is the end.
        landmarker: Loaded networks.
        policy: How the face is followed.
        progress: Is told of the progress.

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
        progress("reading the head motion", number, total)
    follower.check_found()
    report = face_report(path, policy, follower, found)
    track = from_heads(HeadPose(*(np.concatenate(values) for values in zip(*heads, strict=True))))
    track = limited(completed(track, report)) if is_broken(report) else track
    notes = (*follower.notes, *report.notes())
    return Measured(smoothed(track, SMOOTHING_S, FRAME_RATE), notes, report)


def face_report(path: Path, policy: TrackPolicy, follower: FaceFollower, found: list[bool]) -> FaceReport:
    """Summarises in which frames of a video the chosen face was found."""
    cuts, chosen = tuple(follower.cuts), policy.choice.name
    return FaceReport(path.name, policy.missing, np.array(found), cuts, follower.num_candidates, chosen)


def is_broken(report: FaceReport) -> bool:
    """Tells whether a video has cuts or frames without the face."""
    return bool(report.cuts) or not report.found.all()


def completed(seen: Rows, report: FaceReport) -> Rows:
    """Puts rows where no face was seen: between their neighbours, as the last one, or none."""
    if report.found.all() or report.missing == "skip":
        return seen
    known, frames = np.flatnonzero(report.found), np.arange(len(report.found))
    if report.missing == "hold":
        return seen[(np.searchsorted(known, frames, side="right") - 1).clip(0)]
    columns = [np.interp(frames, known, column) for column in seen.T]
    return np.stack(columns, axis=1).astype(seen.dtype)
