"""What a user means by a pose: a film, a saved track, a timeline, a preset's name, or angles."""

import dataclasses
import difflib
import math
from pathlib import Path
from typing import Final, NamedTuple

from pcavs.animate.convention import PoseCodes
from pcavs.animate.headtrack import HeadTrack, relative_to
from pcavs.animate.layout import lay_out
from pcavs.animate.motion import FaceReport, measure_film, read_pose_source
from pcavs.animate.options import FilmOptions
from pcavs.animate.pose import FORMAT, FilmSegment, PresetSegment, Timeline, TrackSegment, read_timeline, timeline_from
from pcavs.animate.posemap import PoseMap, plain_map
from pcavs.animate.presets import PRESETS, Rhythm, rhythm_of
from pcavs.animate.sources import Eyes, Identity, Watch
from pcavs.animate.steering import picture_angles, steer
from pcavs.animate.trackfile import load_track
from pcavs.animate.whom import read_choice
from pcavs.errors import InputError
from pcavs.face.track import TrackPolicy
from pcavs.media.imageheader import read_header
from pcavs.media.mel import LazyMel
from pcavs.media.source import is_there
from pcavs.media.timeline import frame_time_s, nearest_index
from pcavs.spec import FRAME_RATE
from pcavs.types import CropTransform, Mel

_ANGLES: Final = ("yaw", "pitch", "roll", "x", "y", "scale")


def read_pose(pose: Path, *, relative: bool, measured: bool = False) -> Timeline | None:
    """Reads what stands after `--pose`.

    Args:
        pose: A file; or, where there is no such file, a preset's name or angles such as `yaw=20,pitch=-5`.
        relative: Begins with the photograph's own pose, whatever the timeline says.
        measured: Takes a film's poses as its landmarks have them.

    Returns:
        A timeline; None for a film whose poses are to be taken as the talker's own encoder reads them.

    Raises:
        InputError: It is none of these.
    """
    text, is_named = str(pose), is_there(pose)
    if not is_named and text in PRESETS:
        return Timeline(segments=(PresetSegment(name=text),), mode="relative")
    if not is_named and "=" in text:
        timeline = _angles(text)
    elif pose.suffix == ".json":
        timeline = read_timeline(pose)
    elif pose.suffix == ".npz":
        timeline = Timeline(segments=(TrackSegment(path=pose),), beyond="bounce")
    elif not is_named and not pose.suffix and len(pose.parts) == 1:
        close = difflib.get_close_matches(text, PRESETS, n=1)
        meant = f"did you mean {close[0]}?" if close else f"there are the presets {', '.join(PRESETS)}"
        raise InputError(f"no pose named {text}; {meant}")
    elif relative or measured:
        timeline = _film(pose)
    else:
        return None
    return dataclasses.replace(timeline, mode="relative") if relative else timeline


class Motion(NamedTuple):
    """The head's motion, as a film takes it."""

    codes: PoseCodes
    notes: tuple[str, ...] = ()
    view: CropTransform | None = None
    asked: HeadTrack | None = None
    faces: tuple[FaceReport, ...] = ()


class MotionReader:
    """Makes of what a user asks for what the generator takes."""

    def __init__(self, options: FilmOptions, eyes: Eyes, poses: PoseMap | None, watch: Watch) -> None:
        """Refuses what cannot be before anything is computed.

        Raises:
            InputError: There is no such pose, or it needs degrees and these weights know none.
        """
        self._options, self._eyes, self._poses, self._watch = options, eyes, poses, watch
        self._faces: list[FaceReport] = []
        self._notes: list[str] = []
        # A head that turns as a solid needs degrees, and landmarks know them better than the motion encoder does.
        self._measures = options.turn == "solid" and eyes.backend.spec.kind == "flow"
        self._timeline = self._read_timeline(options)
        if self._timeline is None and options.relative:
            raise InputError("relative says how a pose is meant, and there is none; give --pose")
        if self._timeline is not None and eyes.backend.spec.kind == "paper":
            raise InputError(
                f"{options.pose} asks for degrees, and a paper talker's pose code was never fitted to any; "
                "give a film whose motion is to be borrowed, or a flow talker's weights"
            )

    def _read_timeline(self, options: FilmOptions) -> Timeline | None:
        if options.pose is not None:
            return read_pose(options.pose, relative=options.relative, measured=self._measures)
        if not _is_own_film(options) or not self._measures:
            return None
        # The picture is the film's first frame: from there on the head goes where the film has it.
        return dataclasses.replace(_film(options.identity), mode="relative")

    def read(self, identity: Identity, mel: Mel | LazyMel, num_frames: int) -> Motion:
        """Reads the motion of a whole film.

        Raises:
            InputError: A source cannot be read.
        """
        options = self._options
        film = options.identity if options.pose is None and _is_own_film(options) else options.pose
        if film is None:
            return Motion(identity.codes.pose[None])
        if self._timeline is not None:
            return self._steered(self._timeline, identity, rhythm_of(mel, num_frames))
        eyes = self._eyes._replace(policy=self._policy())
        source = read_pose_source(film, eyes.convention.count_poses(num_frames), eyes, self._watch)
        return Motion(source.codes, source.notes, faces=(source.report,) if source.report else ())

    def _steered(self, timeline: Timeline, identity: Identity, rhythm: Rhythm) -> Motion:
        assert identity.seen is not None
        track = lay_out(timeline, len(rhythm), rhythm, self._fetch)
        is_relative = timeline.mode == "relative"
        if is_relative:
            track = relative_to(track, picture_angles(identity.seen))
        poses = self._poses or plain_map()
        if self._poses is None:
            self._notes.append("how far these weights turn a head was not measured; the angles are nominal")
        steered = steer(track, identity.seen, identity.codes.pose, poses, anchored=is_relative)
        view = None if self._options.full_frame else steered.view
        notes = tuple(dict.fromkeys([*self._notes, *steered.notes]))
        return Motion(steered.codes, notes, view, steered.asked, tuple(self._faces))

    def _fetch(self, segment: FilmSegment | TrackSegment, most: int) -> HeadTrack:
        if isinstance(segment, TrackSegment):
            return clipped_track(segment, most)
        end_s = min(segment.end_s or math.inf, segment.start_s + frame_time_s(most))
        measured = measure_film(
            segment.path, (segment.start_s, end_s), self._eyes.landmarker, self._policy(), self._watch
        )
        self._faces.append(measured.report)
        self._notes += measured.notes
        return measured.track

    def _policy(self) -> TrackPolicy:
        options, eyes = self._options, self._eyes
        choice = read_choice(options.pose_face, eyes)
        return dataclasses.replace(eyes.convention.policy, missing=options.missing, choice=choice)


def _is_own_film(options: FilmOptions) -> bool:
    """A film of the person, into which the head is put back and in which it stays where it is."""
    return options.full_frame and read_header(options.identity) is None


def _film(path: Path) -> Timeline:
    """The motion of one film, to and fro where it is shorter than the speech."""
    return Timeline(segments=(FilmSegment(path=path),), beyond="bounce")


def clipped_track(segment: TrackSegment, most: int) -> HeadTrack:
    """Reads a segment's part of a saved track, at most so many frames.

    Raises:
        InputError: It cannot be read, or is over before the segment begins.
    """
    track = load_track(segment.path)
    last = len(track) if segment.end_s is None else nearest_index(segment.end_s, FRAME_RATE)
    part = track[nearest_index(segment.start_s, FRAME_RATE) : last][:most]
    if not len(part):
        lasts = f"{frame_time_s(len(track)):.2f} s"
        raise InputError(f"{segment.path} lasts {lasts}, not until {segment.start_s:g} s; give an earlier start_s")
    return part


def _angles(text: str) -> Timeline:
    """Reads `yaw=20,pitch=-5`; what is not named is 0."""
    key: dict[str, float] = {"at_s": 0.0}
    for word in text.split(","):
        name, _, value = word.partition("=")
        name = name.strip()
        if name not in _ANGLES or name in key:
            raise InputError(f"the pose {text} cannot be read at {word!r}; give {', '.join(_ANGLES)}, each once")
        try:
            key[name] = float(value)
        except ValueError as error:
            raise InputError(f"the pose {text} cannot be read at {word!r}; give a number, as in yaw=20") from error
    fields = {"format": FORMAT, "segments": [{"kind": "keys", "keys": [key]}]}
    return timeline_from(fields, f"the pose {text}", Path())
