"""Tracks every face of a video in one pass over its frames; a hard cut ends all tracks.

Of each frame only a window around each face is kept, so memory grows with neither the video's length nor its frame
size. `pcavs.face.track` tracks the one face of a short video instead.
"""

import itertools
from collections.abc import Iterator
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from pcavs.face.cuts import CutFinder
from pcavs.face.landmarker import MIN_SCORE, Detection, FaceLandmarker, Landmarks, Region, overlap
from pcavs.face.track import box_of, prominence
from pcavs.types import CropTransform, Mesh, Picture

# The values below were tuned by hand, the intervals with a view to speed; none was measured.

MAX_FACES: Final = 4
"""Faces tracked at a time, the most prominent ones; each one costs memory."""

_WINDOW_SCALE: Final = 2.2
"""Side of the kept window, in sizes of the face; the crop needs 1.35 of it, the rest leaves room for motion."""

_SEARCH_INTERVAL: Final = 12
"""Frames between searches for further faces while at least one is tracked."""

_IDLE_SEARCH_INTERVAL: Final = 5
"""Frames between searches while no face is tracked."""

_FINE_SEARCH_INTERVAL: Final = 50
"""Frames between searches for small faces while none is tracked; one takes as long as tracking 50 frames."""

_COARSE_PASSES: Final = 3
"""Passes of the detector, from coarse to fine, in a search that does not look for small faces."""

_MAX_LOST: Final = 5
"""Frames without the face after which its track ends."""

_MIN_SAME_OVERLAP: Final = 0.2
"""Overlap of boxes (0 to 1) from which on a face is taken for the tracked one; a head moves by about a tenth of its
size in a frame."""

_MAX_OVERLAP: Final = 0.5
"""Overlap of two tracks above which both are on one face."""

_RECOVERY_SCALE: Final = 3
"""Side of the square searched for a lost face, in sizes of the face."""

_REFINEMENTS: Final = 2
"""Passes of the landmark network after the first one on a new face, each on the region of the previous mesh."""


class TrackedFrame(NamedTuple):
    """A face in one frame."""

    mesh: Mesh | None
    """In pixels of the video; None where the face was not found."""
    window: Picture
    window_transform: CropTransform
    """From pixels of the video to pixels of the window."""


class FaceClip(NamedTuple):
    """One face from its first frame to its last, one item per frame."""

    first: int
    """Index of the first frame, counted from where reading began."""
    meshes: list[Mesh | None]
    windows: list[Picture]
    window_transforms: list[CropTransform]

    @property
    def found(self) -> Bool[np.ndarray, " time"]:
        """Frames in which the face was found."""
        return np.array([mesh is not None for mesh in self.meshes])


class _Track:
    """The track of one face."""

    def __init__(self, first: int, mesh: Mesh) -> None:
        self.first, self.last_mesh, self.num_lost = first, mesh, 0
        self.frames: list[TrackedFrame] = []

    def add(self, picture: Picture, mesh: Mesh | None, max_px: int) -> None:
        self.num_lost = 0 if mesh is not None else self.num_lost + 1
        self.last_mesh = self.last_mesh if mesh is None else mesh
        self.frames.append(TrackedFrame(mesh, *_cut_window(picture, self.last_mesh, max_px)))

    def finish(self) -> FaceClip:
        """Returns the clip up to the last frame in which the face was found."""
        frames = self.frames[: len(self.frames) - self.num_lost]
        return FaceClip(
            self.first,
            [frame.mesh for frame in frames],
            [frame.window for frame in frames],
            [frame.window_transform for frame in frames],
        )


class FaceTracker:
    """Takes frames and returns finished clips: call `step` with each frame, then `finish`.

    Args:
        landmarker: Loaded networks.
        max_frames: Number of frames after which a clip ends and the next one begins.
        window_px: Largest side of a kept window, in pixels.
    """

    def __init__(self, landmarker: FaceLandmarker, max_frames: int, window_px: int) -> None:
        self._landmarker, self._max_frames, self._window_px = landmarker, max_frames, window_px
        self._tracks: list[_Track] = []
        self._cuts = CutFinder()
        self.frame = 0

    @property
    def earliest(self) -> int:
        """First frame that a clip not yet returned can begin with."""
        return min([track.first for track in self._tracks], default=self.frame)

    def step(self, picture: Picture) -> list[FaceClip]:
        """Tracks the faces into the next frame; returns the clips that ended before it."""
        is_cut = self._cuts.step(picture)
        ended = self.finish() if is_cut else self._continue(picture)
        if is_cut or self._is_search_due():
            self._start_tracks(picture, is_cut)
        self.frame += 1
        return ended

    def finish(self) -> list[FaceClip]:
        """Ends all tracks and returns their clips."""
        ended = [track.finish() for track in self._tracks]
        self._tracks = []
        return ended

    def _is_search_due(self) -> bool:
        return self.frame % (_SEARCH_INTERVAL if self._tracks else _IDLE_SEARCH_INTERVAL) == 0

    def _continue(self, picture: Picture) -> list[FaceClip]:
        """Continues each track into a frame; returns the clips of those that end."""
        kept: list[_Track] = []
        ended: list[FaceClip] = []
        for track in self._tracks:
            mesh = self._locate(picture, track)
            # Two tracks on one face: this one has lost its own face and slid onto the other's.
            is_duplicate = mesh is not None and any(
                overlap(box_of(mesh), box_of(other.last_mesh)) > _MAX_OVERLAP for other in kept
            )
            if is_duplicate or (mesh is None and track.num_lost >= _MAX_LOST):
                ended.append(track.finish())
                continue
            if len(track.frames) >= self._max_frames:
                ended.append(track.finish())
                if mesh is None:
                    continue
                track = _Track(self.frame, mesh)
            track.add(picture, mesh, self._window_px)
            kept.append(track)
        self._tracks = kept
        return ended

    def _locate(self, picture: Picture, track: _Track) -> Mesh | None:
        """Finds a track's face from its last mesh, or by the detector around the place where it was lost."""
        last_box = box_of(track.last_mesh)
        if track.num_lost == 0:
            landmarks = self._landmarker.locate(picture, Region.of_mesh(track.last_mesh))
            if landmarks.presence >= MIN_SCORE and overlap(box_of(landmarks.mesh), last_box) >= _MIN_SAME_OVERLAP:
                return landmarks.mesh
        size, centre = float((last_box[2:] - last_box[:2]).max()), (last_box[:2] + last_box[2:]) / 2
        square = np.array([*(centre + 0.5), _RECOVERY_SCALE * size], np.float64)
        for detection in self._landmarker.detect_in(picture, square):
            if overlap(detection.box, last_box) > 0:
                landmarks = refine_mesh(self._landmarker, picture, detection)
                if landmarks is not None and overlap(box_of(landmarks.mesh), last_box) >= _MIN_SAME_OVERLAP:
                    return landmarks.mesh
        return None

    def _start_tracks(self, picture: Picture, is_cut: bool) -> None:
        """Starts a track for each face that is not tracked yet, the most prominent ones first."""
        is_fine = not self._tracks and (is_cut or self.frame % _FINE_SEARCH_INTERVAL == 0)
        height, width = picture.shape[:2]
        for detections in self._search(picture, is_fine):
            for face in sorted(detections, key=lambda one: prominence(one.box, width, height), reverse=True):
                if len(self._tracks) < MAX_FACES and not self._is_tracked(face.box):
                    landmarks = refine_mesh(self._landmarker, picture, face)
                    if landmarks is not None and not self._is_tracked(box_of(landmarks.mesh)):
                        track = _Track(self.frame, landmarks.mesh)
                        track.add(picture, landmarks.mesh, self._window_px)
                        self._tracks.append(track)
            if self._tracks:
                return

    def _search(self, picture: Picture, is_fine: bool) -> Iterator[list[Detection]]:
        """Yields the detections of each pass, from coarse to fine; the fine passes are slow."""
        num_passes = None if is_fine else 1 if self._tracks else _COARSE_PASSES
        return itertools.islice(self._landmarker.search(picture), num_passes)

    def _is_tracked(self, box: Float32[np.ndarray, "4"]) -> bool:
        return any(overlap(box, box_of(track.last_mesh)) > _MIN_SAME_OVERLAP for track in self._tracks)


def refine_mesh(landmarker: FaceLandmarker, picture: Picture, face: Detection) -> Landmarks | None:
    """Finds the mesh of a detected face in three passes, each on the region of the one before; None where it fails."""
    landmarks = landmarker.locate(picture, Region.of_detection(face))
    for _ in range(_REFINEMENTS):
        if landmarks.presence < MIN_SCORE:
            return None
        landmarks = landmarker.locate(picture, Region.of_mesh(landmarks.mesh))
    return landmarks if landmarks.presence >= MIN_SCORE else None


def _cut_window(
    picture: Picture, mesh: Mesh, max_px: int
) -> tuple[UInt8[np.ndarray, "window_height window_width 3"], CropTransform]:
    """Cuts the square around a face out of a frame, clipped at the frame's border and scaled down to `max_px`.

    Returns:
        The window, and the transform from pixels of the frame to pixels of the window.
    """
    box = box_of(mesh)
    centre, half = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max()) * _WINDOW_SCALE / 2
    height, width = picture.shape[:2]
    x0, y0 = np.clip(np.floor(centre - half), 0, [width - 1, height - 1]).astype(int).tolist()
    x1, y1 = np.clip(np.ceil(centre + half) + 1, [x0 + 1, y0 + 1], [width, height]).astype(int).tolist()
    window = picture[y0:y1, x0:x1]
    scale = min(1.0, max_px / max(x1 - x0, y1 - y0))
    if scale == 1:
        return window.copy(), np.array([[1.0, 0, -x0], [0, 1, -y0]])
    size = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    factor = np.array([size[0] / (x1 - x0), size[1] / (y1 - y0)])
    shift = factor * (np.array([0.5, 0.5]) - [x0, y0]) - 0.5  # pixel centres are at integers
    return cv2.resize(window, size, interpolation=cv2.INTER_AREA), np.column_stack([np.diag(factor), shift])
