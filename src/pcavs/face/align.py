"""From a face track to the aligned crop and back: one similarity transform a clip.

Pixel coordinates have the centre of the top-left pixel at (0, 0), so a share `u` of a crop's side lies at
`u * side - 0.5`: the same template means the same place at any size.
"""

from typing import Final, TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from pcavs.face.regions import INNER_MOUTH_EIGHT, LEFT_EYE_SIX, RIGHT_EYE_SIX
from pcavs.spec import CropSpec
from pcavs.types import CropTransform, Picture

Square: TypeAlias = UInt8[np.ndarray, "side side 3"]
"""RGB, 0 to 255."""

_LARGEST_STEP: Final = 1.5
"""Source pixels a crop pixel may span before linear interpolation starts to skip some."""

_PUBLISHED_PX: Final = 224
_PUBLISHED_TEMPLATE: Final = ((87.0, 59.0), (137.0, 59.0), (112.0, 120.0))
"""Left eye, right eye and inner mouth in the published alignment's pixels, before the hidden crop."""
_PUBLISHED_KEPT: Final = 0.2
"""Share of a frame's mouth shift that is the shift of the frame before."""
_HIDDEN_CROP: Final = (slice(0, 192), slice(16, 208))
"""Rows and columns that the published picture loader keeps of the 224."""


def alignment_points(meshes: Float32[np.ndarray, "time 478 3"]) -> Float32[np.ndarray, "time 3 2"]:
    """Finds the points that alignment uses: left eye centre, right eye centre, centre of the inner mouth.

    Left is the picture's left. Each is the mean of the mesh points that stand for its group of the 68-point
    scheme (36 to 41, 42 to 47, 60 to 67), in the meshes' pixels.
    """
    groups = (LEFT_EYE_SIX, RIGHT_EYE_SIX, INNER_MOUTH_EIGHT)
    return np.stack([meshes[:, group, :2].mean(axis=1) for group in groups], axis=1)


def clip_transform(meshes: Float32[np.ndarray, "time 478 3"], crop: CropSpec, side_px: int) -> CropTransform:
    """Finds the one similarity that brings a clip's average face onto the template.

    One for the whole clip, and never centred anew: what the head does inside the crop is its pose.

    Reference: Zhou et al., CVPR 2021, published alignment script, less its per-frame shift.
    """
    template = np.array([crop.left_eye, crop.right_eye, crop.mouth]) * side_px - 0.5
    return _similarity(alignment_points(meshes).mean(axis=0).astype(np.float64), template)


def published_transforms(points: Float[np.ndarray, "time 68 2"]) -> Float[np.ndarray, "time 2 3"]:
    """Finds the published alignment's transform of each frame of a clip, from 68 points (iBUG order).

    Rotation and scale are those of the clip's mean points; each frame is then shifted so that its mouth comes
    to (112, 120) of 224, the shift being a running mean over the frames. `published_crop` applies them.

    Args:
        points: Pixels of the frames, in order of time; a photo is a clip of one frame.

    Reference: the published code's align_68, restated; `clip_transform` is what the house does instead.
    """
    groups = (slice(36, 42), slice(42, 48), slice(60, 68))
    return _recentred(np.stack([points[:, group].mean(axis=1, dtype=np.float64) for group in groups], axis=1))


def published_mesh_transforms(meshes: Float32[np.ndarray, "time 478 3"]) -> Float[np.ndarray, "time 2 3"]:
    """Finds the same from meshes: `alignment_points` stands in for the means of the 68 points' groups.

    How far the two are apart on photos is in docs/measurements.md.
    """
    return _recentred(alignment_points(meshes).astype(np.float64))


def published_crop(picture: Picture, transform: CropTransform, side_px: int) -> Square:
    """Cuts the aligned crop as the published code does: to 224 px, then the hidden crop of 192, then `side_px`.

    Both steps are linear, without averaging where they shrink; places outside of the picture are black.

    Args:
        picture: At its own size.
        transform: Of this frame, as `published_transforms` gives it.
        side_px: 224 gives the published numbers.
    """
    size = (_PUBLISHED_PX, _PUBLISHED_PX)
    aligned = cv2.warpAffine(picture, transform, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(cv2.resize(aligned[_HIDDEN_CROP], (side_px, side_px), interpolation=cv2.INTER_LINEAR), np.uint8)


def crop_picture(picture: Picture, transform: CropTransform, side_px: int, smooth: bool = True) -> Square:
    """Cuts the aligned crop of `side_px` out of a picture.

    Places outside of the picture repeat its edge: reflection would show a second half of a face, black would show
    a hard line. Shrinking by more than 1.5 averages the pixels first, so that nothing flickers.
    Interpolation is cubic, or linear (a third of the time) where not `smooth`.
    """
    shrink = 1 / np.sqrt(np.linalg.det(transform[:, :2]))
    if shrink > _LARGEST_STEP:
        picture, transform = _reduced(picture, transform, side_px, shrink)
    method = cv2.INTER_CUBIC if smooth else cv2.INTER_LINEAR
    return cv2.warpAffine(picture, transform, (side_px, side_px), flags=method, borderMode=cv2.BORDER_REPLICATE)


def invert(transform: CropTransform) -> CropTransform:
    """Gives the transform from crop pixels back to source pixels."""
    linear = np.linalg.inv(transform[:, :2])
    return np.column_stack([linear, -linear @ transform[:, 2]])


def apply_transform(
    transform: CropTransform, meshes: Float32[np.ndarray, "time 478 3"]
) -> Float32[np.ndarray, "time 478 3"]:
    """Moves meshes with the picture; their depth is scaled by the similarity's scale."""
    places = meshes[..., :2] @ transform[:, :2].T + transform[:, 2]
    depths = meshes[..., 2:] * np.sqrt(np.linalg.det(transform[:, :2]))
    return np.concatenate([places, depths], axis=-1).astype(np.float32)


def _similarity(source: Float[np.ndarray, "points 2"], target: Float[np.ndarray, "points 2"]) -> CropTransform:
    """Least-squares similarity (Umeyama 1991); in the plane it is one complex factor and a shift."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    spread, wanted = (source - source_mean) @ [1, 1j], (target - target_mean) @ [1, 1j]
    factor = np.vdot(spread, wanted) / np.vdot(spread, spread).real
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([linear, target_mean - linear @ source_mean])


def _recentred(points: Float[np.ndarray, "time 3 2"]) -> Float[np.ndarray, "time 2 3"]:
    """One similarity a clip, then one shift a frame that brings the mouth back to its place."""
    template = np.array(_PUBLISHED_TEMPLATE)
    clip = _similarity(points.mean(axis=0), template)
    shifts = template[2] - (points[:, 2] @ clip[:, :2].T + clip[:, 2])
    for t in range(1, len(shifts)):
        shifts[t] = _PUBLISHED_KEPT * shifts[t - 1] + (1 - _PUBLISHED_KEPT) * shifts[t]
    transforms = np.repeat(clip[None], len(points), axis=0)
    transforms[:, :, 2] += shifts
    return transforms


def _reduced(
    picture: Picture, transform: CropTransform, side_px: int, shrink: float
) -> tuple[UInt8[np.ndarray, "low narrow 3"], CropTransform]:
    """Cuts out the part that the crop sees and averages it down, so that the remaining scale is about one."""
    height, width = picture.shape[:2]
    corners = np.array([[-0.5, -0.5], [side_px, -0.5], [-0.5, side_px], [side_px, side_px]])
    back = invert(transform)
    seen = corners @ back[:, :2].T + back[:, 2]
    margin = 2 * shrink  # keeps the cut's own edge out of the interpolation
    x0, y0 = np.clip(np.floor(seen.min(axis=0) - margin), 0, [width - 1, height - 1]).astype(int)
    x1, y1 = np.clip(np.ceil(seen.max(axis=0) + margin) + 1, [x0 + 1, y0 + 1], [width, height]).astype(int)
    size = (max(1, round((x1 - x0) / shrink)), max(1, round((y1 - y0) / shrink)))
    small = cv2.resize(picture[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA)

    step = np.array([(x1 - x0) / size[0], (y1 - y0) / size[1]])  # source pixels a small pixel
    start = np.array([x0, y0]) + step / 2 - 0.5  # centre of the small picture's first pixel
    return small, np.column_stack([transform[:, :2] * step, transform[:, :2] @ start + transform[:, 2]])
