"""Resolves `--pose` into head poses in the form that the film's renderer takes."""

import dataclasses
from typing import NamedTuple

import numpy as np

from pcavs.animate.controls import Pose, Poses
from pcavs.animate.encode_pose import encode_pose_source
from pcavs.animate.face_choice import read_choice
from pcavs.animate.identity import FaceReader, Identity
from pcavs.animate.options import FilmOptions
from pcavs.animate.performance import FaceMixer
from pcavs.animate.renderer import surroundings, turns_by_depth
from pcavs.errors import InputError
from pcavs.face.track import TrackPolicy
from pcavs.head.warp import reach_deg
from pcavs.media.mel import LazyMel
from pcavs.media.still import is_still
from pcavs.pose.calibration import PoseMap, plain_map
from pcavs.pose.codes import Surroundings, codes_of, fit_track, limit_view, track_of, view_of
from pcavs.pose.compile import compile_motion
from pcavs.pose.expression import ExpressionTrack
from pcavs.pose.face import PITCH, YAW, measure_face
from pcavs.pose.measure import FaceReport
from pcavs.pose.presets import Rhythm, rhythm_of
from pcavs.pose.source import SegmentReader, performance_timeline, read_pose, seeded, video_timeline
from pcavs.pose.timeline import Timeline
from pcavs.pose.track import HeadTrack, relative_to
from pcavs.types import CropTransform, Mel, Progress


class HeadMotion(NamedTuple):
    """The head poses of a film, for one renderer."""

    poses: Poses
    """Rows of a head track (depth turn) or pose codes (network turn); if there are fewer of them than frames, they are
    played forwards and backwards."""
    own: Pose
    """The photograph's own pose, in the same form."""
    view: CropTransform | None = None
    """Transform of whole frames to the average place and size of the head in a timeline (`pose.codes.view_of`)."""
    track: HeadTrack | None = None
    """The requested motion within the limits, in degrees; None where pose codes of a video drive the head."""
    notes: tuple[str, ...] = ()
    """Messages for the user, one line each."""
    faces: tuple[FaceReport, ...] = ()
    """In which frames of the pose videos a face was found."""
    expression: ExpressionTrack | None = None
    """What else the face does according to pose source and performance; None if it moves nothing but the head."""
    moves_lids: bool = False
    """Whether lids follow a film or natural motion, which blink by themselves."""


def depth_motion(
    track: HeadTrack, identity: Identity, *, anchored: bool = False, around: Surroundings | None = None
) -> HeadMotion:
    """Fits a head track to a photograph whose head is turned by depth.

    Args:
        track: The requested head poses, one row for each frame.
        identity: The person.
        anchored: Places and sizes are relative to the head's place in the photograph, and the view stays.
        around: What the photograph shows around the crop, which limits the view; None does not limit it.
    """
    fitted = fit_track(track, identity.own_deg, reach_deg(float(identity.own_deg[0])), anchored=anchored)
    if around is not None:
        fitted = limit_view(fitted, identity.codes.pose, around)
    poses = np.column_stack([identity.own_deg + fitted.turns_deg, fitted.moves])
    view = view_of(fitted, identity.codes.pose)
    return HeadMotion(poses, own_row(identity), view, track_of(fitted, identity.own_deg), fitted.notes)


def network_motion(
    track: HeadTrack,
    identity: Identity,
    calibration: PoseMap | None,
    *,
    anchored: bool = False,
    around: Surroundings | None = None,
) -> HeadMotion:
    """Encodes a head track for a talker whose network turns the head; the arguments are those of `depth_motion`.

    Args:
        track: The requested head poses, one row for each frame.
        identity: The person.
        calibration: Measured map from rotations of the pose code to rotations of the face; None assumes that they are
            equal, and adds a note.
        anchored: Places and sizes are relative to the head's place in the photograph, and the view stays.
        around: What a frame shows around the crop, which limits the view; None does not limit it.
    """
    notes = () if calibration else ("how far these weights turn a head was not measured; the angles are nominal",)
    calibration = calibration or plain_map()
    fitted = fit_track(track, identity.own_deg, calibration.reach(), anchored=anchored)
    own = identity.codes.pose
    if around is not None:
        fitted = limit_view(fitted, own, around)
    codes = codes_of(fitted, own, calibration)
    return HeadMotion(codes, own, view_of(fitted, own), track_of(fitted, identity.own_deg), (*notes, *fitted.notes))


def own_row(identity: Identity) -> Pose:
    """Returns the photograph's own pose as a row of a head track."""
    return np.concatenate([identity.own_deg, np.zeros(3)])


class HeadMotionReader:
    """Reads the pose source of one film."""

    def __init__(self, options: FilmOptions, reader: FaceReader, calibration: PoseMap | None) -> None:
        """Reads the timeline, and checks that this talker can follow it.

        Args:
            options: Settings of the film.
            reader: The networks that read faces.
            calibration: Measured map from rotations of the pose code to rotations of the face, if there is one.

        Raises:
            InputError: The pose source cannot be read, or it is in degrees and the talker is a `paper` talker.
        """
        self._options, self._reader, self._calibration = options, reader, calibration
        self._by_depth = turns_by_depth(reader.runtime, options.turn)
        self._timeline = self._read_timeline()
        if self._timeline is None and options.relative:
            raise InputError("--relative needs a pose source; give --pose")
        if self._timeline is not None and reader.runtime.spec.kind == "paper":
            raise InputError(
                f"{options.pose} sets the head pose in degrees, which a paper talker cannot follow; "
                "give a video to follow, or the weights of a flow talker"
            )

    def _read_timeline(self) -> Timeline | None:
        """Reads a pose source in degrees; None without one, or where the motion encoder reads a video."""
        options = self._options
        if options.pose is None and options.performance is not None:
            timeline = performance_timeline(options.performance)
            return dataclasses.replace(timeline, mode="relative") if options.relative else timeline
        if options.pose is not None:
            # Landmarks give degrees more exactly than the motion encoder, so a depth turn follows them.
            timeline = read_pose(
                options.pose, relative=options.relative, measured=self._by_depth, outside=options.outside
            )
            return None if timeline is None else seeded(timeline, options.seed)
        if not is_own_video(options) or not self._by_depth:
            return None
        # The identity is the first frame of a video of the person: the head follows the rest of that video.
        return dataclasses.replace(video_timeline(options.identity), mode="relative")

    def read(self, identity: Identity, mel: Mel | LazyMel, num_frames: int, progress: Progress) -> HeadMotion:
        """Reads the head motion of a whole film.

        Args:
            identity: The person.
            mel: Mel spectrogram of the speech; presets nod with its rhythm.
            num_frames: Length of the film.
            progress: Called while videos are read.

        Raises:
            InputError: A source cannot be read.
        """
        options = self._options
        video = options.identity if options.pose is None and is_own_video(options) else options.pose
        if self._timeline is not None or self._borrows():
            return self._from_timeline(self._timeline, identity, rhythm_of(mel, num_frames), progress)
        if video is None:
            own = own_row(identity) if self._by_depth else identity.codes.pose
            return HeadMotion(own[None], own)
        reader = self._reader._replace(policy=self._policy())
        encoded = encode_pose_source(video, reader.timing.count_poses(num_frames), reader, progress)
        reports = (encoded.report,) if encoded.report else ()
        return HeadMotion(encoded.codes, identity.codes.pose, notes=encoded.notes, faces=reports)

    def _borrows(self) -> bool:
        """Tells whether parts of the face follow something of their own."""
        return self._options.eyes is not None or self._options.brows is not None

    def _from_timeline(
        self, timeline: Timeline | None, identity: Identity, rhythm: Rhythm, progress: Progress
    ) -> HeadMotion:
        """Lays out the segments of a timeline and fits the result to the photograph."""
        own_gaze = measure_face(identity.mesh[None])[0, YAW : PITCH + 1].astype(np.float64)
        sources = SegmentReader(self._reader.landmarker, self._policy(), progress, own_gaze)
        face = FaceMixer(self._options, rhythm, sources)
        if timeline is None:
            own = own_row(identity)
            expression, moves_lids = face.mix(None)
            return HeadMotion(
                own[None], own, None, None, tuple(sources.notes), tuple(sources.reports), expression, moves_lids
            )
        compiled = compile_motion(timeline, len(rhythm), rhythm, sources)
        track = compiled.head
        expression, moves_lids = face.mix(compiled)
        is_relative = timeline.mode == "relative"
        if is_relative:
            track = relative_to(track, identity.own_deg)
        if self._by_depth:
            around = None if self._options.full_frame else surroundings(identity)
            motion = depth_motion(track, identity, anchored=is_relative, around=around)
        else:
            # The network renders the crop alone.
            around = None if self._options.full_frame else Surroundings(0, 0, 0, 0)
            motion = network_motion(track, identity, self._calibration, anchored=is_relative, around=around)
        return motion._replace(
            expression=expression,
            moves_lids=moves_lids,
            view=None if self._options.full_frame else motion.view,
            notes=tuple(dict.fromkeys([*sources.notes, *motion.notes])),
            faces=tuple(sources.reports),
        )

    def _policy(self) -> TrackPolicy:
        choice = read_choice(self._options.pose_face, self._reader)
        return dataclasses.replace(self._reader.timing.policy, missing=self._options.missing, choice=choice)


def is_own_video(options: FilmOptions) -> bool:
    """Tells whether the identity is a video of the person, into which head or mouth are pasted."""
    return options.full_frame and not is_still(options.identity)
