"""A head that turns as a solid: where its points go, that it never folds, and what holds still."""

import itertools

import cv2
import numpy as np
import pytest

from helpers.heads import CM_A_CROP, average_mesh, head_row
from pcavs.face.pose import rotation_from_angles
from pcavs.head.depth import EXAGGERATION, make_relief
from pcavs.head.grid import CELLS, MARGIN
from pcavs.head.warp import ROTATION_GAIN, DepthHead
from pcavs.pose.track import FACE_WIDTH_CM

SIDE = 256
NOSE, CHIN, CORNER = 4, 152, 33
FARTHEST = ((35, 0, 0), (-35, 0, 0), (0, 20, 0), (0, -20, 0), (0, 0, 25))


@pytest.fixture(scope="module")
def head():
    return DepthHead(average_mesh(SIDE), SIDE)


def grid(margin=0):
    axis = np.arange(MARGIN - margin, MARGIN + CELLS + margin, dtype=np.float32)
    return np.dstack(np.meshgrid(axis, axis))


def cells(point):
    """A point of a mesh, in cells of the crop and its margin."""
    return (point[:2] + 0.5) * CELLS / SIDE - 0.5 + MARGIN


def factors(angles):
    """What the relief turns for each degree that is asked for."""
    return [ROTATION_GAIN[("yaw", "pitch", "roll").index(name)] for name in angles]


@pytest.mark.parametrize("margin", [0, MARGIN])
def test_the_pictures_own_pose_moves_nothing(head, margin):
    assert np.array_equal(head.sources(head_row(), margin), grid(margin))


@pytest.mark.parametrize("point", [NOSE, CHIN, CORNER, 61, 151])
@pytest.mark.parametrize(
    "angles", [{"yaw": 20}, {"yaw": -20}, {"pitch": 12}, {"pitch": -12}, {"roll": 20}, {"yaw": 10, "pitch": 8}]
)
def test_points_of_the_face_go_where_a_turn_brings_them(head, point, angles):
    told = {name: angle * factor for (name, angle), factor in zip(angles.items(), factors(angles), strict=True)}
    turned = cells(average_mesh(SIDE, **told, relief=EXAGGERATION)[point])
    column, row = np.rint(turned).astype(int) - MARGIN
    source = head.sources(head_row(**angles))[row, column]
    wanted = cells(average_mesh(SIDE)[point]) + (np.rint(turned) - turned)
    # Slopes are limited and softened, so that tips are a little blunt: 0.6 cells are a millimetre.
    assert np.abs(source - wanted).max() < 1.6, f"{source} instead of {wanted}"
    assert np.abs(turned - cells(average_mesh(SIDE)[point])).max() > 0.5 or point == CHIN


def test_a_moved_and_grown_head_is_where_the_track_has_it(head):
    nose, origin = cells(average_mesh(SIDE)[NOSE]), cells(np.array([0.5, 0.42]) * SIDE - 0.5)
    there = origin + np.exp(0.1) * (nose - origin) + [0.1 * FACE_WIDTH_CM * CELLS / CM_A_CROP, 0]
    column, row = np.rint(there).astype(int) - MARGIN
    assert np.abs(head.sources(head_row(x=0.1, size=0.1))[row, column] - nose).max() < 1


@pytest.mark.parametrize(
    "angles",
    [
        *itertools.product((-25, 0, 25), (-12, 12), (-12, 12)),
        (35, 0, 0),
        (-35, 0, 0),
        (0, 20, 0),
        (0, -20, 0),
        (0, 0, 35),
    ],
)
def test_no_turn_that_people_make_folds(head, angles):
    yaw, pitch, roll = angles
    sources = head.sources(head_row(yaw=yaw, pitch=pitch, roll=roll), MARGIN)
    assert np.isfinite(sources).all()
    across, down = np.gradient(sources, axis=1), np.gradient(sources, axis=0)
    area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    assert (area[MARGIN:-MARGIN, MARGIN:-MARGIN] <= 0).mean() < 0.001
    assert (area <= 0).mean() < 0.01


def test_what_is_nearer_hides_what_is_behind_it(head):
    relief = make_relief(average_mesh(SIDE), SIDE)
    turn = rotation_from_angles(np.array([ROTATION_GAIN * (30, 0, 0)]))[0]
    ahead = np.stack([relief.x, relief.y, -relief.depth], axis=-1) @ turn.T
    sources = head.sources(head_row(yaw=30), MARGIN)
    seen = cv2.remap(-ahead[..., 2].astype(np.float32), sources[..., 0], sources[..., 1], cv2.INTER_LINEAR)
    columns, rows = (
        np.rint(ahead[..., axis] * relief.cells_per_cm + middle).astype(int)
        for axis, middle in enumerate((grid(MARGIN) - np.dstack([relief.x, relief.y]) * relief.cells_per_cm)[0, 0])
    )
    nose = relief.face & (relief.depth > 8)
    # Whatever lands on a cell, what is seen there is not behind it, but for what lies along a line of sight.
    behind = -ahead[nose, 2] - seen[rows[nose], columns[nose]]
    assert (behind > 1).mean() < 0.3
    shown = np.zeros(relief.face.shape, bool)
    whole = np.rint(sources).astype(int).clip(0, len(shown) - 1)
    shown[whole[..., 1], whole[..., 0]] = True
    bridge = cells(average_mesh(SIDE)[195]).astype(int)
    beside = slice(bridge[0] + 3, bridge[0] + 9)
    assert shown[bridge[1] + 6, beside].mean() < 0.6, "the cheek behind the nose is hidden"
    assert shown[bridge[1] + 6, bridge[0] - 9 : bridge[0] - 3].all(), "the near side is not"


def test_hair_above_the_forehead_comes_along_with_it(head):
    """As deep as the ears it would turn the other way, and a fin of it would stay where the far temple was."""
    away = head.sources(head_row(yaw=20), MARGIN)[..., 0] - grid(MARGIN)[..., 0]
    top, middle = round(cells(average_mesh(SIDE)[10])[1]), MARGIN + CELLS // 2
    assert away[top + 4, middle] < -10, "what the forehead's middle shows comes from its left"
    assert (away[top - 12, [middle - 36, middle]] < -3).all(), "so does the hair's"
    assert away[top - 12, middle + 30] < 3, "hair beyond the far temple is not drawn out"


def test_shoulders_and_background_hold_still(head):
    sources = head.sources(head_row(yaw=25, pitch=10), MARGIN)
    away = np.abs(sources - grid(MARGIN)).max(axis=-1)
    assert away[-MARGIN // 2 :].max() < 0.01
    assert away[len(away) // 2 :, : MARGIN // 2].max() < 0.01
    assert away[MARGIN + CELLS // 3, MARGIN + CELLS // 2] > 3


def test_what_is_beyond_reach_is_approached_and_not_passed(head):
    def nose_shift(yaw):
        sources = head.sources(head_row(yaw=yaw))
        distance = np.abs(sources - cells(average_mesh(SIDE)[NOSE])).sum(axis=-1)
        return np.unravel_index(distance.argmin(), distance.shape)[1] - CELLS / 2

    assert 0 < nose_shift(10) < nose_shift(20) < nose_shift(35)
    assert nose_shift(60) - nose_shift(40) <= 2
    assert nose_shift(80) == nose_shift(70)


def test_hair_and_ears_are_beyond_the_face_and_noses_are_not(head):
    places = grid(MARGIN)
    beyond = head.beyond_face(places)
    nose, chin = (np.rint(cells(average_mesh(SIDE)[point])).astype(int) for point in (NOSE, CHIN))
    assert beyond[nose[1], nose[0]] < 0.01
    assert beyond[chin[1] + 6, chin[0]] > 0.99
    assert beyond[:10].min() > 0.99
