"""Reads the photographs of a person: aligns, crops and encodes them.

One photograph is animated; further references only improve the identity code. The result, an `Identity`, is what
renderers are built from.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from pcavs.animate.portrait import find_portrait
from pcavs.animate.timing import Timing
from pcavs.face.align import Square, apply_transform, clip_transform, covered_box, invert
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import angles_deg, head_pose
from pcavs.face.track import TrackPolicy
from pcavs.media.image import longer_side_px
from pcavs.media.still import MAX_STILL_PX, is_still, read_alpha
from pcavs.mouth.inside import OwnTeeth
from pcavs.pose.codes import Angles
from pcavs.runtime.base import IdentityArrays, Runtime
from pcavs.types import CropTransform, Mesh, Picture

MIN_SIDE_PX: Final = 64
"""Smallest side of a crop whose side follows the photograph's resolution (`own_side_px`). Tuned by hand; not
measured."""
MAX_SIDE_PX: Final = 1024
"""Largest side of such a crop. Tuned by hand; not measured."""
_SIDE_MULTIPLE_PX: Final = 4
"""The side is a multiple of this, because the margin around a crop is a quarter of its side (`head.grid.MARGIN`)."""
_NOTED_ENLARGEMENT: Final = 1.5
"""Crops that enlarge the photograph by more than this factor are noted. Chosen by eye."""
_KEPT_PX: Final = 8
"""Pixels that a trimmed photograph keeps around what is shown, which interpolation and averaging reach."""
_COMPARABLE_QUALITY: Final = 0.9
"""Share of the best reference's quality from which another one is considered as good: sharpness differs by a tenth by
chance. Chosen by its effect on the likeness of films to true frames (dev/LOG.md)."""
_EQUAL_SIMILARITY: Final = 1e-6
"""Cosine similarities that differ by less count as equal: rounding errors are smaller."""
_MIN_NORM: Final = 1e-12
"""Smallest norm that an identity vector is divided by; it keeps a division from 0."""
_TURNED_DEG: Final = 25.0
"""Angle off the camera at which the quality of a reference falls to 1/e. Tuned by hand; not measured."""
_MIN_SHARPNESS: Final = 1e-3
"""Added to the sharpness (in grey levels), so that a picture without detail has a weight above 0."""
_BORDER_SHARE: Final = 6
"""Sharpness is measured without the outer sixth of the crop on each side, where the background is."""


class FaceReader(NamedTuple):
    """Bundles what reading faces in pictures and videos needs: the talker's networks, the face networks, the timing."""

    runtime: Runtime
    landmarker: FaceLandmarker
    timing: Timing
    policy: TrackPolicy | None = None
    """How a face is chosen and followed; None takes the policy of `timing`."""
    max_side_px: int = MAX_STILL_PX
    """Longer side to which pictures are reduced before the face is cropped."""
    keeps_alpha: bool = False
    """Reads the opacity of photographs, too."""


class SourceCrop(NamedTuple):
    """The photograph that an aligned crop was cut from."""

    picture: Picture
    transform: CropTransform
    """From pixels of the photograph to pixels of the crop at the film's size."""
    alpha: UInt8[np.ndarray, "height width"] | None = None
    """Opacity of each pixel, 0 to 255; None if all are opaque, or if it was not read."""

    def trimmed(self, side_px: int, margin_px: int) -> "SourceCrop":
        """Returns a copy of the part of the photograph that a crop with a margin shows, which frees the rest."""
        to_picture = invert(self.widened(margin_px).transform)
        x0, y0, x1, y1 = covered_box(to_picture, side_px + 2 * margin_px, self.picture, _KEPT_PX)
        transform = self.transform.copy()
        transform[:, 2] += transform[:, :2] @ (x0, y0)
        alpha = None if self.alpha is None else self.alpha[y0:y1, x0:x1].copy()
        return SourceCrop(self.picture[y0:y1, x0:x1].copy(), transform, alpha)

    def widened(self, margin_px: int) -> "SourceCrop":
        """Returns the same photograph with the transform to the crop with a margin around it."""
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
    """The photograph that the crop was cut from; None if the face was given as an aligned crop."""
    notes: tuple[str, ...] = ()
    """Messages for the user, one line each."""
    teeth: OwnTeeth | None = None
    """The person's own teeth, which `pcavs adapt` stored beside the weights; None draws everybody's."""


def identity_of(
    codes: IdentityArrays, picture: UInt8[np.ndarray, "side side 3"], mesh: Mesh, notes: Sequence[str] = ()
) -> Identity:
    """Builds the identity of an aligned face.

    Args:
        codes: Identity code of the face.
        picture: The aligned crop, RGB.
        mesh: Landmarks in pixels of the crop.
        notes: Messages for the user, one line each.
    """
    own_deg = angles_deg(head_pose(mesh[None]).rotation.astype(np.float64))[0]
    return Identity(codes, picture, mesh, own_deg, notes=tuple(notes))


def read_identity(path: Path, side_px: int | None, reader: FaceReader) -> Identity:
    """Reads, aligns and encodes a picture, or the first frame of a video that shows a face.

    The face is cropped from the picture at its own resolution, up to `reader.max_side_px`.

    Args:
        path: The picture or video.
        side_px: Side of the crop; None keeps the resolution that the picture has.
        reader: The networks that read faces.

    Raises:
        FaceError: The picture shows no face.
        InputError: It cannot be read.
    """
    timing, spec = reader.timing, reader.runtime.spec
    portrait = find_portrait(path, reader.landmarker, reader.policy or timing.policy, reader.max_side_px)
    picture, meshes, notes = portrait.picture, portrait.mesh[None], [*portrait.notes]
    if side_px is None:
        own = clip_transform(meshes, spec.crop, spec.sizes.picture_px)
        side_px = own_side_px(own, spec.sizes.picture_px)
        notes += _reduction_notes(path, _source_side_px(own, spec.sizes.picture_px), reader.max_side_px)

    def crop(px: int) -> Square:
        transform = next(timing.crop_transforms(meshes, spec.crop, px))
        return timing.crop(picture, transform, px)

    transform = clip_transform(meshes, spec.crop, side_px)
    enlarged = float(np.sqrt(np.linalg.det(transform[:, :2])))
    if enlarged > _NOTED_ENLARGEMENT:
        notes.append(f"{path.name} holds {side_px / enlarged:.0f} px of what the film shows in {side_px}: enlarged")
    mesh = apply_transform(transform, meshes)[0]
    identity = identity_of(reader.runtime.encode_identity(crop(spec.sizes.frame_px)), crop(side_px), mesh, notes)
    alpha = read_alpha(path, reader.max_side_px) if reader.keeps_alpha and is_still(path) else None
    return identity._replace(source_crop=SourceCrop(picture, transform, alpha))


def own_side_px(transform: CropTransform, side_px: int) -> int:
    """Returns the side at which the crop has the photograph's resolution, from `MIN_SIDE_PX` to `MAX_SIDE_PX`.

    Args:
        transform: From pixels of the picture to pixels of a crop.
        side_px: Side of that crop.
    """
    source_side_px = _source_side_px(transform, side_px)
    return _SIDE_MULTIPLE_PX * round(min(max(source_side_px, MIN_SIDE_PX), MAX_SIDE_PX) / _SIDE_MULTIPLE_PX)


def _source_side_px(transform: CropTransform, side_px: int) -> float:
    """Returns the side of a crop in pixels of the picture."""
    return side_px / float(np.sqrt(np.linalg.det(transform[:, :2])))


def _reduction_notes(path: Path, head_px: float, max_side_px: int) -> list[str]:
    """Returns notes on what a whole picture loses: pixels of the picture, and of the head."""
    notes: list[str] = []
    side_px = longer_side_px(path)
    if side_px > max_side_px:
        notes.append(
            f"{path.name} has a side of {side_px} px; the film is reduced to {max_side_px} px (--max-side, up to 8192)"
        )
    if head_px > _NOTED_ENLARGEMENT * MAX_SIDE_PX:
        notes.append(
            f"the head in {path.name} fills {head_px:.0f} px; it is rendered in {MAX_SIDE_PX} px and enlarged, so it "
            f"is softer than the picture (--max-side {round(max_side_px * MAX_SIDE_PX / head_px)} makes both equal)"
        )
    return notes


def read_identities(paths: Sequence[Path], side_px: int | None, reader: FaceReader) -> Identity:
    """Reads one or more photographs of a person as one identity; their order does not matter.

    One of them is animated: among those about as sharp and frontal as the best one, the photograph whose identity
    vector has the highest mean similarity to all. Its content, pose code and feature maps are kept, and a `flow` talker
    warps its pixels. The identity vector (for a `paper` talker the feature maps too) is averaged over all photographs,
    weighted by quality.

    Args:
        paths: The photographs, or videos, of which the first frame is taken.
        side_px: Side of the crop; None keeps the resolution that the photograph has.
        reader: The networks that read faces.

    Raises:
        FaceError: A picture shows no face.
        InputError: A picture cannot be read.
    """
    # Floating-point sums depend on their order, so the photographs are sorted by content.
    people = sorted((read_identity(path, side_px, reader) for path in paths), key=_digest)
    if len(people) == 1:
        return people[0]
    weights = np.array([_quality(person) for person in people])
    vectors = np.stack([person.codes.vector for person in people])
    best = people[_choose(weights, vectors)]
    share = (weights / weights.sum()).astype(np.float32)
    vector = np.einsum("n,nd->d", share, vectors)
    maps = best.codes.maps
    if reader.runtime.spec.kind == "paper":
        levels = zip(*(person.codes.maps for person in people), strict=True)
        maps = tuple(np.einsum("n,nchw->chw", share, np.stack(level)) for level in levels)
    notes = tuple(sorted({note for person in people for note in person.notes}))
    return best._replace(codes=best.codes._replace(vector=vector.astype(np.float32), maps=maps), notes=notes)


def _choose(quality: Float[np.ndarray, " people"], vectors: Float32[np.ndarray, "people vector"]) -> int:
    """Returns the index of the photograph to animate: of those about as good as the best, the most typical one.

    Similarity decides among them, because small differences in sharpness are chance, while an unusual light or
    expression is not.
    """
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(_MIN_NORM))
    similarity = (units @ units.T).mean(axis=1)
    similarity = np.where(quality >= _COMPARABLE_QUALITY * quality.max(), similarity, -np.inf)
    # Two photographs alone are always equally similar to each other, so the better one is taken.
    return int(np.where(similarity >= similarity.max() - _EQUAL_SIMILARITY, quality, -np.inf).argmax())


def _digest(person: Identity) -> bytes:
    return hashlib.sha256(person.picture.tobytes()).digest()


def _quality(person: Identity) -> float:
    """Returns the quality of a photograph: its sharpness, lower the further the head is turned away."""
    grey = cv2.cvtColor(person.picture, cv2.COLOR_RGB2GRAY)
    middle = slice(len(grey) // _BORDER_SHARE, -len(grey) // _BORDER_SHARE)
    sharpness = float(cv2.Laplacian(grey[middle, middle], cv2.CV_32F).std())
    yaw, pitch, _ = person.own_deg
    return (sharpness + _MIN_SHARPNESS) * float(np.exp(-(yaw**2 + pitch**2) / _TURNED_DEG**2))
