"""Turned, widened and winking eyes on a drawn face: the iris goes where it should, whole, and nothing else moves."""

import cv2
import numpy as np
import pytest

from helpers.heads import average_mesh
from pcavs.errors import InputError
from pcavs.face.regions import IRISES, LEFT_EYE, RIGHT_EYE
from pcavs.head.eyes import Eyes
from pcavs.pose.expression import COLUMNS, gaze_lids, parse_gaze

SIDE = 512
SKIN, WHITE, IRIS = (200, 150, 120), (235, 235, 235), (70, 50, 40)


def drawn(radius_share=0.2):
    """A face with irises, and landmarks that know them."""
    mesh = average_mesh(SIDE)
    picture = np.full((SIDE, SIDE, 3), SKIN, np.uint8)
    for number, outline in enumerate((LEFT_EYE, RIGHT_EYE)):
        corners = mesh[list(outline), :2]
        inside = cv2.fillPoly(np.zeros((SIDE, SIDE), np.uint8), [np.rint(corners).astype(np.int32)], 255) > 0
        centre, radius = corners.mean(axis=0), radius_share * np.ptp(corners[:, 0])
        x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
        iris = np.hypot(x - centre[0], y - centre[1]) < radius
        picture[inside] = WHITE
        picture[inside & iris] = IRIS
        edge = radius * np.array([[0, 0], [1, 0], [0, -1], [-1, 0], [0, 1]])
        mesh[list(IRISES[number * 5 : number * 5 + 5]), :2] = centre + edge
    return cv2.GaussianBlur(picture, (0, 0), 0.8), mesh


def row(**values):
    return np.array([values.get(name, 0.0) for name in COLUMNS])


def iris_of(picture, mesh, outline):
    """Centre and size in x and y of the dark pixels of one eye."""
    x0, y0, x1, y1 = (*mesh[list(outline), :2].min(axis=0) - 4, *mesh[list(outline), :2].max(axis=0) + 4)
    box = picture[int(y0) : int(y1), int(x0) : int(x1)].sum(axis=-1)
    rows, columns = np.nonzero(box < 350)
    return np.array([columns.mean() + int(x0), rows.mean() + int(y0)]), np.array([np.ptp(columns), np.ptp(rows)])


@pytest.fixture(scope="module")
def face():
    picture, mesh = drawn()
    return picture, mesh, Eyes(picture, mesh)


def test_a_neutral_expression_returns_the_picture_itself(face):
    picture, _, eyes = face
    assert eyes.show(0.0, row()) is picture
    assert eyes.show(0.0, row(left_brow=1.0)) is picture


@pytest.mark.parametrize(("yaw", "pitch"), [(14, 0), (-14, 0), (7, 0), (-7, 0), (0, 6), (0, -6)])
def test_the_iris_moves_by_the_angle_and_stays_whole(face, yaw, pitch):
    picture, mesh, eyes = face
    turned = eyes.show(0.0, row(gaze_yaw=yaw, gaze_pitch=pitch))
    for number, outline in enumerate((LEFT_EYE, RIGHT_EYE)):
        radius = mesh[IRISES[number * 5 + 1], 0] - mesh[IRISES[number * 5], 0]
        (before, size), (after, moved_size) = (iris_of(each, mesh, outline) for each in (picture, turned))
        expected = 2.05 * radius * np.sin(np.radians([yaw, -pitch]))
        axis = 0 if yaw else 1
        tolerance = 2.5 if yaw else 3.0  # lids cut an iris that moves up or down
        assert np.abs(after - before - expected)[axis] < tolerance
        assert abs(moved_size[0] - size[0]) <= 5


def test_the_reflection_of_a_lamp_moves_half_as_far_as_the_iris():
    """A lamp's reflection belongs to the light: it moved with the iris, as if it were painted on it."""
    picture, mesh = drawn(0.24)
    for number in range(2):
        x, y = mesh[IRISES[number * 5], :2]
        cv2.circle(picture, (round(x), round(y)), 2, (255, 255, 255), -1)
    eyes = Eyes(picture, mesh)
    turned = eyes.show(0.0, row(gaze_yaw=14))
    for number in range(2):
        (x, y), radius = mesh[IRISES[number * 5], :2], mesh[IRISES[number * 5 + 1], 0] - mesh[IRISES[number * 5], 0]
        moved_px = 2.05 * radius * np.sin(np.radians(14))
        line = turned[round(y) - 1 : round(y) + 2, round(x) - 4 : round(x + moved_px) + 4].astype(int).sum(axis=(0, 2))
        assert abs(int(line.argmax()) - 4 - 0.55 * moved_px) < 1.5
        assert line[round(moved_px) + 5 :].max() < 0.3 * line.max(), "it did not move with the iris as well"


def test_a_gaze_changes_nothing_but_the_eyes(face):
    picture, mesh, eyes = face
    changed = (eyes.show(0.0, row(gaze_yaw=15, gaze_pitch=-5)) != picture).any(axis=-1)
    allowed = np.zeros((SIDE, SIDE), np.uint8)
    for outline in (LEFT_EYE, RIGHT_EYE):
        cv2.fillPoly(allowed, [np.rint(mesh[list(outline), :2]).astype(np.int32)], 255)
    assert changed.any()
    assert not (changed & (cv2.dilate(allowed, np.ones((9, 9))) == 0)).any()


def test_a_wink_shuts_one_eye_only(face):
    picture, mesh, eyes = face
    wink = eyes.show(0.0, row(left_lid=1.0))
    middle = int(mesh[168, 0])
    assert np.array_equal(wink[:, middle:], picture[:, middle:])
    assert np.array_equal(wink[:, :middle], eyes.show(1.0)[:, :middle])


def test_wide_eyes_show_more_white(face):
    picture, _, eyes = face

    def white(frame):
        return int((frame.sum(axis=-1) > 660).sum())

    wide, wider = (white(eyes.show(0.0, row(left_lid=-x, right_lid=-x))) for x in (0.5, 1.0))
    assert white(picture) < wide < wider


def test_a_turned_eye_is_shut_by_a_blink_like_any_other(face):
    _, _, eyes = face
    assert np.abs(eyes.show(1.0, row(gaze_yaw=15)).astype(int) - eyes.show(1.0)).max() == 0


def test_shut_eyes_are_not_turned():
    picture, mesh = drawn()
    for outline in (LEFT_EYE, RIGHT_EYE):
        mesh[list(outline), 1] = mesh[list(outline), 1].mean()
    assert Eyes(picture, mesh).show(0.0, row(gaze_yaw=15)) is picture


def test_padding_shifts_the_eyes(face):
    picture, mesh, eyes = face
    wide = cv2.copyMakeBorder(picture, 10, 10, 10, 10, cv2.BORDER_REPLICATE)
    turned = Eyes(wide, mesh, 10).show(0.0, row(gaze_yaw=12))[10:-10, 10:-10]
    assert np.abs(turned.astype(int) - eyes.show(0.0, row(gaze_yaw=12))).max() <= 1


@pytest.mark.parametrize(
    ("text", "gaze"), [("10,-5", (10, -5)), ("yaw=-12", (-12, 0)), (" pitch = 3 , yaw=1", (1, 3)), ("0,0", (0, 0))]
)
def test_gazes_are_read(text, gaze):
    assert parse_gaze(text) == gaze


@pytest.mark.parametrize("text", ["", "10", "10,5,3", "left", "yaw=x", "roll=3", "40,0", "0,26", "nan,0", "yaw=1,5"])
def test_what_is_no_gaze_is_refused(text):
    with pytest.raises(InputError, match="gaze"):
        parse_gaze(text)


def test_lids_follow_the_gaze_up_and_down():
    down, ahead, up = gaze_lids(np.array([-15.0, 0.0, 15.0]))
    assert 0.2 < down < 0.4
    assert ahead == 0
    assert -1 < up < -0.5
