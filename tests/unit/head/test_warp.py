"""The warp of a turned head: where points go, that it does not fold, what is hidden and what holds still."""

import itertools

import cv2
import numpy as np
import pytest

from helpers.heads import CM_A_CROP, average_mesh, head_row
from pcavs.face.pose import rotation_from_angles
from pcavs.head.depth import DEPTH_GAIN, make_depth_map
from pcavs.head.grid import CELLS, MARGIN
from pcavs.head.warp import REACH_DEG, ROTATION_GAIN, DepthHead, reach_deg
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
    """Grid coordinates of a point of a mesh."""
    return (point[:2] + 0.5) * CELLS / SIDE - 0.5 + MARGIN


def factors(angles):
    """Degrees by which the depth map is rotated for each degree that is asked for."""
    return [ROTATION_GAIN[("yaw", "pitch", "roll").index(name)] for name in angles]


@pytest.mark.parametrize("margin", [0, MARGIN])
def test_the_photographs_own_pose_moves_nothing(head, margin):
    assert np.array_equal(head.sources(head_row(), margin), grid(margin))


@pytest.mark.parametrize("point", [NOSE, CHIN, CORNER, 61, 151])
@pytest.mark.parametrize(
    "angles", [{"yaw": 20}, {"yaw": -20}, {"pitch": 12}, {"pitch": -12}, {"roll": 20}, {"yaw": 10, "pitch": 8}]
)
def test_points_of_the_face_go_where_a_rotation_takes_them(head, point, angles):
    rotation = {name: angle * factor for (name, angle), factor in zip(angles.items(), factors(angles), strict=True)}
    turned = cells(average_mesh(SIDE, **rotation, depth_gain=DEPTH_GAIN)[point])
    column, row = np.rint(turned).astype(int) - MARGIN
    source = head.sources(head_row(**angles))[row, column]
    wanted = cells(average_mesh(SIDE)[point]) + (np.rint(turned) - turned)
    # Slopes are limited and blurred, so that tips are a little blunt: 0.6 cells are a millimetre.
    assert np.abs(source - wanted).max() < 1.6, f"{source} instead of {wanted}"
    assert np.abs(turned - cells(average_mesh(SIDE)[point])).max() > 0.5 or point == CHIN


def test_a_moved_and_enlarged_head_is_where_the_track_has_it(head):
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
def test_the_warp_of_usual_turns_does_not_fold(head, angles):
    yaw, pitch, roll = angles
    sources = head.sources(head_row(yaw=yaw, pitch=pitch, roll=roll), MARGIN)
    assert np.isfinite(sources).all()
    across, down = np.gradient(sources, axis=1), np.gradient(sources, axis=0)
    area = across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0]
    assert (area[MARGIN:-MARGIN, MARGIN:-MARGIN] <= 0).mean() < 0.001
    assert (area <= 0).mean() < 0.01


def test_nearer_parts_hide_farther_ones(head):
    depths = make_depth_map(average_mesh(SIDE), SIDE)
    turn = rotation_from_angles(np.array([ROTATION_GAIN * (30, 0, 0)]))[0]
    ahead = np.stack([depths.x, depths.y, -depths.depth], axis=-1) @ turn.T
    sources = head.sources(head_row(yaw=30), MARGIN)
    seen = cv2.remap(-ahead[..., 2].astype(np.float32), sources[..., 0], sources[..., 1], cv2.INTER_LINEAR)
    columns, rows = (
        np.rint(ahead[..., axis] * depths.cells_per_cm + middle).astype(int)
        for axis, middle in enumerate((grid(MARGIN) - np.dstack([depths.x, depths.y]) * depths.cells_per_cm)[0, 0])
    )
    nose = depths.face & (depths.depth > 8)
    # What is visible in a cell is not behind anything that lands there, except for points along one line of sight.
    behind = -ahead[nose, 2] - seen[rows[nose], columns[nose]]
    assert (behind > 1).mean() < 0.3
    shown = np.zeros(depths.face.shape, bool)
    whole = np.rint(sources).astype(int).clip(0, len(shown) - 1)
    shown[whole[..., 1], whole[..., 0]] = True
    bridge = cells(average_mesh(SIDE)[195]).astype(int)
    beside = slice(bridge[0] + 3, bridge[0] + 9)
    assert shown[bridge[1] + 6, beside].mean() < 0.6, "the cheek behind the nose is hidden"
    assert shown[bridge[1] + 6, bridge[0] - 9 : bridge[0] - 3].all(), "the near side is visible"


def test_hair_above_the_forehead_turns_with_it(head):
    """At the ears' depth it would move the other way, and a fin of hair would stay beside the far temple."""
    away = head.sources(head_row(yaw=20), MARGIN)[..., 0] - grid(MARGIN)[..., 0]
    top, middle = round(cells(average_mesh(SIDE)[10])[1]), MARGIN + CELLS // 2
    assert away[top + 4, middle] < -10, "the middle of the forehead shows what was to its left"
    assert (away[top - 12, [middle - 36, middle]] < -3).all(), "and so does the hair"
    assert away[top - 12, middle + 30] < 3, "hair beyond the far temple is not stretched"


def test_shoulders_and_background_hold_still(head):
    sources = head.sources(head_row(yaw=25, pitch=10), MARGIN)
    away = np.abs(sources - grid(MARGIN)).max(axis=-1)
    assert away[-MARGIN // 2 :].max() < 0.01
    assert away[len(away) // 2 :, : MARGIN // 2].max() < 0.01
    assert away[MARGIN + CELLS // 3, MARGIN + CELLS // 2] > 3


def test_rotations_saturate_beyond_the_reach(head):
    def nose_shift(yaw):
        sources = head.sources(head_row(yaw=yaw))
        distance = np.abs(sources - cells(average_mesh(SIDE)[NOSE])).sum(axis=-1)
        return np.unravel_index(distance.argmin(), distance.shape)[1] - CELLS / 2

    assert 0 < nose_shift(10) < nose_shift(20) < nose_shift(35)
    assert nose_shift(60) - nose_shift(40) <= 2
    assert nose_shift(80) == nose_shift(70)


def test_a_turned_head_turns_back_less_far():
    """The cheek that a photograph does not show was stretched until the face was dented."""
    assert np.array_equal(reach_deg(9.0), REACH_DEG)
    for own, yaw in ((20.0, (-20.0, 35.0)), (-20.0, (-35.0, 20.0)), (40.0, (-5.0, 35.0))):
        assert tuple(reach_deg(own)[:, 0]) == yaw
        assert np.array_equal(reach_deg(own)[:, 1:], REACH_DEG[:, 1:])


def test_hair_and_ears_are_outside_of_the_face(head):
    places = grid(MARGIN)
    outside = head.outside_face(places)
    nose, chin = (np.rint(cells(average_mesh(SIDE)[point])).astype(int) for point in (NOSE, CHIN))
    assert outside[nose[1], nose[0]] < 0.01
    assert outside[chin[1] + 6, chin[0]] > 0.99
    assert outside[:10].min() > 0.99
