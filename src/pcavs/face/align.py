"""Aligns faces: estimates the crop transform of a clip from its landmarks, and cuts crops with it.

Each clip has one similarity transform (docs/decisions/0001); the transforms of the published code, one for each frame,
are here as well. Pixel coordinates have the centre of the top-left pixel at (0, 0), so a fraction `u` of a crop's side
lies at `u * side - 0.5`, and the template means the same place at any size.
"""

from typing import Final, TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from pcavs.face.regions import INNER_MOUTH_EIGHT, LEFT_EYE_SIX, RIGHT_EYE_SIX
from pcavs.spec import CropSpec
from pcavs.types import CropTransform, Picture

Square: TypeAlias = UInt8[np.ndarray, "side side 3"]
"""Square picture, RGB, 0 to 255."""

_MAX_SHRINK: Final = 1.5
"""Source pixels for each crop pixel beyond which the source is averaged before it is interpolated, because
interpolation would skip pixels. Tuned by hand; not measured."""
_MARGIN_CROP_PX: Final = 2
"""Margin, in crop pixels, around the part of the source that is averaged, so that its cut edge is not interpolated."""

_PUBLISHED_PX: Final = 224
"""Side of the published code's crops."""
_PUBLISHED_TEMPLATE: Final = ((87.0, 59.0), (137.0, 59.0), (112.0, 120.0))
"""Left eye, right eye and inner mouth in the published alignment, in pixels of 224, before the second crop."""
_PUBLISHED_MOMENTUM: Final = 0.2
"""Coefficient of the exponential moving average of the mouth shift: weight of the previous frame's shift."""
_SECOND_CROP: Final = (slice(0, 192), slice(16, 208))
"""Rows and columns of the 224 x 224 crop that the published data loader keeps."""


def alignment_points(meshes: Float32[np.ndarray, "time 478 3"]) -> Float32[np.ndarray, "time 3 2"]:
    """Computes the points that alignment uses: centre of the left eye, of the right eye, and of the inner mouth.

    Left is the picture's left. Each point is the mean of the mesh points that stand in for a group of the 68-point
    scheme: 36 to 41, 42 to 47 and 60 to 67. The unit is that of the meshes.
    """
    groups = (LEFT_EYE_SIX, RIGHT_EYE_SIX, INNER_MOUTH_EIGHT)
    return np.stack([meshes[:, group, :2].mean(axis=1) for group in groups], axis=1)


def clip_transform(meshes: Float32[np.ndarray, "time 478 3"], crop: CropSpec, side_px: int) -> CropTransform:
    """Computes the similarity transform, from source to crop pixels, that moves a clip's mean face to the template.

    All frames of the clip share it, so the head's motion inside the crop is its pose.

    Reference: Zhou et al., CVPR 2021, published alignment script, without its shift for each frame.
    """
    template = np.array([crop.left_eye, crop.right_eye, crop.mouth]) * side_px - 0.5
    return _similarity(alignment_points(meshes).mean(axis=0).astype(np.float64), template)


def published_transforms(points: Float[np.ndarray, "time 68 2"]) -> Float[np.ndarray, "time 2 3"]:
    """Computes the published code's crop transform of each frame of a clip, from 68 points (iBUG order).

    Rotation and scale come from the clip's mean points. Each frame is then shifted so that its mouth lies at (112, 120)
    of 224; the shift is an exponential moving average over the frames. `published_crop` applies the transforms.

    Args:
        points: Pixels of the frames, in order of time; a photo is a clip of one frame.

    Reference: the published code's align_68.
    """
    groups = (slice(36, 42), slice(42, 48), slice(60, 68))
    return _recentred(np.stack([points[:, group].mean(axis=1, dtype=np.float64) for group in groups], axis=1))


def published_mesh_transforms(meshes: Float32[np.ndarray, "time 478 3"]) -> Float[np.ndarray, "time 2 3"]:
    """Computes the same transforms from meshes, with `alignment_points` in place of the groups' means of 68 points.

    The two differ by one pixel of 224 at most on average (docs/measurements.md).
    """
    return _recentred(alignment_points(meshes).astype(np.float64))


def published_crop(picture: Picture, transform: CropTransform, side_px: int) -> Square:
    """Cuts the aligned crop as the published code does: to 224 px, from it the second crop of 192 px, to `side_px`.

    Both steps interpolate bilinearly, without averaging where they shrink; outside the picture the crop is black.

    Args:
        picture: RGB, at its own size.
        transform: This frame's row of `published_transforms`.
        side_px: Side of the result; 224 gives the published numbers.
    """
    size = (_PUBLISHED_PX, _PUBLISHED_PX)
    aligned = cv2.warpAffine(picture, transform, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(cv2.resize(aligned[_SECOND_CROP], (side_px, side_px), interpolation=cv2.INTER_LINEAR), np.uint8)


def crop_picture(picture: Picture, transform: CropTransform, side_px: int, smooth: bool = True) -> Square:
    """Cuts an aligned crop out of a picture.

    Outside of the picture its edge pixels are replicated: reflection would show half a second face, and black a hard
    edge. If the crop shrinks the picture by more than 1.5, pixels are averaged first, which avoids flicker.

    Args:
        picture: RGB.
        transform: From picture pixels to crop pixels.
        side_px: Side of the crop.
        smooth: Bicubic interpolation; False is bilinear, in a third of the time.
    """
    shrink = 1 / np.sqrt(np.linalg.det(transform[:, :2]))
    if shrink > _MAX_SHRINK:
        picture, transform = _reduced(picture, transform, side_px, shrink)
    method = cv2.INTER_CUBIC if smooth else cv2.INTER_LINEAR
    return cv2.warpAffine(picture, transform, (side_px, side_px), flags=method, borderMode=cv2.BORDER_REPLICATE)


def invert(transform: CropTransform) -> CropTransform:
    """Returns the transform from crop pixels back to source pixels."""
    linear = np.linalg.inv(transform[:, :2])
    return np.column_stack([linear, -linear @ transform[:, 2]])


def covered_box(
    to_picture: CropTransform, side_px: int, picture: Picture, margin_px: float = 0.0
) -> tuple[int, int, int, int]:
    """Returns the smallest box (x0, y0, x1, y1) of a picture's pixels around a crop, at least one pixel large.

    Args:
        to_picture: From crop pixels to picture pixels.
        side_px: Side of the crop.
        picture: The picture, to which the box is clipped.
        margin_px: Further margin on each side, in pixels of the picture.
    """
    corners = np.array([[-0.5, -0.5], [side_px, -0.5], [-0.5, side_px], [side_px, side_px]])
    places = corners @ to_picture[:, :2].T + to_picture[:, 2]
    height, width = picture.shape[:2]
    x0, y0 = np.clip(np.floor(places.min(axis=0) - margin_px), 0, [width - 1, height - 1]).astype(int)
    x1, y1 = np.clip(np.ceil(places.max(axis=0) + margin_px) + 1, [x0 + 1, y0 + 1], [width, height]).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def apply_transform(
    transform: CropTransform, meshes: Float32[np.ndarray, "time 478 3"]
) -> Float32[np.ndarray, "time 478 3"]:
    """Transforms meshes with their picture; z is multiplied by the transform's scale."""
    places = meshes[..., :2] @ transform[:, :2].T + transform[:, 2]
    depths = meshes[..., 2:] * np.sqrt(np.linalg.det(transform[:, :2]))
    return np.concatenate([places, depths], axis=-1).astype(np.float32)


def _similarity(source: Float[np.ndarray, "points 2"], target: Float[np.ndarray, "points 2"]) -> CropTransform:
    """Computes the least-squares similarity transform; in the plane it is a complex factor and a translation.

    Reference: Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    centred, target_centred = (source - source_mean) @ [1, 1j], (target - target_mean) @ [1, 1j]
    factor = np.vdot(centred, target_centred) / np.vdot(centred, centred).real
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([linear, target_mean - linear @ source_mean])


def _recentred(points: Float[np.ndarray, "time 3 2"]) -> Float[np.ndarray, "time 2 3"]:
    """Computes the clip's similarity, plus a smoothed shift for each frame that moves its mouth to the template."""
    template = np.array(_PUBLISHED_TEMPLATE)
    clip = _similarity(points.mean(axis=0), template)
    shifts = template[2] - (points[:, 2] @ clip[:, :2].T + clip[:, 2])
    for t in range(1, len(shifts)):
        shifts[t] = _PUBLISHED_MOMENTUM * shifts[t - 1] + (1 - _PUBLISHED_MOMENTUM) * shifts[t]
    transforms = np.repeat(clip[None], len(points), axis=0)
    transforms[:, :, 2] += shifts
    return transforms


def _reduced(
    picture: Picture, transform: CropTransform, side_px: int, shrink: float
) -> tuple[UInt8[np.ndarray, "low narrow 3"], CropTransform]:
    """Reduces the part of the picture that the crop shows by area averaging, so that the remaining scale is about 1.

    Returns:
        The reduced part, and the transform from its pixels to crop pixels.
    """
    x0, y0, x1, y1 = covered_box(invert(transform), side_px, picture, _MARGIN_CROP_PX * shrink)
    size = (max(1, round((x1 - x0) / shrink)), max(1, round((y1 - y0) / shrink)))
    small = cv2.resize(picture[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA)

    step = np.array([(x1 - x0) / size[0], (y1 - y0) / size[1]])  # source pixels for each reduced pixel
    start = np.array([x0, y0]) + step / 2 - 0.5  # centre of the first reduced pixel, in source pixels
    return small, np.column_stack([transform[:, :2] * step, transform[:, :2] @ start + transform[:, 2]])
