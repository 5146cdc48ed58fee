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
from pcavs.face.pose import angles_deg, head_pose
from pcavs.face.track import TrackPolicy, track_picture
from pcavs.media.image import read_picture
from pcavs.pose.codes import Angles
from pcavs.runtime.base import IdentityArrays, Runtime
from pcavs.types import CropTransform, Mesh, Picture

LEAST_SIDE_PX, MOST_SIDE_PX = 64, 1024
"""Smallest and largest side of a crop that keeps its picture's resolution, in pixels."""
_VISIBLY_ENLARGED = 1.5
_ABOUT_AS_GOOD = 0.9
"""Share of the best picture's worth from which on another is as good."""
_ALIKE = 1e-6
_TURNED_DEG = 25.0
"""A reference that is turned by so much counts for a third of a frontal one."""


class FaceReader(NamedTuple):
    """What reads faces in pictures and videos: the talker's encoders, the face networks, and where crops lie."""

    runtime: Runtime
    landmarker: FaceLandmarker
    timing: Timing
    policy: TrackPolicy | None = None
    """How a face is followed; None follows it as `timing` says."""


class SourceCrop(NamedTuple):
    """The picture that an aligned crop was cut from."""

    picture: Picture
    transform: CropTransform
    """From pixels of the picture to pixels of the crop at the film's size."""

    def widened(self, margin_px: int) -> "SourceCrop":
        """Returns the same for the crop with a margin around it."""
        transform = self.transform.copy()
        transform[:, 2] += margin_px
        return self._replace(transform=transform)


class Identity(NamedTuple):
    """The person to animate."""

    codes: IdentityArrays
    picture: UInt8[np.ndarray, "side side 3"]
    """Aligned crop at the film's size, RGB."""
    mesh: Mesh
    """Landmarks in pixels of the crop."""
    own_deg: Angles
    """Yaw, pitch and roll of the photograph, from its landmarks."""
    source_crop: SourceCrop | None = None
    """What the crop was cut from; None where faces come aligned."""
    notes: tuple[str, ...] = ()


def identity_of(
    codes: IdentityArrays, picture: UInt8[np.ndarray, "side side 3"], mesh: Mesh, notes: Sequence[str] = ()
) -> Identity:
    """Returns the identity of a face that is aligned already.

    Args:
        codes: Of the talker's encoders.
        picture: The aligned crop, RGB.
        mesh: Landmarks in pixels of the crop.
        notes: What a user may want to know.
    """
    own_deg = angles_deg(head_pose(mesh[None]).rotation.astype(np.float64))[0]
    return Identity(codes, picture, mesh, own_deg, notes=tuple(notes))


def read_identity(path: Path, side_px: int | None, reader: FaceReader) -> Identity:
    """Reads, aligns and encodes a picture, or the first frame of a video.

    Args:
        path: The picture or video.
        side_px: Side of the crop; None keeps the resolution that the picture has.
        reader: Reads faces.

    Raises:
        FaceError: The picture shows no face.
        InputError: It cannot be read.
    """
    picture = read_picture(path)
    timing, spec = reader.timing, reader.runtime.spec
    track = track_picture(picture, reader.landmarker, path.name, reader.policy or timing.policy)
    if side_px is None:
        side_px = own_side_px(clip_transform(track.meshes, spec.crop, spec.sizes.picture_px), spec.sizes.picture_px)

    def crop(px: int) -> Square:
        transform = next(timing.transforms(track.meshes, spec.crop, px))
        return timing.cut(picture, transform, px)

    notes = [*track.notes]
    transform = clip_transform(track.meshes, spec.crop, side_px)
    enlarged = float(np.sqrt(np.linalg.det(transform[:, :2])))
    if enlarged > _VISIBLY_ENLARGED:
        notes.append(f"{path.name} holds {side_px / enlarged:.0f} px of what the film shows in {side_px}: enlarged")
    mesh = apply_transform(transform, track.meshes)[0]
    identity = identity_of(reader.runtime.encode_identity(crop(spec.sizes.frame_px)), crop(side_px), mesh, notes)
    return identity._replace(source_crop=SourceCrop(picture, transform))


def own_side_px(transform: CropTransform, side_px: int) -> int:
    """Returns the side at which a pixel of the crop is one of the picture, within `LEAST_SIDE_PX` and `MOST_SIDE_PX`.

    It is a multiple of four: the margin that may surround the crop is a quarter of it.

    Args:
        transform: From pixels of the picture to pixels of a crop.
        side_px: Side of that crop.
    """
    spanned = side_px / float(np.sqrt(np.linalg.det(transform[:, :2])))
    return 4 * round(min(max(spanned, LEAST_SIDE_PX), MOST_SIDE_PX) / 4)


def read_identities(paths: Sequence[Path], side_px: int | None, reader: FaceReader) -> Identity:
    """Reads one or more pictures of a person as one identity; their order means nothing.

    Of the sharpest, most frontal pictures the one that is most like all others is animated: a `flow` talker moves its
    pixels, and its maps and codes are taken as they are. What tells the person apart (for a `paper` talker the maps
    too) is averaged over all pictures, each weighted by sharpness and pose.

    Raises:
        FaceError: A picture shows no face.
        InputError: One cannot be read.
    """
    # Sums of floats depend on their order, so the order is that of the contents.
    people = sorted((read_identity(path, side_px, reader) for path in paths), key=_digest)
    if len(people) == 1:
        return people[0]
    weights = np.array([_worth(person) for person in people])
    vectors = np.stack([person.codes.vector for person in people])
    best = people[_chosen(weights, vectors)]
    share = (weights / weights.sum()).astype(np.float32)
    vector = np.einsum("n,nd->d", share, vectors)
    maps = best.codes.maps
    if reader.runtime.spec.kind == "paper":
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
    yaw, pitch, _ = person.own_deg
    return (sharpness + 1e-3) * float(np.exp(-(yaw**2 + pitch**2) / _TURNED_DEG**2))
