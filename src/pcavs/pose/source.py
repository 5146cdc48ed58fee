"""Reads the value of `--pose`: a video, a saved track, a timeline, a preset's name, or angles."""

import dataclasses
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float

from pcavs.errors import InputError, unknown_word
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import TrackPolicy
from pcavs.media.names import is_word, path_exists
from pcavs.media.timeline import frame_time_s, nearest_index
from pcavs.pose.measure import FaceReport, measure_video
from pcavs.pose.presets import NATURAL, PRESET_NAMES
from pcavs.pose.timeline import (
    FORMAT,
    MixSegment,
    PresetSegment,
    Segment,
    Timeline,
    TrackSegment,
    VideoSegment,
    read_timeline,
    timeline_from,
)
from pcavs.pose.track import HeadTrack, SavedTrack, load_saved
from pcavs.spec import FRAME_RATE
from pcavs.types import Progress

_POSE_SETTINGS: Final = ("yaw", "pitch", "roll", "x", "y", "scale")
"""Settings of a pose that is given as text, such as `yaw=20,pitch=-5`; they are those of `timeline.Key`."""

LARGEST_STRENGTH: Final = 2.0
"""Largest strength of natural motion that is given with its name."""


def read_pose(pose: Path, *, relative: bool, measured: bool = False, outside: bool = False) -> Timeline | None:
    """Reads the value of `--pose` as a timeline; videos and tracks are not opened yet.

    Args:
        pose: A file; or, if there is no such file, a preset's name or angles such as `yaw=20,pitch=-5`.
        relative: The head starts with the photograph's own pose, also if the timeline's mode is absolute.
        measured: Head motion in videos is measured from landmarks, in degrees, and not by the motion encoder.
        outside: A timeline may name files outside of its folder.

    Returns:
        A timeline; None for a video whose motion is to be read by the talker's motion encoder, because neither
        `relative` nor `measured` is set.

    Raises:
        InputError: It is none of these.
    """
    text, exists = str(pose), path_exists(pose)
    if not exists and text in PRESET_NAMES:
        return Timeline(segments=(PresetSegment(name=text),), mode="relative")
    if not exists and text.startswith(f"{NATURAL}="):
        return Timeline(segments=(PresetSegment(name=NATURAL, strength=strength_of(text)),), mode="relative")
    if not exists and "=" in text:
        timeline = _held_pose(text)
    elif pose.suffix == ".json":
        timeline = read_timeline(pose, outside=outside)
    elif pose.suffix == ".npz":
        timeline = Timeline(segments=(TrackSegment(path=pose),), extrapolation="bounce")
    elif is_word(pose):
        raise InputError(unknown_word(text, PRESET_NAMES, "degrees such as yaw=20, or a file", "pose"))
    elif relative or measured:
        timeline = video_timeline(pose)
    else:
        return None
    return dataclasses.replace(timeline, mode="relative") if relative else timeline


def video_timeline(path: Path) -> Timeline:
    """Returns the timeline of one video; if it is shorter than the speech, it is played backwards and forwards."""
    return Timeline(segments=(VideoSegment(path=path),), extrapolation="bounce")


def performance_timeline(path: Path) -> Timeline:
    """Returns the timeline of a film, or of its saved track, that lends the whole face and not only the head."""
    kind = TrackSegment if path.suffix == ".npz" else VideoSegment
    return Timeline(segments=(kind(path=path, performance=True),), extrapolation="bounce")


def seeded(timeline: Timeline, seed: int) -> Timeline:
    """Gives natural motion that is named alone, and not in a file, the seed of the film."""
    first = timeline.segments[0]
    if len(timeline.segments) == 1 and isinstance(first, PresetSegment) and first.name == NATURAL and not first.seed:
        return dataclasses.replace(timeline, segments=(dataclasses.replace(first, seed=seed),))
    return timeline


def pose_files(pose: Path, *, outside: bool = False) -> list[tuple[str, Path]]:
    """Lists the files that `--pose` reads, those that a timeline names included, each with what it is.

    Raises:
        InputError: A timeline cannot be read, or a word is no preset.
    """
    if not path_exists(pose):
        if is_word(pose):
            read_pose(pose, relative=False)  # says so if the word is none of those that it takes
        return []
    timeline = read_pose(pose, relative=False, outside=outside)
    named = [] if timeline is None else segment_files(timeline.segments)
    return [("the pose source", pose), *((f"{path}, which the pose source reads,", path) for path in named)]


def segment_files(segments: Iterable[Segment]) -> list[Path]:
    """Lists the videos and tracks that segments read."""
    files: list[Path] = []
    for segment in segments:
        if isinstance(segment, VideoSegment | TrackSegment):
            files.append(segment.path)
        elif isinstance(segment, MixSegment):
            files.extend(segment_files(segment.parts))
    return files


class SegmentReader:
    """Reads the sources of a timeline's segments: videos, which are measured, and saved tracks.

    It collects what is found while videos are read: `reports`, in which frames a face was found, and `notes`.
    """

    def __init__(
        self,
        landmarker: FaceLandmarker,
        policy: TrackPolicy,
        progress: Progress,
        own_gaze_deg: Float[np.ndarray, "2"] | None = None,
    ) -> None:
        """Stores what is needed to measure videos.

        Args:
            landmarker: Finds faces and their landmarks.
            policy: Which face is followed, and what happens to frames without it.
            progress: Called while videos are read.
            own_gaze_deg: Gaze of the photograph in its head, which gazes of films are relative to; None is 0, 0.
        """
        self.own_gaze_deg = np.zeros(2) if own_gaze_deg is None else own_gaze_deg
        self._landmarker, self._policy, self._progress = landmarker, policy, progress
        self._measured: dict[tuple[Path, float, float], SavedTrack] = {}
        self.reports: list[FaceReport] = []
        self.notes: list[str] = []

    def read(self, segment: VideoSegment | TrackSegment, max_frames: int) -> SavedTrack:
        """Returns head and face of a segment's source, at most `max_frames` frames of it.

        Raises:
            InputError: The source cannot be read, or shows no face.
        """
        if isinstance(segment, TrackSegment):
            saved = _clipped(segment, max_frames)
            if segment.performance and saved.face is None:
                raise InputError(f"{segment.path} holds the head alone; measure the film again with pcavs pose extract")
            return saved
        end_s = min(segment.end_s or math.inf, segment.start_s + frame_time_s(max_frames))
        span_s = (segment.start_s, end_s)
        if (segment.path, *span_s) in self._measured:
            return self._measured[segment.path, *span_s]
        measured = measure_video(segment.path, span_s, self._landmarker, self._policy, self._progress)
        self.reports.append(measured.report)
        self.notes.extend(measured.notes)
        saved = SavedTrack(measured.track, measured.face)
        self._measured[segment.path, *span_s] = saved
        return saved


def clipped_track(segment: TrackSegment, max_frames: int) -> HeadTrack:
    """Reads a segment's part of a saved head track, at most `max_frames` frames.

    Raises:
        InputError: It cannot be read, or ends before the segment starts.
    """
    return _clipped(segment, max_frames).head


def _clipped(segment: TrackSegment, max_frames: int) -> SavedTrack:
    track, face = load_saved(segment.path)
    last = len(track) if segment.end_s is None else nearest_index(segment.end_s, FRAME_RATE)
    first = nearest_index(segment.start_s, FRAME_RATE)
    part = track[first:last][:max_frames]
    if not len(part):
        length = f"{frame_time_s(len(track)):.2f} s"
        raise InputError(f"{segment.path} is {length} long and start_s is {segment.start_s:g}; give an earlier start_s")
    return SavedTrack(part, None if face is None else face[first:last][:max_frames])


def strength_of(text: str) -> float:
    """Reads the strength of natural motion that is given as text, such as `natural=1.5`.

    Raises:
        InputError: It is no number from 0 to 2.
    """
    value = text.partition("=")[2]
    try:
        strength = float(value)
    except ValueError:
        strength = math.nan
    if not 0 <= strength <= LARGEST_STRENGTH:
        raise InputError(f"a strength of {value} cannot be used; give 0 to {LARGEST_STRENGTH:g}, as in natural=1.5")
    return strength


def _held_pose(text: str) -> Timeline:
    """Reads `yaw=20,pitch=-5` as a pose that is held; settings that are left out are 0, `scale` is 1.

    Raises:
        InputError: A setting is unknown, given twice, or not a number.
    """
    key: dict[str, float] = {"at_s": 0.0}
    for word in text.split(","):
        name, _, value = word.partition("=")
        name = name.strip()
        if name not in _POSE_SETTINGS or name in key:
            raise InputError(f"the pose {text} cannot be read at {word!r}; give {', '.join(_POSE_SETTINGS)}, each once")
        try:
            key[name] = float(value)
        except ValueError as error:
            raise InputError(f"the pose {text} cannot be read at {word!r}; give a number, as in yaw=20") from error
    fields = {"format": FORMAT, "segments": [{"kind": "keys", "keys": [key]}]}
    return timeline_from(fields, f"the pose {text}", Path())
