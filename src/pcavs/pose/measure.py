"""Measures the head pose in each frame of a video, in degrees, from its landmarks."""

from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float

from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import HeadPose, head_pose
from pcavs.face.track import FaceFollower, TrackPolicy
from pcavs.media.timeline import frame_time_s
from pcavs.media.video import count_pictures, read_frames
from pcavs.pose.face import measure_face
from pcavs.pose.track import FaceRows, HeadTrack, from_heads, limit_slew_rate, smoothed
from pcavs.spec import FRAME_RATE, Missing
from pcavs.types import Progress

Rows: TypeAlias = Float[np.ndarray, "_ columns"]
"""Values over time, one row for each frame."""

LARGEST_SIDE_PX: Final = 1280
"""Larger side to which the frames of videos are reduced before faces are searched, for speed. Tuned by hand; not
measured."""
SMOOTHING_S: Final = 0.12
"""Full width at half maximum of the Gaussian that removes the jitter of landmarks from a track. Tuned by hand; not
measured."""
_CUTS_IN_NOTE: Final = 3
"""Cuts whose time a note gives."""
_STATE_OF_MISSING: Final = {"interpolate": "interpolated", "hold": "held", "skip": "skipped"}
"""What the report says of a frame without the face, for each setting of `--missing`."""


class FaceReport(NamedTuple):
    """In which frames of a video the chosen face was found."""

    source: str
    """Name of the video."""
    missing: Missing
    """What was done about frames without the face."""
    found: Bool[np.ndarray, " time"]
    cuts: tuple[int, ...]
    """Frames at which the scene changes."""
    num_faces: int
    """Faces in the frame in which one was chosen."""
    chosen: str
    """How it was chosen (`FaceChoice.name`)."""

    def notes(self) -> list[str]:
        """Returns what a user should know about missing frames and cuts, one line each."""
        notes: list[str] = []
        lost = int((~self.found).sum())
        if lost:
            done = {"hold": "the last pose is held", "skip": "they are skipped"}.get(self.missing, "interpolated")
            notes.append(f"the face in {self.source} was not found in {lost} of {len(self.found)} frames: {done}")
        if self.cuts:
            times = ", ".join(f"{frame_time_s(cut):.2f}" for cut in self.cuts[:_CUTS_IN_NOTE])
            more = f" and {len(self.cuts) - _CUTS_IN_NOTE} more" if len(self.cuts) > _CUTS_IN_NOTE else ""
            notes.append(f"{self.source} has a cut at {times} s{more}: the head turns from one pose to the other")
        return notes

    def to_json(self) -> dict[str, Any]:
        """Returns the report as docs/formats.md describes it, with one row for each of 25 frames a second."""
        state = _STATE_OF_MISSING.get(self.missing, "failed")
        rows = [
            {"frame": t, "time_s": frame_time_s(t), "face": "found" if found else state, "cut": t in self.cuts}
            for t, found in enumerate(self.found.tolist())
        ]
        who = {"faces": self.num_faces, "chosen": self.chosen}
        counts = {"frames": len(rows), "found": int(self.found.sum()), "cuts": len(self.cuts)}
        return {"source": self.source, "missing": self.missing, **who, **counts, "rows": rows}


class MeasuredMotion(NamedTuple):
    """Head motion that was measured in a video."""

    track: HeadTrack
    notes: tuple[str, ...]
    """What a user should know, one line each."""
    report: FaceReport
    face: FaceRows
    """What the face does besides (`pose.face`), one row for each row of the track."""


def measure_video(
    path: Path, span_s: tuple[float, float | None], landmarker: FaceLandmarker, policy: TrackPolicy, progress: Progress
) -> MeasuredMotion:
    """Measures the head motion of a face in a video, in degrees.

    The track is smoothed over `SMOOTHING_S`. If the video has cuts or frames without the face, its slew rate is
    limited, too, so that the head turns quickly instead of jumping.

    Args:
        path: A video, or a picture, whose pose is held.
        span_s: Start and end of the part to read, in seconds; None is the end of the video.
        landmarker: Loaded face networks.
        policy: Which face is followed, and what is done about frames without it.
        progress: Called after each frame.

    Raises:
        FaceError: No frame shows a face; or one does not, and the policy is to fail.
        InputError: The video cannot be read.
    """
    total = count_pictures(path, *span_s)
    follower = FaceFollower(landmarker, policy, path.name)
    heads: list[HeadPose] = []
    faces: list[FaceRows] = []
    found: list[bool] = []
    for number, frame in enumerate(read_frames(path, span_s[0], span_s[1], LARGEST_SIDE_PX), start=1):
        mesh = follower.step(frame)
        found.append(mesh is not None)
        if mesh is not None:
            heads.append(head_pose(mesh[None]))  # a pose is 50 bytes a frame, a mesh would be six kilobytes
            faces.append(measure_face(mesh[None]))
        progress("reading the head motion", number, total)
    follower.check_found()
    report = face_report(path, policy, follower, found)
    track = from_heads(HeadPose(*(np.concatenate(values) for values in zip(*heads, strict=True))))
    track = limit_slew_rate(fill_missing(track, report)) if is_broken(report) else track
    face = fill_missing(np.concatenate(faces), report)
    notes = (*follower.notes, *report.notes())
    return MeasuredMotion(smoothed(track, SMOOTHING_S, FRAME_RATE), notes, report, face)


def face_report(path: Path, policy: TrackPolicy, follower: FaceFollower, found: list[bool]) -> FaceReport:
    """Summarises in which frames of a video the chosen face was found."""
    cuts, chosen = tuple(follower.cuts), policy.choice.name
    return FaceReport(path.name, policy.missing, np.array(found), cuts, follower.num_candidates, chosen)


def is_broken(report: FaceReport) -> bool:
    """Tells whether a video has cuts or frames without the face."""
    return bool(report.cuts) or not report.found.all()


def fill_missing(rows: Rows, report: FaceReport) -> Rows:
    """Inserts rows for the frames without the face: interpolated, held or, with `skip`, none.

    Args:
        rows: Values of the frames in which the face was found.
        report: Which frames these are, and what to do about the others.
    """
    if report.found.all() or report.missing == "skip":
        return rows
    known, frames = np.flatnonzero(report.found), np.arange(len(report.found))
    if report.missing == "hold":
        return rows[(np.searchsorted(known, frames, side="right") - 1).clip(0)]
    columns = [np.interp(frames, known, column) for column in rows.T]
    return np.stack(columns, axis=1).astype(rows.dtype)
