"""Closed eyelids on drawn faces: one line of lashes, skin above it, smooth motion, and glasses that stay."""

import cv2
import numpy as np
import pytest

from helpers.heads import average_mesh
from pcavs.face.regions import LEFT_EYE, RIGHT_EYE
from pcavs.head.eyes import Eyes

LASHES, WHITE, IRIS = (25, 20, 20), (235, 235, 235), (70, 50, 40)
PALE, BROWN = (225, 180, 155), (110, 70, 50)
LUMA = np.array([0.299, 0.587, 0.114])


def draw(side, skin):
    """Draws a face with strong upper lashes; returns it with its landmarks."""
    mesh = average_mesh(side)
    picture = np.full((side * 4, side * 4, 3), skin, np.uint8)  # 4 times the size, for smooth edges
    for outline in (LEFT_EYE, RIGHT_EYE):
        points = mesh[list(outline), :2] * 4 + 1.5
        width = np.ptp(points[:, 0])
        cv2.fillPoly(picture, [np.rint(points).astype(np.int32)], WHITE)
        cv2.circle(picture, np.rint(points.mean(axis=0)).astype(int).tolist(), int(0.15 * width), IRIS, -1)
        upper = points[:9]
        cv2.polylines(picture, [np.rint(upper).astype(np.int32)], False, LASHES, int(0.05 * width))
        for share in np.linspace(0.08, 0.92, 15):
            x = upper[0, 0] + share * width
            root = np.array([x, np.interp(x, upper[:, 0], upper[:, 1])])
            tip = root + width * np.array([0.1 * (share - 0.5), -0.13])
            cv2.line(picture, np.rint(root).astype(int).tolist(), np.rint(tip).astype(int).tolist(), LASHES, 5)
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), mesh


def columns_of(mesh):
    """Yields each eye's width and, for the columns of its middle half, the rows of the upper and the lower lid."""
    for outline in (LEFT_EYE, RIGHT_EYE):
        points = mesh[list(outline), :2]
        upper, lower = points[:9], np.concatenate([points[8:], points[:1]])[::-1]
        width = upper[-1, 0] - upper[0, 0]
        for column in range(int(upper[0, 0] + width / 4), int(upper[-1, 0] - width / 4)):
            rows = (np.interp(column, lid[:, 0], lid[:, 1]) for lid in (upper, lower))
            yield width, column, *rows


@pytest.mark.parametrize(("side", "skin"), [(512, PALE), (512, BROWN), (256, PALE)])
def test_shut_eye_is_skin_and_one_thin_line_of_lashes(side, skin):
    picture, mesh = draw(side, skin)
    brightness = Eyes(picture, mesh).show(1.0) @ LUMA / (np.array(skin) @ LUMA)
    for width, column, upper, lower in columns_of(mesh):
        rows = slice(int(upper - 0.25 * width), int(lower + 0.2 * width))
        dark = np.flatnonzero(brightness[rows, column] < 0.7) + rows.start
        assert len(dark) >= 1
        assert np.ptp(dark) + 1 == len(dark)  # one line
        assert len(dark) < 0.1 * width + 1
        assert abs(dark.mean() - lower) < 0.08 * width
        lid = brightness[int(upper - 0.2 * width) : dark[0] - 2, column]
        assert 0.75 < lid.min() <= lid.max() < 1.15


@pytest.mark.parametrize("skin", [PALE, BROWN])
def test_lids_move_smoothly_from_the_photograph_on(skin):
    picture, mesh = draw(512, skin)
    eyes = Eyes(picture, mesh)
    frames = np.stack([eyes.show(closure) for closure in np.linspace(0, 1, 26)]).astype(int)
    steps = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert steps.max() < 2 * np.median(steps)
    assert steps[0] < 1.5 * np.median(steps)


def test_lids_look_the_same_at_all_sizes():
    shut = [Eyes(*draw(side, PALE)).show(1.0) for side in (256, 512)]
    reduced = cv2.resize(shut[1], (256, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(reduced.astype(int) - shut[0]).mean() < 0.3


@pytest.mark.parametrize("height", [0.22, 0.3, 0.45])
def test_glasses_stay_where_they_are(height):
    """`height` of the rim above the upper lid, in eye widths."""
    picture, mesh = draw(512, PALE)
    rims = np.zeros(picture.shape[:2], bool)
    for outline in (LEFT_EYE, RIGHT_EYE):
        eye = mesh[list(outline), :2]
        width = np.ptp(eye[:, 0])
        top = int(eye[:, 1].min() - height * width)
        rims[top - int(0.08 * width) : top, int(eye[:, 0].min() - 0.3 * width) : int(eye[:, 0].max() + 0.3 * width)] = 1
    picture[rims] = (40, 30, 30)
    for closure in (0.4, 1.0):
        assert np.abs(Eyes(picture, mesh).show(closure)[rims].astype(int) - picture[rims]).max() <= 2
