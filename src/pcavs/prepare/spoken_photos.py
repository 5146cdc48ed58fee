"""Animates the mouth of a photograph with the lips of a driving clip, a clip of someone else who speaks.

It shows training real skin with moving lips, of many more people than were ever filmed. The motion of the driver's
lips, jaw and cheeks is taken in the frame of the driver's head, in centimetres, and added to the photograph's mesh; the
picture follows by one thin-plate warp per frame. The opening between the lips is filled with the inside of the driver's
mouth. The head itself moves at random, within the angles that `pcavs.prepare.turned_photos` allows.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.pose import angles_deg, head_frame, head_pose, rotation_from_angles
from pcavs.face.regions import FACE_OVAL, INNER_LIPS, LIPS, OUTER_LIPS, mouth_opening
from pcavs.prepare.turned_photos import (
    ANGLE_LIMIT_DEG,
    ANGLE_SPREAD_DEG,
    MESH_STRIDE,
    HeadTransform,
    head_origin,
    skull_ring,
)
from pcavs.prepare.warp import resample, warp_picture
from pcavs.spec import FRAME_RATE
from pcavs.types import Mesh, Picture

MAX_SHUT_OPENING: Final = 0.035
"""Mouth opening, in eye distances, up to which a mouth counts as shut. Tuned by hand."""

MIN_OPEN_OPENING: Final = 3 * MAX_SHUT_OPENING
"""Largest opening that a driving clip must reach, in eye distances. Tuned by hand."""

MAX_DRIVER_YAW_DEG: Final = 30.0
"""Largest yaw of a driving clip; beyond it the landmark network guesses the far half of the mouth. Tuned by hand."""

_SHUT_PERCENTILE: Final = 5
"""Percentile of a driving clip's opening that must be shut."""

_REST_PERCENTILE: Final = 15
"""Frames with an opening up to this percentile give the resting shape from which motion is measured."""

_NOSE_TIP, _UPPER_LIP = 4, 0
"""Landmarks between whose heights the mouth's motion fades in."""

_WARP_SLACK: Final = 1e-4
"""Relaxation of the warp, a tenth of the default: lips must meet exactly. Tuned by hand."""

_LIVELINESS: Final = (0.1, 1.0)
"""Range of a clip's factor on the head's random motion."""

_REST_ANGLE_SPREAD: Final = 0.5
"""Standard deviation of a clip's mean angles, in `ANGLE_SPREAD_DEG`."""

_SHIFT_SPREAD: Final = 0.015
"""Standard deviation of the head's random shift, as a fraction of the crop's side."""

_REST_SHIFT_SPREAD: Final = 0.7
"""Standard deviation of a clip's mean shift, in `_SHIFT_SPREAD`."""

_LOG_SCALE_SPREAD, _REST_LOG_SCALE_SPREAD = 0.02, 0.04
"""Standard deviation of the logarithm of size over time, and of its mean over a clip."""

_NOISE_SIGMA_S: Final = 0.4
"""Standard deviation of the Gaussian that smooths the random motion: it takes about a second to turn round."""

_NOISE_REACH: Final = 3
"""Half the width of that Gaussian's window, in standard deviations. These seven were chosen by eye."""

_WIDTH_RATIO: Final = (0.8, 1.25)
"""Range of the ratio of mouth widths by which motion is scaled. Chosen by eye."""

_BRIGHTNESS_POWER: Final = 0.5
"""Share of the difference in brightness (in logarithms) that is attributed to light; the rest is skin colour."""

_BRIGHTNESS, _TINT = (0.6, 1.4), (0.7, 1.5)
"""Range of the factors on brightness and on each channel. These three were chosen by eye."""

_MARGIN_PX: Final = 4
"""Pixels around the lips in the square that is composited."""

_MIN_OPENING_PX2: Final = 10.0
"""Area between the lips below which nothing is composited: it would flicker along shut lips. Tuned by hand."""

_SIDE_OVER_EDGE_BLUR: Final = 320
"""Side of the crop over the standard deviation of the blur of the mouth's edge. Chosen by eye."""

_COVERAGE_SAMPLES: Final = 4
"""Samples along each side of a pixel by which its coverage is measured."""


class DrivingMouth(NamedTuple):
    """The frames of a driving clip and their landmarks, of equal length."""

    pictures: Sequence[Picture]
    """Aligned crops."""
    meshes: Float32[np.ndarray, "time 478 3"]
    """Pixels of those crops."""


def is_mouth_shut(mesh: Mesh) -> bool:
    """Returns whether a photograph's mouth is shut: only then can another one be opened in its place."""
    return float(mouth_opening(mesh[None])[0]) <= MAX_SHUT_OPENING


def can_drive(meshes: Float32[np.ndarray, "time 478 3"]) -> bool:
    """Returns whether a clip can animate a photograph: its mouth is both shut and opened, and its yaw stays small."""
    openings, yaw = mouth_opening(meshes), angles_deg(head_pose(meshes).rotation)[:, 0]
    return bool(
        np.abs(yaw).max() <= MAX_DRIVER_YAW_DEG
        and np.percentile(openings, _SHUT_PERCENTILE) <= MAX_SHUT_OPENING
        and openings.max() >= MIN_OPEN_OPENING
    )


def animate_mouth(
    crop: Picture, mesh: Mesh, driver: DrivingMouth, rng: np.random.Generator
) -> Iterator[tuple[Picture, Mesh]]:
    """Yields a picture for each of the driver's frames, with its landmarks in pixels of the crop.

    Args:
        crop: Square picture of a face whose mouth is shut (`is_mouth_shut`).
        mesh: Its landmarks in pixels of the crop.
        driver: A clip that fulfils `can_drive`.
        rng: Draws the motion of the head.
    """
    pose = head_pose(mesh[None])
    motion_cm = mouth_motion(driver.meshes) * _mouth_width_ratio(mesh, driver.meshes)
    meshes = mesh + pose.scale_px_per_cm[0] * motion_cm @ pose.rotation[0].T
    gain = _colour_gain(crop, mesh, driver)
    transforms = random_head_motion(len(meshes), mesh, crop.shape[0], rng)
    sources, ring = _control_points(mesh), skull_ring(mesh)
    frames = zip(driver.pictures, driver.meshes, meshes, transforms, strict=True)
    for picture, driver_mesh, own_mesh, transform in frames:
        targets = transform(np.concatenate([_control_points(own_mesh), ring]))[:, :2]
        warped = warp_picture(crop, np.concatenate([sources, ring])[:, :2], targets, slack=_WARP_SLACK)
        moved = transform(own_mesh.astype(np.float64)).astype(np.float32)
        yield _composite_mouth(warped, moved, picture, driver_mesh, gain), moved


def mouth_motion(meshes: Float32[np.ndarray, "time 478 3"]) -> Float32[np.ndarray, "time 478 3"]:
    """Returns the motion of the lower face, in centimetres in the head's frame, from its rest while the mouth is shut.

    It is 0 above the nose's tip and fades in down to the upper lip: cheeks move, eyes do not.
    """
    heads, openings = head_frame(meshes), mouth_opening(meshes)
    rest = heads[openings <= np.percentile(openings, _REST_PERCENTILE)].mean(axis=0)
    top, bottom = rest[_NOSE_TIP, 1], rest[_UPPER_LIP, 1]
    weight = np.clip((rest[:, 1] - top) / (bottom - top), 0, 1)
    return ((heads - rest) * weight[:, None]).astype(np.float32)


def random_head_motion(count: int, mesh: Mesh, side_px: int, rng: np.random.Generator) -> Iterator[HeadTransform]:
    """Yields a transform for each frame: smooth random motion about a random resting pose, within `ANGLE_LIMIT_DEG`."""
    liveliness = rng.uniform(*_LIVELINESS)
    angles = (
        _smooth_noise(count, 3, rng) * liveliness * ANGLE_SPREAD_DEG
        + rng.normal(0, _REST_ANGLE_SPREAD, 3) * ANGLE_SPREAD_DEG
    )
    angles = np.array(ANGLE_LIMIT_DEG) * np.tanh(angles / ANGLE_LIMIT_DEG)
    shifts = (
        (_smooth_noise(count, 2, rng) * liveliness + rng.normal(0, _REST_SHIFT_SPREAD, 2)) * _SHIFT_SPREAD * side_px
    )
    scales = np.exp(
        _smooth_noise(count, 1, rng)[:, 0] * liveliness * _LOG_SCALE_SPREAD + rng.normal(0, _REST_LOG_SCALE_SPREAD)
    )
    origin = head_origin(mesh)
    for rotation, shift, scale in zip(rotation_from_angles(angles), shifts, scales, strict=True):
        yield HeadTransform(origin, rotation, shift, float(scale))


def _smooth_noise(count: int, num_curves: int, rng: np.random.Generator) -> Float[np.ndarray, "time curves"]:
    """Draws Gaussian noise of mean 0 and variance 1, low-pass filtered over time."""
    sigma = _NOISE_SIGMA_S * FRAME_RATE
    reach = int(_NOISE_REACH * sigma)
    noise = rng.normal(0, 1, (count + 2 * reach, num_curves))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= np.sqrt(np.square(weights).sum())
    return np.stack([np.convolve(curve, weights, mode="valid") for curve in noise.T], axis=1)


def _control_points(mesh: Mesh) -> Float[np.ndarray, "points 3"]:
    return np.concatenate([mesh[::MESH_STRIDE], mesh[list(LIPS)]]).astype(np.float64)


def _mouth_width_ratio(mesh: Mesh, driver_meshes: Float32[np.ndarray, "time 478 3"]) -> float:
    """Returns the width of the photograph's mouth over the driver's, each in centimetres of its own head."""
    left, right = OUTER_LIPS[0], OUTER_LIPS[len(OUTER_LIPS) // 2]

    def width_cm(heads: Float32[np.ndarray, "time 478 3"]) -> float:
        return float(np.median(np.linalg.norm(heads[:, left] - heads[:, right], axis=1)))

    return float(np.clip(width_cm(head_frame(mesh[None])) / width_cm(head_frame(driver_meshes)), *_WIDTH_RATIO))


def _colour_gain(crop: Picture, mesh: Mesh, driver: DrivingMouth) -> Float32[np.ndarray, "3"]:
    """Returns the factor on each channel from the driver's light to the photograph's, from the mean skin of both."""
    shut = int(np.argmin(mouth_opening(driver.meshes)))
    own, theirs = _mean_skin(crop, mesh), _mean_skin(driver.pictures[shut], driver.meshes[shut])
    tint = (own / own.mean()) / (theirs / theirs.mean())
    brightness = np.clip((own.mean() / theirs.mean()) ** _BRIGHTNESS_POWER, *_BRIGHTNESS)
    return (brightness * np.clip(tint, *_TINT)).astype(np.float32)


def _mean_skin(crop: Picture, mesh: Mesh) -> Float[np.ndarray, "3"]:
    """Returns the mean colour inside the face oval, plus one level so that it is never 0."""
    coverage = _polygon_coverage(mesh[list(FACE_OVAL), :2], crop.shape[0])
    return (crop * coverage[..., None]).sum(axis=(0, 1)) / max(float(coverage.sum()), 1.0) + 1.0


def _composite_mouth(
    picture: Picture, mesh: Mesh, other: Picture, other_mesh: Mesh, gain: Float32[np.ndarray, "3"]
) -> Picture:
    """Fills the opening between the lips with the inside of another picture's mouth.

    Args:
        picture: Square; it is not changed.
        mesh: Its landmarks in its pixels.
        other: The driver's picture.
        other_mesh: The driver's landmarks in that picture's pixels.
        gain: Factor on each channel of the driver's picture.
    """
    own_lips, other_lips = mesh[list(LIPS), :2].astype(np.float64), other_mesh[list(LIPS), :2].astype(np.float64)
    left, top = np.maximum(own_lips.min(axis=0).astype(int) - _MARGIN_PX, 0)
    side = int(np.ptp(own_lips, axis=0).max()) + 2 * _MARGIN_PX
    corner = np.array([left, top])
    opening = mesh[list(INNER_LIPS), :2] - corner.astype(np.float32)
    if cv2.contourArea(opening) < _MIN_OPENING_PX2:
        return picture
    coverage = _polygon_coverage(opening, side)
    colours = np.clip(resample(other, other_lips, own_lips - corner, side).astype(np.float32) * gain, 0, 255)
    # The gain comes from skin, which is not neutral: warm skin would turn a driver's teeth blue. So no channel may
    # exceed the one before it (red, green, blue).
    colours = np.minimum.accumulate(colours, axis=2)
    matte = cv2.GaussianBlur(coverage, (0, 0), picture.shape[0] / _SIDE_OVER_EDGE_BLUR)[..., None]
    result = picture.copy()
    window = result[top : top + side, left : left + side]
    height, width = window.shape[:2]
    matte, colours = matte[:height, :width], colours[:height, :width]
    window[:] = np.round(window * (1 - matte) + colours * matte).astype(np.uint8)
    return result


def _polygon_coverage(points: Float32[np.ndarray, "points 2"], side_px: int) -> Float32[np.ndarray, "side side"]:
    """Returns the fraction of each pixel that a polygon covers, 0 to 1."""
    fine_px = side_px * _COVERAGE_SAMPLES
    mask = np.zeros((fine_px, fine_px), np.uint8)
    cv2.fillPoly(mask, [np.round((points + 0.5) * _COVERAGE_SAMPLES - 0.5).astype(np.int32)], 255)
    return cv2.resize(mask, (side_px, side_px), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
