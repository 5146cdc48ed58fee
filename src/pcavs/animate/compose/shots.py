"""Finds the shots of a video that show the person who is dubbed: an edited film may cut to somebody else.

People are told apart by the colours and the light of their aligned faces, which needs no further network. Of the
faces that the weights were fitted to, 97 % of those of one person in one video are taken for the same, and 6 % of pairs
of people; it was not measured on others.
Light or make-up that change with a cut count as somebody else, because a mouth in the wrong face is worse than a shot
that is left alone.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32

from pcavs.face.align import clip_transform, crop_picture
from pcavs.face.choice import Largest
from pcavs.face.cuts import CutFinder
from pcavs.face.landmarker import Detection, FaceLandmarker, Region
from pcavs.face.track import FaceFollower, TrackPolicy
from pcavs.media.timeline import frame_time_s
from pcavs.spec import CropSpec
from pcavs.types import Mesh, Picture

SHOT_SIDE_PX: Final = 640
"""Larger side to which frames are reduced while shots are searched, for speed."""
_CROP_PX: Final = 32
_ROWS, _COLUMNS = slice(5, 27), slice(8, 24)
"""Side of the aligned face that is compared, and its part without hair and background."""
_COLOUR, _HUE, _LIGHT, _OFFSET = 4.3, 1.7, 3.35, 7.1
"""Weights of a logistic regression on the square roots of the three differences (`_likeness`), from 270 faces of 80
people in photographs and videos."""
_SAME: Final = 1.7
"""Likeness from which two faces are the same person."""
_MAX_REFERENCES: Final = 24
"""Faces of the person that others are compared with."""
_SAMPLED_EVERY: Final = 5
"""Frames from one reference to the next."""
_SHOTS_IN_NOTE: Final = 3
"""Shots whose times a note gives."""


class FaceColours(NamedTuple):
    """What faces are compared by."""

    mean: Float32[np.ndarray, "3"]
    """Mean colour of the face, in OpenCV's 8-bit Lab."""
    light: Float32[np.ndarray, " pixels"]
    """Lightness of the face's pixels, with mean 0 and norm 1."""


class Shot(NamedTuple):
    """Frames from one cut to the next."""

    first: int
    last: int
    """The last frame of the shot."""
    has_person: bool


class SamePerson:
    """A face choice: of the faces of a frame, those that may be the person, the most similar one first."""

    name = "the person of the identity"

    def __init__(self, landmarker: FaceLandmarker, crop: CropSpec, references: Sequence[FaceColours]) -> None:
        """Takes the faces of the person to compare with."""
        self._landmarker, self._crop, self._references = landmarker, crop, references

    def likeness(self, picture: Picture, mesh: Mesh) -> float:
        """Returns how much a face is like the most similar reference; `_SAME` decides."""
        colours = face_colours(picture, mesh, self._crop)
        return max(_likeness(colours, reference) for reference in self._references)

    def rank(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection]:
        """Ranks the faces; those that are not the person are left out."""
        liked: list[tuple[float, int]] = []
        for index, face in enumerate(faces):
            landmarks = self._landmarker.locate(picture, Region.of_detection(face))
            landmarks = self._landmarker.locate(picture, Region.of_mesh(landmarks.mesh))
            liked.append((self.likeness(picture, landmarks.mesh), index))
        return [faces[index] for value, index in sorted(liked, reverse=True) if value >= _SAME]


class ShotFollower:
    """Follows the person through a video with cuts; implements `dub.Follower`."""

    def __init__(self, shots: Sequence[Shot], follow: Callable[[], FaceFollower]) -> None:
        """Stores the shots, and what makes a follower for one of them."""
        self._shots = {shot.first: shot for shot in shots}
        self._follow, self._frame = follow, 0
        self._follower: FaceFollower | None = None

    def step(self, frame: Picture) -> Mesh | None:
        """Returns the person's landmarks in the next frame; None where the person is not found."""
        shot = self._shots.get(self._frame)
        self._frame += 1
        if shot is not None:
            self._follower = self._follow() if shot.has_person else None
        return None if self._follower is None else self._follower.step(frame)


def face_colours(picture: Picture, mesh: Mesh, crop: CropSpec) -> FaceColours:
    """Returns what a face is compared by."""
    face = crop_picture(picture, clip_transform(mesh[None], crop, _CROP_PX), _CROP_PX, smooth=False)
    lab = cv2.cvtColor(np.ascontiguousarray(face[_ROWS, _COLUMNS]), cv2.COLOR_RGB2LAB).astype(np.float32)
    light = lab[..., 0].ravel() - lab[..., 0].mean()
    return FaceColours(lab.reshape(-1, 3).mean(axis=0), light / max(float(np.linalg.norm(light)), 1e-6))


class ShotFinder:
    """Finds the cuts of a video, and the shots that show the person of its first shot with a face."""

    def __init__(self, landmarker: FaceLandmarker, crop: CropSpec, policy: TrackPolicy) -> None:
        """Starts before the first frame.

        Args:
            landmarker: The face networks.
            crop: Where an aligned face has its landmarks.
            policy: Chooses the person in that first shot.
        """
        self._landmarker, self._crop, self._policy = landmarker, crop, policy
        self._references: list[FaceColours] = []
        self.person = SamePerson(landmarker, crop, self._references)
        """Chooses the person's face in any frame, once `step` has seen it."""
        self._cuts = CutFinder()
        self._follower = FaceFollower(landmarker, policy, "the video")
        self._last: FaceColours | None = None
        self._own_shot: int | None = None
        self._starts: list[int] = []
        self._likeness: list[float] = []
        self._num_frames = 0

    def step(self, frame: Picture) -> None:
        """Takes the next frame, reduced to `SHOT_SIDE_PX`."""
        is_cut = self._cuts.step(frame) or self._num_frames == 0
        colours = None if is_cut else self._face_of(frame)
        if is_cut or self._is_other(colours):
            self._begin_shot()
            colours = self._face_of(frame)
        self._last = colours
        shot = len(self._starts) - 1
        if colours is not None and (self._own_shot is None or self._own_shot == shot):
            self._own_shot, self._likeness[-1] = shot, np.inf
            if len(self._references) < _MAX_REFERENCES and (self._num_frames - self._starts[-1]) % _SAMPLED_EVERY == 0:
                self._references.append(colours)
        elif colours is not None:
            likeness = max(_likeness(colours, reference) for reference in self._references)
            self._likeness[-1] = max(self._likeness[-1], likeness)
        self._num_frames += 1

    def shots(self) -> list[Shot]:
        """Returns the shots so far, in order, without gaps."""
        ends = [*(start - 1 for start in self._starts[1:]), self._num_frames - 1]
        known = (likeness >= _SAME for likeness in self._likeness)
        return [Shot(*row) for row in zip(self._starts, ends, known, strict=True)]

    def _begin_shot(self) -> None:
        self._starts.append(self._num_frames)
        self._likeness.append(-np.inf)
        policy = self._policy
        if self._references:
            # Somebody else is followed as well, so that another cut is noticed.
            policy = dataclasses.replace(policy, choice=_PersonFirst(self.person))
        self._follower = FaceFollower(self._landmarker, policy, "the video")

    def _face_of(self, frame: Picture) -> FaceColours | None:
        mesh = self._follower.step(frame)
        return None if mesh is None else face_colours(frame, mesh, self._crop)

    def _is_other(self, colours: FaceColours | None) -> bool:
        """Tells whether the face is another one than in the last frame: a cut that hardly changes the colours."""
        return colours is not None and self._last is not None and _likeness(colours, self._last) < _SAME


class _PersonFirst:
    """A face choice: the person if the frame shows them, otherwise the largest central face."""

    name = "the person of the identity, or the largest central one"

    def __init__(self, person: SamePerson) -> None:
        self._person = person

    def rank(self, picture: Picture, faces: Sequence[Detection]) -> list[Detection]:
        """Ranks the faces."""
        return self._person.rank(picture, faces) or Largest().rank(picture, faces)


def shot_note(shots: Sequence[Shot], name: str) -> list[str]:
    """Returns a note that says which shots are left as they are, if there are any."""
    left = [shot for shot in shots if not shot.has_person]
    if not left:
        return []
    spans = ", ".join(
        f"{frame_time_s(shot.first):.2f} to {frame_time_s(shot.last + 1):.2f} s" for shot in left[:_SHOTS_IN_NOTE]
    )
    more = f" and {len(left) - _SHOTS_IN_NOTE} more shots" if len(left) > _SHOTS_IN_NOTE else ""
    return [f"{name} does not show the person at {spans}{more}; that is left as it is"]


def _likeness(one: FaceColours, other: FaceColours) -> float:
    """Returns the log-odds that two faces are the same person: of colour, of hue, and of where light and dark are."""
    difference = one.mean - other.mean
    colour, hue = np.linalg.norm(difference) / 30, np.linalg.norm(difference[1:]) / 10
    light = max(0.0, 1 - float(one.light @ other.light)) / 0.5
    return float(_OFFSET - _COLOUR * np.sqrt(colour) - _HUE * np.sqrt(hue) - _LIGHT * np.sqrt(light))
