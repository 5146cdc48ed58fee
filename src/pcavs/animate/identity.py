"""Reads the pictures of a person: one to animate, and more that tell how the person looks."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from pcavs.animate.timing import Timing
from pcavs.face.align import Square, apply_transform, clip_transform
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import pose_code
from pcavs.face.track import TrackPolicy, track_picture
from pcavs.media.image import read_picture
from pcavs.pose.codes import PoseCode, picture_angles
from pcavs.runtime.base import IdentityArrays, Runtime
from pcavs.types import CropTransform, Mesh, Picture

_VISIBLY_ENLARGED = 1.5
_ABOUT_AS_GOOD = 0.9
"""Share of the best picture's worth from which on another is as good."""
_ALIKE = 1e-6
_TURNED_DEG = 25.0
"""A reference that is turned by so much counts for a third of a frontal one."""


class FaceReader(NamedTuple):
    """What looks at pictures: the talker, the face networks, and where crops are to lie."""

    runtime: Runtime
    landmarker: FaceLandmarker
    timing: Timing
    policy: TrackPolicy | None = None
    """How a face is followed, where the timing's way does not do."""


class SourceCrop(NamedTuple):
    """The picture that a crop was cut from."""

    picture: Picture
    transform: CropTransform
    """To pixels of the crop at the film's size."""

    def widened(self, margin_px: int) -> "SourceCrop":
        """The same for a crop with a margin around it."""
        transform = self.transform.copy()
        transform[:, 2] += margin_px
        return self._replace(transform=transform)


class Identity(NamedTuple):
    """The person to animate."""

    codes: IdentityArrays
    picture: UInt8[np.ndarray, "side side 3"]
    """Aligned crop at the film's size, RGB."""
    notes: tuple[str, ...]
    seen: PoseCode | None = None
    """Pose of the picture by its landmarks."""
    whole: SourceCrop | None = None
    """Where the crop is from."""
    mesh: Mesh | None = None
    """Landmarks of the picture, in pixels of the crop."""


def read_identity(path: Path, side_px: int, eyes: FaceReader) -> Identity:
    """Reads, aligns and encodes a picture, or the first frame of a film.

    Args:
        path: The picture.
        side_px: Side of the film.
        eyes: What looks at it.

    Raises:
        FaceError: The picture shows no face.
        InputError: It cannot be read.
    """
    picture = read_picture(path)
    timing, spec = eyes.timing, eyes.runtime.spec
    track = track_picture(picture, eyes.landmarker, path.name, eyes.policy or timing.policy)

    def crop(px: int) -> Square:
        transform = next(timing.transforms(track.meshes, spec.crop, px))
        return timing.cut(picture, transform, px)

    notes = [*track.notes]
    transform = clip_transform(track.meshes, spec.crop, side_px)
    enlarged = float(np.sqrt(np.linalg.det(transform[:, :2])))
    if enlarged > _VISIBLY_ENLARGED:
        notes.append(f"{path.name} holds {side_px / enlarged:.0f} px of what the film shows in {side_px}: enlarged")
    meshes = apply_transform(transform, track.meshes)
    seen = pose_code(meshes, side_px)[0]
    codes = eyes.runtime.encode_identity(crop(spec.sizes.frame_px))
    return Identity(codes, crop(side_px), tuple(notes), seen, SourceCrop(picture, transform), meshes[0])


def read_identities(paths: Sequence[Path], side_px: int, eyes: FaceReader) -> Identity:
    """Reads one or more pictures of a person as one identity; their order means nothing.

    Of the sharpest, most frontal pictures the one that is most like all others is animated: a `flow` talker moves its
    pixels, and its maps and codes are taken as they are. What tells the person apart (for a `paper` talker the maps
    too) is averaged over all pictures, each weighted by sharpness and pose.

    Raises:
        FaceError: A picture shows no face.
        InputError: One cannot be read.
    """
    # Sums of floats depend on their order, so the order is that of the contents.
    people = sorted((read_identity(path, side_px, eyes) for path in paths), key=_digest)
    if len(people) == 1:
        return people[0]
    weights = np.array([_worth(person) for person in people])
    vectors = np.stack([person.codes.vector for person in people])
    best = people[_chosen(weights, vectors)]
    share = (weights / weights.sum()).astype(np.float32)
    vector = np.einsum("n,nd->d", share, vectors)
    maps = best.codes.maps
    if eyes.runtime.spec.kind == "paper":
        levels = zip(*(person.codes.maps for person in people), strict=True)
        maps = tuple(np.einsum("n,nchw->chw", share, np.stack(level)) for level in levels)
    notes = tuple(sorted({note for person in people for note in person.notes}))
    return best._replace(codes=best.codes._replace(vector=vector.astype(np.float32), maps=maps), notes=notes)


def _chosen(worth: Float[np.ndarray, " people"], vectors: Float32[np.ndarray, "people vector"]) -> int:
    """Number of the picture to animate: of those about as good as the best, the one most like the others.

    Small differences in sharpness mean nothing; a picture with an odd look, light or face does.
    """
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
    likeness = (units @ units.T).mean(axis=1)
    likeness = np.where(worth >= _ABOUT_AS_GOOD * worth.max(), likeness, -np.inf)
    # Two pictures are as like each other as the other way round: then it is the better one.
    return int(np.where(likeness >= likeness.max() - _ALIKE, worth, -np.inf).argmax())


def _digest(person: Identity) -> bytes:
    return hashlib.sha256(person.picture.tobytes()).digest()


def _worth(person: Identity) -> float:
    """Sharpness, less the farther the head is turned away."""
    grey = cv2.cvtColor(person.picture, cv2.COLOR_RGB2GRAY)
    middle = slice(len(grey) // 6, -len(grey) // 6)
    sharpness = float(cv2.Laplacian(grey[middle, middle], cv2.CV_32F).std())
    assert person.seen is not None
    yaw, pitch, _ = picture_angles(person.seen)
    return (sharpness + 1e-3) * float(np.exp(-(yaw**2 + pitch**2) / _TURNED_DEG**2))
