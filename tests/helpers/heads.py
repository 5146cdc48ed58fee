"""Meshes of the canonical face in a crop, smooth pictures, and displacement fields of opening mouths."""

import cv2
import numpy as np

from pcavs.face.pose import canonical_face, pose_code, rotation_from_angles
from pcavs.face.regions import INNER_LIPS

CM_A_CROP = 24.7
"""Side of the crop in centimetres of an average face, as the crop template makes it."""


def average_mesh(side, yaw=0.0, pitch=0.0, roll=0.0, depth_gain=1.0):
    """Returns the turned canonical face with irises, in pixels of a crop; `depth_gain` scales its depth."""
    rotation = rotation_from_angles(np.array([[yaw, pitch, roll]], np.float64))[0]
    points = (canonical_face().vertices_cm * np.array([1, 1, depth_gain])) @ rotation.T * side / CM_A_CROP
    points[:, :2] += np.array([0.5, 0.42]) * side - 0.5
    irises = np.repeat([points[[33, 133]].mean(axis=0), points[[362, 263]].mean(axis=0)], 5, axis=0)
    return np.concatenate([points, irises]).astype(np.float32)


def head_row(yaw=0.0, pitch=0.0, roll=0.0, x=0.0, y=0.0, size=0.0):
    """A row of a head track."""
    return np.array([yaw, pitch, roll, x, y, size], np.float64)


def average_code(side=128, **angles):
    return pose_code(average_mesh(side, **angles)[None], side)[0]


def smooth_picture(side, seed=0):
    noise = np.random.default_rng(seed).integers(40, 216, (9, 9, 3)).astype(np.float32)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def shut_mesh(side):
    """Returns the canonical face with closed lips."""
    mesh = average_mesh(side)
    for upper, lower in zip(INNER_LIPS[1:10], INNER_LIPS[:10:-1], strict=True):
        mesh[[upper, lower]] = mesh[[upper, lower]].mean(axis=0)
    return mesh


def opening_flow(down, up=0.0, cells=128, wide=1.0):
    """Returns a displacement field in cells, like a talker's, that opens the mouth.

    It is constant on the upper and on the lower lip, interpolated between them, and 0 beyond `wide` mouth widths.
    """
    rows, columns = np.mgrid[0:cells, 0:cells].astype(np.float32)
    inner = shut_mesh(cells)[list(INNER_LIPS), :2]
    middle, half = inner.mean(axis=0), wide * np.ptp(inner[:, 0]) / 2
    bow = (1 - ((columns - middle[0]) / half) ** 2).clip(0, 1)
    lower = ((rows - middle[1] + 1) / (down + 1)).clip(0, 1)
    motion = np.zeros((cells, cells, 2), np.float32)
    motion[..., 1] = bow * (up * (1 - lower) - down * lower)
    return motion
