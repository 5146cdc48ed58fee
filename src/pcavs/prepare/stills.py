"""Pictures that move: a face turned in space by its own landmarks, so that real skin is seen in several poses."""

from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.align import crop_picture
from pcavs.face.pose import head_pose, rotation_from_angles
from pcavs.face.regions import FACE_OVAL
from pcavs.types import CropTransform, Mesh, Picture

ANGLE_SPREAD_DEG = (8.0, 5.0, 5.0)
"""Standard deviation of the turn: yaw, pitch, roll."""

ANGLE_LIMIT_DEG = (15.0, 10.0, 12.0)
"""Beyond, the far cheek folds over: its pixels would have to be invented."""

GRID_STEP = 8
"""Pixels between the places where the warp is computed; it is smooth, the rest is interpolated."""


def turned_pictures(
    picture: Picture, transform: CropTransform, mesh: Mesh, side_px: int, count: int, rng: np.random.Generator
) -> Iterator[tuple[Picture, Mesh]]:
    """Gives the crop as it is, then turned copies, each with its landmarks in pixels of the crop.

    Args:
        picture: The whole picture.
        transform: From the picture to the crop.
        mesh: Landmarks in pixels of the crop.
        side_px: Side of the crop.
        count: Pictures to give.
        rng: The source of randomness.
    """
    crop = crop_picture(picture, transform, side_px)
    yield crop, mesh
    for _ in range(count - 1):
        angles = np.clip(rng.normal(0, ANGLE_SPREAD_DEG), np.negative(ANGLE_LIMIT_DEG), ANGLE_LIMIT_DEG)
        shift = rng.normal(0, 0.02, 2) * side_px
        scale = float(np.exp(rng.normal(0, 0.05)))
        yield turn(crop, mesh, rotation_from_angles(angles[None].astype(np.float64))[0], shift, scale)


def turn(
    crop: Picture,
    mesh: Mesh,
    rotation: Float[np.ndarray, "3 3"],
    shift_px: Float[np.ndarray, "2"],
    scale: float,
) -> tuple[Picture, Mesh]:
    """Turns the head of a crop about its own origin; the crop's border stays where it is.

    The landmarks move as a rigid body. Hair moves with the skull, which is guessed as a ring outside the face's
    oval and behind it; from there to the border the picture is stretched.
    """
    side = crop.shape[0]
    skull = _skull(mesh)
    anchors = np.concatenate([mesh[::4], skull])
    centre = _origin(mesh)

    def move(points: Float[np.ndarray, "points 3"]) -> Float[np.ndarray, "points 3"]:
        moved = (points - centre) @ rotation.T * scale + centre
        moved[:, :2] += shift_px
        return moved

    moved_mesh = move(mesh).astype(np.float32)
    line = np.linspace(-0.15, 1.15, 9) * side
    border = np.array([(x, y) for x in line for y in line if min(x, y) < 0 or max(x, y) > side])
    targets = np.concatenate([move(anchors)[:, :2], border])
    sources = np.concatenate([anchors[:, :2], border])
    places = _thin_plate(targets / side, (sources - targets) / side, side)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    columns, rows = columns + places[..., 0] * side, rows + places[..., 1] * side
    turned = cv2.remap(
        crop, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return turned, moved_mesh


def _origin(mesh: Mesh) -> Float[np.ndarray, "3"]:
    pose = head_pose(mesh[None])
    oval = mesh[list(FACE_OVAL)]
    # The mesh's depth has no zero of its own: the head's origin lies about as deep as the oval's edge.
    return np.array([*pose.translation_px[0], oval[:, 2].max()], np.float64)


def _skull(mesh: Mesh) -> Float[np.ndarray, "points 3"]:
    oval = mesh[list(FACE_OVAL)].astype(np.float64)
    middle = oval.mean(axis=0)
    width = np.ptp(oval[:, 0])
    upper = oval[oval[:, 1] < middle[1]]
    ring = middle + (upper - middle) * [1.25, 1.35, 1.0]
    ring[:, 2] = oval[:, 2].max() + 0.08 * width
    return ring


def _thin_plate(
    points: Float[np.ndarray, "points 2"], values: Float[np.ndarray, "points 2"], side: int
) -> Float32[np.ndarray, "side side 2"]:
    """Interpolates smoothly between scattered points (Bookstein, PAMI 1989), slightly relaxed."""

    def kernel(a: Float[np.ndarray, "a 2"], b: Float[np.ndarray, "b 2"]) -> Float[np.ndarray, "a b"]:
        squared = ((a[:, None] - b[None]) ** 2).sum(axis=2)
        return squared * np.log(squared + 1e-12)

    count = len(points)
    plane = np.column_stack([np.ones(count), points])
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = kernel(points, points) + 1e-3 * np.eye(count)
    system[:count, count:], system[count:, :count] = plane, plane.T
    solved = np.linalg.solve(system, np.concatenate([values, np.zeros((3, 2))]))
    line = (np.arange(0, side + GRID_STEP, GRID_STEP)) / side
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    coarse = kernel(grid, points) @ solved[:count] + np.column_stack([np.ones(len(grid)), grid]) @ solved[count:]
    coarse = coarse.reshape(len(line), len(line), 2).astype(np.float32)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / GRID_STEP
    return cv2.remap(coarse, columns, rows, cv2.INTER_LINEAR)
