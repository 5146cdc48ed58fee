"""Faces measured from landmarks: what moves is read, in its own unit, however the head turns."""

import numpy as np
import pytest

from helpers.heads import average_mesh
from pcavs.face.pose import rotation_from_angles
from pcavs.pose import expression, face

SIDE = 512
CM = SIDE / 20.0


def clip(change=None, frames=20, at=slice(10, 14), **turn):
    """Meshes of a face whose landmarks are changed for some frames, in pixels of an unturned head."""
    meshes = np.repeat(average_mesh(SIDE, **turn)[None], frames, axis=0)
    if change is not None:
        for number in range(frames)[at]:
            change(meshes[number])
    return meshes


def scale_px():
    mesh = average_mesh(SIDE)
    return float(mesh[263, 0] - mesh[33, 0]) / 8.89


def shut(mesh, eyes=(((159, 145), (160, 144), (158, 153)), ((386, 374), (385, 380), (387, 373)))):
    for pairs in eyes:
        for upper, lower in pairs:
            mesh[upper, 1] = mesh[lower, 1]


def test_a_face_that_does_not_move_is_neutral_but_for_its_gaze():
    track = face.to_expression(face.measure_face(clip()))
    track[:, expression.GAZE] = 0
    assert not track.any()


def test_shut_lids_are_shut_and_do_not_disturb_the_gaze():
    track = face.to_expression(face.measure_face(clip(shut)))
    assert (track[10:14, expression.LIDS] > 0.95).all()
    assert np.abs(track[:10, expression.LIDS]).max() == 0
    assert np.ptp(track[:, expression.GAZE_YAW]) < 1e-3


def test_a_wink_is_kept_and_a_small_difference_is_not():
    def wink(mesh):
        shut(mesh, eyes=(((159, 145), (160, 144), (158, 153)),))

    def droop(mesh):
        for upper in (159, 160, 158):
            mesh[upper, 1] += 0.12 * CM

    winked, drooped = (
        face.to_expression(face.measure_face(clip(each)))[10:14, expression.LIDS] for each in (wink, droop)
    )
    assert (winked[:, 0] > 0.9).all()
    assert (winked[:, 1] < 0.1).all()
    assert np.abs(np.diff(drooped, axis=1)).max() < 1e-6


@pytest.mark.parametrize("turn", [{}, {"yaw": 20}, {"pitch": -10, "roll": 8}])
def test_the_gaze_is_that_in_the_head(turn):
    def irises(x_cm, y_cm):
        meshes = clip(frames=1, **turn)
        straight = average_mesh(SIDE)
        moved = straight.copy()
        moved[468:478, :2] += np.array([x_cm, y_cm]) * scale_px()
        angles = np.array([[turn.get(name, 0.0) for name in ("yaw", "pitch", "roll")]], np.float64)
        meshes[0, 468:478] += (moved - straight)[468:478] @ rotation_from_angles(angles)[0].T.astype(np.float32)
        return face.measure_face(meshes)[0, face.YAW : face.PITCH + 1]

    ahead, right, up = irises(0, 0), irises(0.41, 0), irises(0, -0.2)
    assert right[0] - ahead[0] == pytest.approx(20, abs=1.5)
    assert up[1] - ahead[1] == pytest.approx(9.7, abs=1.5)


def test_raised_brows_and_smiles_are_read():
    def brows(mesh):
        mesh[[*face._BROWS[0], *face._BROWS[1]], 1] -= 0.5 * scale_px()

    def smile(mesh):
        mesh[61, :2] += np.array([-0.5, -0.4]) * scale_px()
        mesh[291, :2] += np.array([0.5, -0.4]) * scale_px()

    raised = face.to_expression(face.measure_face(clip(brows, 60, slice(20, 40))))
    assert raised[30, expression.LEFT_BROW] == pytest.approx(0.5, abs=0.1)
    assert np.abs(raised[:10]).max(initial=0, where=np.arange(9) >= expression.LEFT_BROW) < 1e-6
    smiled = face.to_expression(face.measure_face(clip(smile, 100, slice(60, 100))))
    assert smiled[90, expression.SMILE] > 0.4
    assert smiled[10, expression.SMILE] == 0


def test_brows_do_not_rise_in_blinks():
    """Landmarks of the brows follow lids that shut; brows that rise by themselves stay, also over shut eyes."""
    rows = np.tile(np.linspace(0.9, 1.0, len(face.COLUMNS)), (100, 1)).astype(np.float32)
    rows[:, face.LEFT_OPENING : face.RIGHT_OPENING + 1] = 0.3
    for first, length in ((20, 4), (60, 20)):
        span = slice(first, first + length)
        rows[span, face.LEFT_OPENING : face.RIGHT_OPENING + 1] = 0.05
        rows[span, face.LEFT_BROW : face.RIGHT_BROW + 1] += 0.3
    brows = face.to_expression(rows)[:, expression.LEFT_BROW]
    assert np.abs(brows[15:30]).max() < 0.02
    assert brows[65:75].min() > 0.25
