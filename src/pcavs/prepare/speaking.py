"""Pictures that speak: a face in a photograph moves its mouth as someone else's did, with that person's sound.

Real skin, of many more people than were ever filmed, is so seen with moving lips. The lips, jaw and cheeks of a
driver, a clip of someone who speaks, are carried over in the head's own frame; what opens between the lips shows the
inside of the driver's mouth, teeth and tongue included. The head moves by itself, within what `turn` can bear.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.pose import angles_deg, head_frame, head_pose, rotation_from_angles
from pcavs.face.regions import FACE_OVAL, INNER_LIPS, LIPS, OUTER_LIPS, mouth_opening
from pcavs.prepare.stills import ANGLE_LIMIT_DEG, ANGLE_SPREAD_DEG, Move, origin, skull
from pcavs.prepare.warp import sample, warp_picture
from pcavs.spec import FRAME_RATE
from pcavs.types import Mesh, Picture

SHUT: Final = 0.035
"""Opening (of the eye distance) up to which a mouth counts as shut."""

FARTHEST_YAW_DEG: Final = 30.0
"""Beyond, the tracker guesses one half of the mouth."""

_NOSE_TIP, _UPPER_LIP = 4, 0
_LEAST_MOUTH_PX2: Final = 10.0
_MARGIN_PX: Final = 4
_LIGHT_POWER: Final = 0.5
"""How much of the difference in brightness of two faces is taken for light; the rest is their skin."""


class Driver(NamedTuple):
    """Someone who speaks: crops and their landmarks, of one length."""

    pictures: Sequence[Picture]
    meshes: Float32[np.ndarray, "time 478 3"]
    """In pixels of the driver's crop."""


def can_speak(mesh: Mesh) -> bool:
    """Whether a picture's mouth is shut, so that another's can be opened in its place."""
    return float(mouth_opening(mesh[None])[0]) <= SHUT


def can_drive(meshes: Float32[np.ndarray, "time 478 3"]) -> bool:
    """Whether a clip shows its own mouth shut, from where movement is counted, and opened, and never turns far."""
    openings, yaw = mouth_opening(meshes), angles_deg(head_pose(meshes).rotation)[:, 0]
    return bool(
        np.abs(yaw).max() <= FARTHEST_YAW_DEG and np.percentile(openings, 5) <= SHUT and openings.max() >= 3 * SHUT
    )


def spoken_pictures(
    crop: Picture, mesh: Mesh, driver: Driver, rng: np.random.Generator
) -> Iterator[tuple[Picture, Mesh]]:
    """Gives a picture for each of the driver's frames, with its landmarks in pixels of the crop.

    Args:
        crop: Square picture of a face whose mouth is shut (`can_speak`).
        mesh: Its landmarks.
        driver: A clip that `can_drive`.
        rng: The source of the head's movement.
    """
    pose = head_pose(mesh[None])
    moved_cm = mouth_movement(driver.meshes) * _mouth_ratio(mesh, driver.meshes)
    moved = mesh + pose.scale_px_per_cm[0] * moved_cm @ pose.rotation[0].T
    light = _light(crop, mesh, driver)
    turns = head_movement(len(moved), mesh, crop.shape[0], rng)
    still, ring = _anchors(mesh), skull(mesh)
    for picture, theirs, own, turn in zip(driver.pictures, driver.meshes, moved, turns, strict=True):
        targets = turn(np.concatenate([_anchors(own), ring]))[:, :2]
        turned = warp_picture(crop, np.concatenate([still, ring])[:, :2], targets, slack=1e-4)
        shown = turn(own.astype(np.float64)).astype(np.float32)
        yield _with_mouth_inside(turned, shown, picture, theirs, light), shown


def mouth_movement(meshes: Float32[np.ndarray, "time 478 3"]) -> Float32[np.ndarray, "time 478 3"]:
    """How far the lower face's points are from where they rest while the mouth is shut, in cm, in the head's frame.

    Points above the nose's tip have none, those down to the upper lip a growing share: cheeks move, eyes do not.
    """
    heads, openings = head_frame(meshes), mouth_opening(meshes)
    rest = heads[openings <= np.percentile(openings, 15)].mean(axis=0)
    top, full = rest[_NOSE_TIP, 1], rest[_UPPER_LIP, 1]
    share = np.clip((rest[:, 1] - top) / (full - top), 0, 1)
    return ((heads - rest) * share[:, None]).astype(np.float32)


def head_movement(count: int, mesh: Mesh, side_px: int, rng: np.random.Generator) -> Iterator[Move]:
    """Gives a smooth turn for each frame, about a random resting turn."""
    liveliness = rng.uniform(0.1, 1.0)
    angles = _drift(count, 3, rng) * liveliness * ANGLE_SPREAD_DEG + rng.normal(0, 0.5, 3) * ANGLE_SPREAD_DEG
    angles = np.array(ANGLE_LIMIT_DEG) * np.tanh(angles / ANGLE_LIMIT_DEG)
    shifts = (_drift(count, 2, rng) * liveliness + rng.normal(0, 0.7, 2)) * 0.015 * side_px
    sizes = np.exp(_drift(count, 1, rng)[:, 0] * liveliness * 0.02 + rng.normal(0, 0.04))
    centre = origin(mesh)
    for rotation, shift, size in zip(rotation_from_angles(angles), shifts, sizes, strict=True):
        yield Move(centre, rotation, shift, float(size))


def _drift(count: int, curves: int, rng: np.random.Generator) -> Float[np.ndarray, "time curves"]:
    """Smooth random curves of mean 0 and spread 1, which take about a second to turn."""
    spread = 0.4 * FRAME_RATE
    reach = int(3 * spread)
    noise = rng.normal(0, 1, (count + 2 * reach, curves))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / spread) ** 2)
    weights /= np.sqrt(np.square(weights).sum())
    return np.stack([np.convolve(curve, weights, mode="valid") for curve in noise.T], axis=1)


def _anchors(mesh: Mesh) -> Float[np.ndarray, "points 3"]:
    return np.concatenate([mesh[::4], mesh[list(LIPS)]]).astype(np.float64)


def _mouth_ratio(mesh: Mesh, others: Float32[np.ndarray, "time 478 3"]) -> float:
    """Width of the mouth against the driver's, each in its own head's measure."""
    left, right = OUTER_LIPS[0], OUTER_LIPS[len(OUTER_LIPS) // 2]

    def width(heads: Float32[np.ndarray, "time 478 3"]) -> float:
        return float(np.median(np.linalg.norm(heads[:, left] - heads[:, right], axis=1)))

    return float(np.clip(width(head_frame(mesh[None])) / width(head_frame(others)), 0.8, 1.25))


def _light(crop: Picture, mesh: Mesh, driver: Driver) -> Float32[np.ndarray, "3"]:
    """What makes the driver's light the picture's, by channel, judged by the skin of both faces."""
    first = int(np.argmin(mouth_opening(driver.meshes)))
    own, theirs = _skin(crop, mesh), _skin(driver.pictures[first], driver.meshes[first])
    tint = (own / own.mean()) / (theirs / theirs.mean())
    brightness = np.clip((own.mean() / theirs.mean()) ** _LIGHT_POWER, 0.6, 1.4)
    return (brightness * np.clip(tint, 0.7, 1.5)).astype(np.float32)


def _skin(crop: Picture, mesh: Mesh) -> Float[np.ndarray, "3"]:
    face = _polygon(mesh[list(FACE_OVAL), :2], crop.shape[0])
    return (crop * face[..., None]).sum(axis=(0, 1)) / max(float(face.sum()), 1.0) + 1.0


def _with_mouth_inside(
    picture: Picture, mesh: Mesh, other: Picture, others_mesh: Mesh, light: Float32[np.ndarray, "3"]
) -> Picture:
    """Fills what lies between the lips with what lies between another's."""
    own, theirs = mesh[list(LIPS), :2].astype(np.float64), others_mesh[list(LIPS), :2].astype(np.float64)
    left, top = np.maximum(own.min(axis=0).astype(int) - _MARGIN_PX, 0)
    side = int(np.ptp(own, axis=0).max()) + 2 * _MARGIN_PX
    corner = np.array([left, top])
    opening = mesh[list(INNER_LIPS), :2] - corner.astype(np.float32)
    if cv2.contourArea(opening) < _LEAST_MOUTH_PX2:
        return picture
    inside = _polygon(opening, side)
    lit = np.clip(sample(other, theirs, own - corner, side).astype(np.float32) * light, 0, 255)
    # Skin is no grey card: a driver of warm skin, not in warm light, would get blue teeth.
    lit = np.minimum.accumulate(lit, axis=2)
    soft = cv2.GaussianBlur(inside, (0, 0), picture.shape[0] / 320)[..., None]
    whole = picture.copy()
    window = whole[top : top + side, left : left + side]
    height, width = window.shape[:2]
    soft, lit = soft[:height, :width], lit[:height, :width]
    window[:] = np.round(window * (1 - soft) + lit * soft).astype(np.uint8)
    return whole


def _polygon(points: Float32[np.ndarray, "points 2"], side_px: int) -> Float32[np.ndarray, "side side"]:
    """The share of each pixel that a polygon covers."""
    finer = 4
    mask = np.zeros((side_px * finer, side_px * finer), np.uint8)
    cv2.fillPoly(mask, [np.round((points + 0.5) * finer - 0.5).astype(np.int32)], 255)
    return cv2.resize(mask, (side_px, side_px), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
