"""Tracks one face through a video: landmarks for each frame, gaps filled and jitter removed."""

import dataclasses
import logging
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from pcavs.errors import FaceError, InputError
from pcavs.face.choice import FaceChoice, Largest
from pcavs.face.choice import prominence as prominence
from pcavs.face.cuts import CutFinder
from pcavs.face.landmarker import MIN_SCORE, Detection, FaceLandmarker, Landmarks, Region, overlap
from pcavs.face.no_face import Unseen
from pcavs.face.quarter_turns import search_turned, upright_detection
from pcavs.face.smooth import smooth_meshes
from pcavs.media.timeline import frame_time_s
from pcavs.spec import FRAME_RATE, MESH_POINTS, Missing
from pcavs.types import Box, Mesh, Picture

logger = logging.getLogger(__name__)

_CUT_OVERLAP: Final = 0.4
"""Intersection over union of the face's boxes in consecutive frames below which a frame counts as a cut; a head that
moves keeps more. Tuned by hand; not measured."""
_REPORTED_SCORE: Final = 0.05
"""Score from which detections are considered, so that an error message can state the best score."""
_SETTLE_STEPS: Final = 2
"""Times that the landmarks of a newly detected face are located again, each time in the square of the mesh before."""
_REACH: Final = 0.5
"""Distance from its last position within which a lost face is searched, in face sizes. Tuned by hand."""
_REACH_PER_FRAME: Final = 0.1
"""Increase of that distance for each frame without the face: the fastest motion of a head. Tuned by hand."""
_NOTED_ROLL_DEG: Final = 100.0
"""Roll of a face from which on it is noted: the picture is probably upside down."""
_SIZE_RATIO: Final = 2.0
"""A face larger or smaller than the lost one by this factor is another face. Tuned by hand; not measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrackPolicy:
    """Which face to track, when it counts as found, what to do without it, and whether to smooth. Tuned by hand."""

    min_score: float = MIN_SCORE
    """Smallest score of a detection, and smallest presence of a mesh."""
    min_overlap: float = 0.2
    """Smallest intersection over union of the face's boxes in consecutive frames. A head moves by about a tenth of its
    size in a frame."""
    search_every: int = 5
    """Frames from one search for small faces to the next, until a face has been found."""
    search_anew_after: int = 25
    """Frames without the face after which the whole frame is searched, as at the beginning."""
    smoothed: bool = True
    """Smooth the landmarks over time (`pcavs.face.smooth`)."""
    missing: Missing = "interpolate"
    """What to do about frames without the face."""
    choice: FaceChoice = dataclasses.field(default_factory=Largest)
    """Which face to track if there are several."""


class FaceTrack(NamedTuple):
    """One face over time."""

    meshes: Float32[np.ndarray, "time 478 3"]
    """Pixels of the frames. In frames without the face: interpolated, or held if the policy is to hold."""
    found: Bool[np.ndarray, " time"]
    """False in frames without the face; the caller leaves these out if the policy is to skip them."""
    num_candidates: int
    """Number of faces in the frame in which this one was chosen."""
    notes: tuple[str, ...]
    """Messages for the user, one line each."""
    cuts: tuple[int, ...] = ()
    """Frames that begin a new shot."""


def track_face(
    frames: Iterable[Picture], landmarker: FaceLandmarker, source: str, policy: TrackPolicy | None = None
) -> FaceTrack:
    """Tracks one face from the first frame that shows a face to the end of the video.

    `policy.choice` chooses the face, by default the largest central one. From then on only overlap and position count,
    so the track does not jump to another person while both are visible. Frames are read once and not kept.

    Args:
        frames: RGB, all of one size, 25 a second.
        landmarker: The networks.
        source: Name of the video in messages.
        policy: Thresholds and choices; None is the defaults.

    Raises:
        FaceError: No frame shows the face; or one frame does not, and the policy is to fail.
        InputError: There are no frames.
    """
    return FaceFollower(landmarker, policy or TrackPolicy(), source).follow(frames)


def track_picture(
    picture: Picture, landmarker: FaceLandmarker, source: str, policy: TrackPolicy | None = None
) -> FaceTrack:
    """Finds the face of a still picture; returns a track of one frame.

    The landmarks are located three times: first in the square of the detection, which is coarse, then in that of the
    previous mesh, as in a video, for which the landmark network was trained.

    Raises:
        FaceError: The picture shows no face.
    """
    return track_face([picture], landmarker, source, policy)


def fill_gaps(meshes: list[Mesh | None], *, held: bool = False) -> Float32[np.ndarray, "time 478 3"]:
    """Fills in missing meshes by linear interpolation; before the first and after the last mesh these are repeated.

    Args:
        meshes: One for each frame; at least one is not None.
        held: Repeat the previous mesh instead of interpolating.
    """
    found = [(index, mesh) for index, mesh in enumerate(meshes) if mesh is not None]
    known = [index for index, _ in found]
    values = np.stack([mesh for _, mesh in found]).reshape(len(known), -1)
    time = np.arange(len(meshes))
    after = np.searchsorted(known, time).clip(0, len(known) - 1)
    before = np.where(np.take(known, after) == time, after, after - 1).clip(0)
    start, end = np.take(known, before), np.take(known, after)
    weight = np.where(end > start, (time - start) / np.maximum(end - start, 1), 0).clip(0, 1)[:, None]
    if held:
        weight = np.floor(weight)
    filled = values[before] * (1 - weight) + values[after] * weight
    return filled.astype(np.float32).reshape(len(meshes), MESH_POINTS, 3)


class FaceFollower:
    """Tracks one face frame by frame; it holds the face's last position and how long ago it was found.

    Attributes:
        last: The face in the last frame that showed it; None until it has been found.
        best_score: Highest score of a detection so far.
        num_candidates: Number of faces in the frame in which this one was chosen.
        notes: Messages for the user, one line each.
        cuts: Frames that begin a new shot.
    """

    def __init__(self, landmarker: FaceLandmarker, policy: TrackPolicy, source: str) -> None:
        self._landmarker, self._policy, self._source = landmarker, policy, source
        self.last: Mesh | None = None
        self._frames_lost = 0
        self._num_frames = 0
        self.best_score = 0.0
        self.num_candidates = 0
        self.notes: list[str] = []
        self.cuts: list[int] = []
        self._cuts = CutFinder()
        self._num_rejected = 0
        self._unseen = Unseen()

    def follow(self, frames: Iterable[Picture]) -> FaceTrack:
        """Tracks the face through all frames, as `track_face` does. Call it once; `step` takes further frames."""
        policy, source = self._policy, self._source
        meshes = [self.step(frame) for frame in frames]
        if not meshes:
            raise InputError(f"{source} has no frames; give another video")
        self.check_found()
        found = np.array([mesh is not None for mesh in meshes])
        filled = fill_gaps(meshes, held=policy.missing == "hold")
        if policy.smoothed:
            filled = smooth_meshes(filled, FRAME_RATE)
        notes = [*self.notes]
        if not found.all():
            done = {"hold": "held", "skip": "left out"}.get(policy.missing, "filled in")
            notes.append(f"the face in {source} was not found in {(~found).sum()} of {len(found)} frames: {done}")
        return FaceTrack(filled, found, self.num_candidates, tuple(notes), tuple(self.cuts))

    def check_found(self) -> None:
        """Checks that a face has been found in the frames so far.

        Raises:
            FaceError: There was none.
        """
        if self.last is None:
            if self._num_rejected:
                faces = "one face" if self._num_rejected == 1 else f"{self._num_rejected} faces"
                missed = f"{self._policy.choice.name} is not among them"
                raise FaceError(f"{self._source} shows {faces}, and {missed}; choose another, counted from 0")
            raise FaceError(self._no_face_message())

    def _no_face_message(self) -> str:
        is_picture, needed = self._num_frames == 1, self._policy.min_score
        span = "" if is_picture else f" (0.00 to {frame_time_s(self._num_frames):.2f} s)"
        best = f"the best candidate scored {self.best_score:.2f}, {needed:g} is needed"
        if self.best_score >= needed:
            best = f"a candidate scored {self.best_score:.2f}, but no landmarks were found in it"
        advice = self._unseen.advice(self.best_score, needed, "picture" if is_picture else "video")
        return f"no face in {self._source}{span}: {best}; {advice}"

    def step(self, frame: Picture) -> Mesh | None:
        """Finds the face in the next frame, RGB; returns None if the frame does not show it.

        Raises:
            FaceError: It is not found, and the policy is to fail.
        """
        mesh = self._choose_face(frame) if self.last is None else self._follow(frame, self.last)
        if mesh is None and self.last is None:
            self._unseen.add(frame)
        if mesh is not None and self._is_cut(frame, mesh):
            self.cuts.append(self._num_frames)
        if mesh is None and self._policy.missing == "fail":
            raise FaceError(
                f"no face in {self._source} at {frame_time_s(self._num_frames):.2f} s; cut that part out, or ask to "
                "interpolate, hold or skip such frames"
            )
        self._num_frames += 1
        self._frames_lost = 0 if mesh is not None else self._frames_lost + 1
        if mesh is not None:
            self.last = mesh
        return mesh

    def _is_cut(self, frame: Picture, mesh: Mesh) -> bool:
        """Tells whether the frame begins a new shot: its colours changed, or the face jumped."""
        colours_changed = self._cuts.step(frame)
        jumped = self.last is not None and overlap(box_of(mesh), box_of(self.last)) < _CUT_OVERLAP
        return colours_changed or jumped

    def _choose_face(self, frame: Picture) -> Mesh | None:
        """Searches the whole frame and chooses a face by the policy; every few frames also among small faces."""
        thorough = self._num_frames % self._policy.search_every == 0
        for candidates in self._rounds(frame):
            self.best_score = max([self.best_score, *(candidate.score for candidate in candidates)])
            good = [candidate for candidate in candidates if candidate.score >= self._policy.min_score]
            ranked = self._policy.choice.rank(frame, good)
            self._num_rejected = max(self._num_rejected, 0 if ranked else len(good))
            for choice in ranked:
                upright = upright_detection(frame, choice, self._landmarker)
                landmarks = self._locate(frame, Region.of_detection(upright))
                if landmarks is not None:
                    self._announce(len(good), Region.of_mesh(landmarks.mesh).angle_rad)
                    return landmarks.mesh
            if not thorough:
                break
        return None

    def _rounds(self, frame: Picture) -> Iterator[list[Detection]]:
        """Yields faces of the frame, round by round; turned ones at last, in a first frame without the others."""
        yield from self._landmarker.search(frame, _REPORTED_SCORE)
        if self._num_frames == 0 and self._num_rejected == 0:
            yield from search_turned(frame, self._landmarker, self._policy.min_score)

    def _locate(self, frame: Picture, region: Region) -> Landmarks | None:
        """Locates a newly detected face, first in its region, then in the square of its mesh; None if it is no face."""
        landmarks = self._landmarker.locate(frame, region)
        for _ in range(_SETTLE_STEPS):
            if landmarks.presence < self._policy.min_score:
                return None
            landmarks = self._landmarker.locate(frame, Region.of_mesh(landmarks.mesh))
        return landmarks if landmarks.presence >= self._policy.min_score else None

    def _follow(self, frame: Picture, last: Mesh) -> Mesh | None:
        """Finds the face near its last position; anywhere, if it was lost for long."""
        if self._frames_lost == 0:
            landmarks = self._landmarker.locate(frame, Region.of_mesh(last))
            if self._is_same_face(landmarks, last):
                return landmarks.mesh
        elif self._frames_lost >= self._policy.search_anew_after:
            return self._choose_face(frame)
        return self._find_again(frame, last)

    def _is_same_face(self, landmarks: Landmarks, last: Mesh) -> bool:
        if landmarks.presence < self._policy.min_score:
            return False
        return overlap(box_of(landmarks.mesh), box_of(last)) >= self._policy.min_overlap

    def _find_again(self, frame: Picture, last: Mesh) -> Mesh | None:
        """Detects the face around its last position, in a window that grows with the time for which it was lost."""
        box = box_of(last)
        size = float((box[2:] - box[:2]).max())
        centre = (box[:2] + box[2:]) / 2
        reach = size * (_REACH + _REACH_PER_FRAME * self._frames_lost)
        window = np.array([*(centre + 0.5), 2 * size + 2 * reach], np.float64)
        candidates = self._landmarker.detect_in(frame, window, self._policy.min_score)
        for choice in sorted(candidates, key=lambda one: _distance(one, centre)):
            nearby = _distance(choice, centre) <= reach
            ratio = float((choice.box[2:] - choice.box[:2]).max()) / size
            alike = 1 / _SIZE_RATIO < ratio < _SIZE_RATIO
            landmarks = self._locate(frame, Region.of_detection(choice)) if nearby and alike else None
            if landmarks is not None:
                return landmarks.mesh
        return None

    def _announce(self, num_candidates: int, angle_rad: float) -> None:
        """Records the number of faces; notes which was chosen, and a large roll; only for the first choice."""
        if self.last is not None:
            return
        self.num_candidates = num_candidates
        if abs(angle_rad) > np.radians(_NOTED_ROLL_DEG):
            self.notes.append(
                f"the face in {self._source} is turned by {abs(np.degrees(angle_rad)):.0f} degrees; it is read upright"
            )
        if num_candidates > 1:
            note = f"{self._source} shows {num_candidates} faces; {self._policy.choice.name} is taken"
            self.notes.append(note)
            logger.warning("%s", note)


def box_of(mesh: Mesh) -> Box:
    """Returns the bounding box of a mesh: x0, y0, x1, y1 in its pixels."""
    return np.concatenate([mesh[:, :2].min(axis=0), mesh[:, :2].max(axis=0)])


def _distance(detection: Detection, centre: Float32[np.ndarray, "2"]) -> float:
    return float(np.linalg.norm((detection.box[:2] + detection.box[2:]) / 2 - centre))
