"""Follows every face of a film at once, reading it once; a hard cut ends all of them.

Of each frame only a window around each face is kept, so that memory does not grow with the film or with its size.
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

MOST_PEOPLE: Final = 4
"""Faces followed at a time, the most prominent ones: each costs memory."""

_WINDOW: Final = 2.2
"""Side of the kept window in sizes of the face; the crop takes 1.35 of it, the rest is room to move."""

_LOOK_EVERY: Final = 12
"""Frames between looks for newcomers while a face is followed."""

_SEARCH_EVERY: Final = 5
"""The same while none is."""

_THOROUGH_EVERY: Final = 50
"""Frames between searches for small faces while none is followed: one takes as long as following does in 50."""

_MOST_LOST: Final = 5
"""Frames without the face after which it has gone."""

_SAME_PLACE: Final = 0.2
"""Overlap of a face with itself a frame later: a head moves by a tenth of its size a frame."""

_ONE_FACE: Final = 0.5
"""Overlap above which two tracks have come to follow one face."""


class Seen(NamedTuple):
    """A face in one frame."""

    mesh: Mesh | None
    """Pixels of the film; None where it was not found."""
    window: Picture
    place: CropTransform
    """From pixels of the film to pixels of the window."""


class FaceClip(NamedTuple):
    """One face from its first frame to its last."""

    first: int
    """Index of the first frame, from where reading began."""
    meshes: list[Mesh | None]
    windows: list[Picture]
    places: list[CropTransform]

    @property
    def found(self) -> Bool[np.ndarray, " time"]:
        """Where the face was seen."""
        return np.array([mesh is not None for mesh in self.meshes])


class _Track:
    """A face that is being followed."""

    def __init__(self, first: int, mesh: Mesh) -> None:
        self.first, self.last, self.lost = first, mesh, 0
        self.seen: list[Seen] = []

    def add(self, picture: Picture, mesh: Mesh | None, most_px: int) -> None:
        self.lost = 0 if mesh is not None else self.lost + 1
        self.last = self.last if mesh is None else mesh
        self.seen.append(Seen(mesh, *_window(picture, self.last, most_px)))

    def finish(self) -> FaceClip:
        """The clip, less the frames since the face was last seen."""
        seen = self.seen[: len(self.seen) - self.lost]
        return FaceClip(self.first, [s.mesh for s in seen], [s.window for s in seen], [s.place for s in seen])


class Follower:
    """Frames in, finished clips out; call `step` with each frame and `finish` at the end.

    Args:
        landmarker: Loaded networks.
        longest: Frames after which a clip ends and the next begins.
        window_px: Largest side of a kept window, in pixels.
    """

    def __init__(self, landmarker: FaceLandmarker, longest: int, window_px: int) -> None:
        self._landmarker, self._longest, self._window_px = landmarker, longest, window_px
        self._tracks: list[_Track] = []
        self._cuts = CutFinder()
        self.frame = 0

    @property
    def earliest(self) -> int:
        """First frame that a clip still to come may begin with."""
        return min([track.first for track in self._tracks], default=self.frame)

    def step(self, picture: Picture) -> list[FaceClip]:
        """Follows the faces into the next frame; gives the clips that ended before it."""
        is_cut = self._cuts.step(picture)
        ended = self.finish() if is_cut else self._continue(picture)
        if is_cut or self._is_time_to_look():
            self._welcome(picture, is_cut)
        self.frame += 1
        return ended

    def finish(self) -> list[FaceClip]:
        """Ends all clips."""
        ended = [track.finish() for track in self._tracks]
        self._tracks = []
        return ended

    def _is_time_to_look(self) -> bool:
        return self.frame % (_LOOK_EVERY if self._tracks else _SEARCH_EVERY) == 0

    def _continue(self, picture: Picture) -> list[FaceClip]:
        kept: list[_Track] = []
        ended: list[FaceClip] = []
        for track in self._tracks:
            mesh = self._next(picture, track)
            # A track that has slid onto another one's face has lost its own.
            doubled = (
                any(overlap(box_of(mesh), box_of(o.last)) > _ONE_FACE for o in kept) if mesh is not None else False
            )
            if doubled or (mesh is None and track.lost >= _MOST_LOST):
                ended.append(track.finish())
                continue
            if len(track.seen) >= self._longest:
                ended.append(track.finish())
                if mesh is None:
                    continue
                track = _Track(self.frame, mesh)
            track.add(picture, mesh, self._window_px)
            kept.append(track)
        self._tracks = kept
        return ended

    def _next(self, picture: Picture, track: _Track) -> Mesh | None:
        if track.lost == 0:
            landmarks = self._landmarker.locate(picture, Region.of_mesh(track.last))
            if landmarks.presence >= MIN_SCORE and overlap(box_of(landmarks.mesh), box_of(track.last)) >= _SAME_PLACE:
                return landmarks.mesh
        box = box_of(track.last)
        size, centre = float((box[2:] - box[:2]).max()), (box[:2] + box[2:]) / 2
        window = np.array([*(centre + 0.5), 3 * size], np.float64)
        for choice in self._landmarker.detect_in(picture, window):
            if overlap(choice.box, box) > 0:
                landmarks = settle(self._landmarker, picture, choice)
                if landmarks is not None and overlap(box_of(landmarks.mesh), box) >= _SAME_PLACE:
                    return landmarks.mesh
        return None

    def _welcome(self, picture: Picture, is_cut: bool) -> None:
        """Begins to follow faces that are not followed yet."""
        thorough = not self._tracks and (is_cut or self.frame % _THOROUGH_EVERY == 0)
        height, width = picture.shape[:2]
        for found in self._looks(picture, thorough):
            for face in sorted(found, key=lambda one: prominence(one.box, width, height), reverse=True):
                if len(self._tracks) < MOST_PEOPLE and not self._is_followed(face.box):
                    landmarks = settle(self._landmarker, picture, face)
                    if landmarks is not None and not self._is_followed(box_of(landmarks.mesh)):
                        track = _Track(self.frame, landmarks.mesh)
                        track.add(picture, landmarks.mesh, self._window_px)
                        self._tracks.append(track)
            if self._tracks:
                return

    def _looks(self, picture: Picture, thorough: bool) -> Iterator[list[Detection]]:
        """The detector's looks, coarse to fine; those beyond the third take long."""
        return itertools.islice(self._landmarker.search(picture), None if thorough else 1 if self._tracks else 3)

    def _is_followed(self, box: Float32[np.ndarray, "4"]) -> bool:
        return any(overlap(box, box_of(track.last)) > _SAME_PLACE for track in self._tracks)


def settle(landmarker: FaceLandmarker, picture: Picture, face: Detection) -> Landmarks | None:
    """Finds the mesh of a detected face by three looks, each through the square of the one before."""
    landmarks = landmarker.locate(picture, Region.of_detection(face))
    for _ in range(2):
        if landmarks.presence < MIN_SCORE:
            return None
        landmarks = landmarker.locate(picture, Region.of_mesh(landmarks.mesh))
    return landmarks if landmarks.presence >= MIN_SCORE else None


def _window(
    picture: Picture, mesh: Mesh, most_px: int
) -> tuple[UInt8[np.ndarray, "window_height window_width 3"], CropTransform]:
    """Cuts the square around a face out of a frame, as far as there is picture, and brings it below `most_px`."""
    box = box_of(mesh)
    centre, half = (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max()) * _WINDOW / 2
    height, width = picture.shape[:2]
    x0, y0 = np.clip(np.floor(centre - half), 0, [width - 1, height - 1]).astype(int).tolist()
    x1, y1 = np.clip(np.ceil(centre + half) + 1, [x0 + 1, y0 + 1], [width, height]).astype(int).tolist()
    part = picture[y0:y1, x0:x1]
    scale = min(1.0, most_px / max(x1 - x0, y1 - y0))
    if scale == 1:
        return part.copy(), np.array([[1.0, 0, -x0], [0, 1, -y0]])
    size = (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    step = np.array([size[0] / (x1 - x0), size[1] / (y1 - y0)])
    shift = step * (np.array([0.5, 0.5]) - [x0, y0]) - 0.5
    return cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.column_stack([np.diag(step), shift])
