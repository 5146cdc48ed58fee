import numpy as np
import pytest

from pcavs.face import regions
from pcavs.face.pose import canonical_face


@pytest.mark.parametrize("name", ["LIPS", "OUTER_LIPS", "INNER_LIPS", "FACE_OVAL", "RIGID"])
def test_regions_are_symmetric_and_without_doubles(name):
    region = getattr(regions, name)
    assert len(set(region)) == len(region)
    assert set(regions.mirrored_points()[list(region)]) == set(region)


@pytest.mark.parametrize("name", ["OUTER_LIPS", "INNER_LIPS", "FACE_OVAL", "LEFT_EYE", "RIGHT_EYE"])
def test_polygons_go_once_around_clockwise(name):
    x, y = canonical_face().vertices_cm[list(getattr(regions, name)), :2].T
    turns = np.diff(np.unwrap(np.arctan2(y - y.mean(), x - x.mean()), period=2 * np.pi))
    assert (turns > -0.2).all()  # a lip's bow may lean back a little
    assert turns.sum() == pytest.approx(2 * np.pi, rel=0.2)


def test_left_is_the_pictures_left():
    x = canonical_face().vertices_cm[:, 0]
    assert x[list(regions.LEFT_EYE + regions.LEFT_EYE_SIX)].max() < 0 < x[list(regions.RIGHT_EYE)].min()


def test_rigid_points_are_not_those_that_speak_or_blink():
    brows = {70, 63, 105, 66, 107, 55, 65, 52, 53, 46, 300, 293, 334, 296, 336, 285, 295, 282, 283, 276}
    eyelids = set(regions.LEFT_EYE + regions.RIGHT_EYE) - {33, 133, 362, 263}
    soft = set(regions.LIPS) | brows | eyelids
    assert not soft & set(regions.RIGID)


def test_mouth_opening_does_not_depend_on_pose_or_size(pose_head):
    shut = regions.mouth_opening(pose_head([(0, 0, 0)]))
    openings = [
        regions.mouth_opening(pose_head([angles], scale=scale, opening_cm=1))
        for angles, scale in [((0, 0, 0), 10), ((40, 10, 20), 3)]
    ]
    np.testing.assert_allclose(openings[0], openings[1], rtol=1e-4)
    np.testing.assert_allclose(openings[0] - shut, 1 / 6.4, atol=0.03)  # eyes are about 6.4 cm apart


def test_mouth_width_does_not_depend_on_pose_or_size(pose_head):
    front, turned = (
        regions.mouth_width(pose_head([angles], scale=scale)) for angles, scale in [((0, 0, 0), 10), ((40, 10, 20), 3)]
    )
    np.testing.assert_allclose(front, turned, rtol=1e-4)
    wide = pose_head([(0, 0, 0)])
    wide[:, 61, 0] -= 0.1 * regions.interocular_distance(wide)
    np.testing.assert_allclose(regions.mouth_width(wide) - front, 0.1, atol=1e-3)


def test_lips_shape_knows_the_opening_and_not_the_pose(pose_head):
    shut, turned, wide = (
        regions.lips_shape(pose_head([angles], opening_cm=cm))[0].reshape(40, 2)
        for angles, cm in [((0, 0, 0), 0), ((35, -10, 5), 0), ((35, -10, 5), 1)]
    )
    np.testing.assert_allclose(shut, turned, atol=1e-3)
    moved = (wide - turned)[regions.LIPS.index(14)]
    np.testing.assert_allclose(moved, [0, 1], atol=1e-3)


def test_a_mirrored_point_mirrors_back():
    points = regions.mirrored_points()
    assert sorted(points) == list(range(478))
    np.testing.assert_array_equal(points[points], np.arange(478))


@pytest.mark.parametrize("line", [regions.OUTER_LIPS, regions.INNER_LIPS])
def test_lips_are_their_own_mirror_image(line: tuple[int, ...]):
    """From the other corner backwards, upper lip to upper lip."""
    points = regions.mirrored_points()
    start = line.index(int(points[line[0]]))
    assert [int(points[point]) for point in line] == [line[(start - step) % len(line)] for step in range(len(line))]


def test_eyes_are_each_others_mirror_image():
    assert {int(regions.mirrored_points()[point]) for point in regions.LEFT_EYE} == set(regions.RIGHT_EYE)
