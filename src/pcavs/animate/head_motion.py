"""What a user means by a pose: a film, a saved track, a timeline, a preset's name, or angles."""

import dataclasses
import math
from typing import NamedTuple

from pcavs.animate.encode_pose import read_pose_source
from pcavs.animate.face_choice import read_choice
from pcavs.animate.identity import FaceReader, Identity
from pcavs.animate.options import FilmOptions
from pcavs.animate.timing import PoseCodes
from pcavs.errors import InputError
from pcavs.face.track import TrackPolicy
from pcavs.media.image_header import read_header
from pcavs.media.mel import LazyMel
from pcavs.media.timeline import frame_time_s
from pcavs.pose.calibration import PoseMap, plain_map
from pcavs.pose.codes import picture_angles, steer
from pcavs.pose.compile import lay_out
from pcavs.pose.measure import FaceReport, measure_film
from pcavs.pose.presets import Rhythm, rhythm_of
from pcavs.pose.source import clipped_track, film_timeline, read_pose
from pcavs.pose.timeline import FilmSegment, Timeline, TrackSegment
from pcavs.pose.track import HeadTrack, relative_to
from pcavs.types import CropTransform, Mel, Progress


class HeadMotion(NamedTuple):
    """The head's motion, as a film takes it."""

    codes: PoseCodes
    notes: tuple[str, ...] = ()
    view: CropTransform | None = None
    asked: HeadTrack | None = None
    faces: tuple[FaceReport, ...] = ()


class HeadMotionReader:
    """Makes of what a user asks for what the generator takes."""

    def __init__(self, options: FilmOptions, eyes: FaceReader, poses: PoseMap | None, progress: Progress) -> None:
        """Refuses what cannot be before anything is computed.

        Raises:
            InputError: There is no such pose, or it needs degrees and these weights know none.
        """
        self._options, self._eyes, self._poses, self._watch = options, eyes, poses, progress
        self._faces: list[FaceReport] = []
        self._notes: list[str] = []
        # A head that turns as a solid needs degrees, and landmarks know them better than the motion encoder does.
        self._measures = options.turn == "depth" and eyes.runtime.spec.kind == "flow"
        self._timeline = self._read_timeline(options)
        if self._timeline is None and options.relative:
            raise InputError("relative says how a pose is meant, and there is none; give --pose")
        if self._timeline is not None and eyes.runtime.spec.kind == "paper":
            raise InputError(
                f"{options.pose} asks for degrees, and a paper talker's pose code was never fitted to any; "
                "give a film whose motion is to be borrowed, or a flow talker's weights"
            )

    def _read_timeline(self, options: FilmOptions) -> Timeline | None:
        if options.pose is not None:
            return read_pose(options.pose, relative=options.relative, measured=self._measures)
        if not _is_ownfilm_timeline(options) or not self._measures:
            return None
        # The picture is the film's first frame: from there on the head goes where the film has it.
        return dataclasses.replace(film_timeline(options.identity), mode="relative")

    def read(self, identity: Identity, mel: Mel | LazyMel, num_frames: int) -> HeadMotion:
        """Reads the motion of a whole film.

        Raises:
            InputError: A source cannot be read.
        """
        options = self._options
        film = options.identity if options.pose is None and _is_ownfilm_timeline(options) else options.pose
        if film is None:
            return HeadMotion(identity.codes.pose[None])
        if self._timeline is not None:
            return self._steered(self._timeline, identity, rhythm_of(mel, num_frames))
        eyes = self._eyes._replace(policy=self._policy())
        source = read_pose_source(film, eyes.timing.count_poses(num_frames), eyes, self._watch)
        return HeadMotion(source.codes, source.notes, faces=(source.report,) if source.report else ())

    def _steered(self, timeline: Timeline, identity: Identity, rhythm: Rhythm) -> HeadMotion:
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
        return HeadMotion(steered.codes, notes, view, steered.asked, tuple(self._faces))

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
        return dataclasses.replace(eyes.timing.policy, missing=options.missing, choice=choice)


def _is_ownfilm_timeline(options: FilmOptions) -> bool:
    """A film of the person, into which the head is put back and in which it stays where it is."""
    return options.full_frame and read_header(options.identity) is None
