"""Follows one face through a film."""

import dataclasses
import logging
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32

from pcavs.errors import FaceError, InputError
from pcavs.face.choice import FaceChoice, Largest
from pcavs.face.choice import prominence as prominence
from pcavs.face.cuts import CutFinder
from pcavs.face.landmarker import MIN_SCORE, Detection, FaceLandmarker, Landmarks, Region, overlap
from pcavs.face.smooth import smooth_meshes
from pcavs.media.timeline import frame_time_s
from pcavs.spec import FRAME_RATE, MESH_POINTS, Missing
from pcavs.types import Box, Mesh, Picture

logger = logging.getLogger(__name__)

_CUT_OVERLAP = 0.4
"""Between the boxes of neighbouring sightings; a head that is followed keeps more."""
_FAINTEST_SCORE = 0.05
"""Detections down to here are kept for the error message, so that it can name the best one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrackPolicy:
    """Whom to follow, when a face counts as found and as the same one, and how much the track is smoothed."""

    min_score: float = MIN_SCORE
    """Of a detection and of a mesh's presence."""
    min_overlap: float = 0.2
    """Between the boxes of two neighbouring frames: a head moves by a tenth of its size a frame, not by itself."""
    search_every: int = 5
    """Frames between the thorough searches while no face has been seen yet."""
    search_anew_after: int = 25
    """Frames without the face after which it is looked for anywhere, as at the beginning."""
    smoothed: bool = True
    missing: Missing = "interpolate"
    choice: FaceChoice = dataclasses.field(default_factory=Largest)
    """Who is meant where there are several."""


class FaceTrack(NamedTuple):
    """One face over time."""

    meshes: Float32[np.ndarray, "time 478 3"]
    """Pixels of the frames; filled in where the face was not found."""
    found: Bool[np.ndarray, " time"]
    """False where the mesh is filled in, as the policy says; to be skipped, where it says so."""
    num_candidates: int
    """Faces seen in the frame in which this one was chosen."""
    notes: tuple[str, ...]
    """What a user may want to know, one line each."""
    cuts: tuple[int, ...] = ()
    """Frames at which the face was somewhere else than in the frame before."""


def track_face(
    frames: Iterable[Picture], landmarker: FaceLandmarker, source: str, policy: TrackPolicy | None = None
) -> FaceTrack:
    """Follows one face from the first frame that shows any to the end of the film.

    The largest central face is chosen; from then on only overlap and place decide, so the track never jumps to
    another person while both can be seen. Frames are read once and not kept.

    Args:
        frames: All of one size, at 25 frames a second.
        landmarker: Loaded networks.
        source: Name of the film in messages.
        policy: Thresholds, where the defaults do not do.

    Raises:
        FaceError: No frame shows a face; or one does not, and the policy is to fail.
        InputError: There are no frames.
    """
    return FaceFollower(landmarker, policy or TrackPolicy(), source).follow(frames)


def track_picture(
    picture: Picture, landmarker: FaceLandmarker, source: str, policy: TrackPolicy | None = None
) -> FaceTrack:
    """Finds the face of a still, as a track of one frame.

    The picture is looked at three times, each time in the square that the last mesh gives: the detector's square
    is coarse, the mesh's own is what the landmark network is used to.

    Raises:
        FaceError: The picture shows no face.
    """
    return track_face([picture], landmarker, source, policy)


def fill_gaps(meshes: list[Mesh | None], *, held: bool = False) -> Float32[np.ndarray, "time 478 3"]:
    """Bridges missing meshes: straight between their neighbours, held before the first and after the last.

    Args:
        meshes: One a frame.
        held: Repeats the last one seen instead.
    """
    seen = [(index, mesh) for index, mesh in enumerate(meshes) if mesh is not None]
    known = [index for index, _ in seen]
    values = np.stack([mesh for _, mesh in seen]).reshape(len(known), -1)
    time = np.arange(len(meshes))
    after = np.searchsorted(known, time).clip(0, len(known) - 1)
    before = np.where(np.take(known, after) == time, after, after - 1).clip(0)
    start, end = np.take(known, before), np.take(known, after)
    share = np.where(end > start, (time - start) / np.maximum(end - start, 1), 0).clip(0, 1)[:, None]
    if held:
        share = np.floor(share)
    filled = values[before] * (1 - share) + values[after] * share
    return filled.astype(np.float32).reshape(len(meshes), MESH_POINTS, 3)


class FaceFollower:
    """The state between two frames: which face, where it was last, how long ago."""

    def __init__(self, landmarker: FaceLandmarker, policy: TrackPolicy, source: str) -> None:
        self._landmarker, self._policy, self._source = landmarker, policy, source
        self.last: Mesh | None = None
        self._frames_lost = 0
        self._frames_seen = 0
        self.best_score = 0.0
        self.num_candidates = 0
        self.notes: list[str] = []
        self.cuts: list[int] = []
        self._cuts = CutFinder()
        self._others = 0

    def follow(self, frames: Iterable[Picture]) -> FaceTrack:
        """Follows the face through all frames; `track_face` says how. May be called once; then `step` goes on."""
        policy, source = self._policy, self._source
        meshes = [self.step(frame) for frame in frames]
        if not meshes:
            raise InputError(f"{source} has no frames; give a film with at least one")
        self.check_found()
        found = np.array([mesh is not None for mesh in meshes])
        filled = fill_gaps(meshes, held=policy.missing == "hold")
        if policy.smoothed:
            filled = smooth_meshes(filled, FRAME_RATE)
        notes = [*self.notes]
        if not found.all():
            done = {"hold": "held", "skip": "left out"}.get(policy.missing, "filled in")
            notes.append(f"the face in {source} was not seen in {(~found).sum()} of {len(found)} frames: {done}")
        return FaceTrack(filled, found, self.num_candidates, tuple(notes), tuple(self.cuts))

    def check_found(self) -> None:
        """Refuses what has been seen so far, where no frame showed a face.

        Raises:
            FaceError: None did.
        """
        if self.last is None:
            if self._others:
                faces = "one face" if self._others == 1 else f"{self._others} faces"
                missed = f"{self._policy.choice.name} is not among them"
                raise FaceError(f"{self._source} shows {faces}, and {missed}; choose another, counted from 0")
            raise FaceError(_nothing_found(self._source, self._frames_seen, self.best_score, self._policy))

    def step(self, frame: Picture) -> Mesh | None:
        """Finds the face in the next frame; None where it is not seen.

        Raises:
            FaceError: It is not seen, and the policy is to fail.
        """
        mesh = self._first(frame) if self.last is None else self._next(frame, self.last)
        if mesh is not None and self._is_cut(frame, mesh):
            self.cuts.append(self._frames_seen)
        if mesh is None and self._policy.missing == "fail":
            raise FaceError(
                f"no face in {self._source} at {frame_time_s(self._frames_seen):.2f} s; cut that part out, or ask to "
                "interpolate, hold or skip such frames"
            )
        self._frames_seen += 1
        self._frames_lost = 0 if mesh is not None else self._frames_lost + 1
        if mesh is not None:
            self.last = mesh
        return mesh

    def _is_cut(self, frame: Picture, mesh: Mesh) -> bool:
        """Whether another shot shows the face: elsewhere than before, or among other colours."""
        other_colours = self._cuts.step(frame)
        elsewhere = self.last is not None and overlap(box_of(mesh), box_of(self.last)) < _CUT_OVERLAP
        return other_colours or elsewhere

    def _first(self, frame: Picture) -> Mesh | None:
        thorough = self._frames_seen % self._policy.search_every == 0
        for candidates in self._landmarker.search(frame, _FAINTEST_SCORE):
            self.best_score = max([self.best_score, *(candidate.score for candidate in candidates)])
            good = [candidate for candidate in candidates if candidate.score >= self._policy.min_score]
            meant = self._policy.choice.rank(frame, good)
            self._others = max(self._others, 0 if meant else len(good))
            for choice in meant:
                landmarks = self._settled(frame, Region.of_detection(choice))
                if landmarks is not None:
                    self._announce(len(good))
                    return landmarks.mesh
            if not thorough:
                break
        return None

    def _settled(self, frame: Picture, region: Region) -> Landmarks | None:
        """The mesh after two more looks, each through the square of the mesh before."""
        landmarks = self._landmarker.locate(frame, region)
        for _ in range(2):
            if landmarks.presence < self._policy.min_score:
                return None
            landmarks = self._landmarker.locate(frame, Region.of_mesh(landmarks.mesh))
        return landmarks if landmarks.presence >= self._policy.min_score else None

    def _next(self, frame: Picture, last: Mesh) -> Mesh | None:
        if self._frames_lost == 0:
            landmarks = self._landmarker.locate(frame, Region.of_mesh(last))
            if self._same(landmarks, last):
                return landmarks.mesh
        elif self._frames_lost >= self._policy.search_anew_after:
            return self._first(frame)
        return self._found_again(frame, last)

    def _same(self, landmarks: Landmarks, last: Mesh) -> bool:
        if landmarks.presence < self._policy.min_score:
            return False
        return overlap(box_of(landmarks.mesh), box_of(last)) >= self._policy.min_overlap

    def _found_again(self, frame: Picture, last: Mesh) -> Mesh | None:
        """Detects anew around the last place; the longer the face was lost, the wider."""
        box = box_of(last)
        size = float((box[2:] - box[:2]).max())
        centre = (box[:2] + box[2:]) / 2
        reach = size * (0.5 + 0.1 * self._frames_lost)
        window = np.array([*(centre + 0.5), 2 * size + 2 * reach], np.float64)
        candidates = self._landmarker.detect_in(frame, window, self._policy.min_score)
        for choice in sorted(candidates, key=lambda one: _distance(one, centre)):
            nearby = _distance(choice, centre) <= reach
            alike = 0.5 < float((choice.box[2:] - choice.box[:2]).max()) / size < 2
            landmarks = self._settled(frame, Region.of_detection(choice)) if nearby and alike else None
            if landmarks is not None:
                return landmarks.mesh
        return None

    def _announce(self, num_candidates: int) -> None:
        if self.last is not None:
            return
        self.num_candidates = num_candidates
        if num_candidates > 1:
            note = f"{self._source} shows {num_candidates} faces; {self._policy.choice.name} is taken"
            self.notes.append(note)
            logger.warning("%s", note)


def box_of(mesh: Mesh) -> Box:
    """The box around a mesh, x0, y0, x1, y1 in its pixels."""
    return np.concatenate([mesh[:, :2].min(axis=0), mesh[:, :2].max(axis=0)])


def _distance(detection: Detection, centre: Float32[np.ndarray, "2"]) -> float:
    return float(np.linalg.norm((detection.box[:2] + detection.box[2:]) / 2 - centre))


def _nothing_found(source: str, num_frames: int, best_score: float, policy: TrackPolicy) -> str:
    span = "" if num_frames == 1 else f" (0.00 to {frame_time_s(num_frames):.2f} s)"
    best = f"the largest candidate scored {best_score:.2f}, {policy.min_score:g} is needed"
    if best_score >= policy.min_score:
        best = f"a candidate scored {best_score:.2f}, but shows no eyes, nose and mouth"
    hint = "try a frontal picture" if num_frames == 1 else "try a film of a frontal face"
    return f"no face in {source}{span}: {best}; {hint}"
