"""Dubbing: only mouth and chin are pasted, where the video has the face, in the video's light."""

import numpy as np
import pytest

from helpers.heads import average_mesh, smooth_picture
from pcavs.animate.compose.dub import MouthPaster, fit_affine, mouth_mask
from pcavs.face.regions import INNER_LIPS, LEFT_EYE, RIGHT_EYE

SIDE = 128
SIZE = (200, 240)


class FixedFollower:
    """A follower that finds the given meshes."""

    def __init__(self, meshes):
        self.meshes = iter(meshes)

    def step(self, frame):
        return next(self.meshes)


def moved(mesh, scale=0.8, shift=(60.0, 20.0)):
    mesh = mesh * np.float32(scale)
    mesh[:, :2] += np.array(shift, np.float32)
    return mesh


def whole_mask(there, made, size=SIZE):
    """The mask in a picture of the video's size."""
    whole = np.zeros(size, np.float32)
    box, mask = mouth_mask(there, made, size)
    whole[box] = mask
    return whole


def paster(*there):
    made = average_mesh(SIDE)
    return MouthPaster(FixedFollower(there), FixedFollower([made] * len(there)))


def pasted(pasting, head, frame):
    return pasting.paste(head, frame, pasting.follow(frame))


@pytest.fixture
def video():
    return smooth_picture(240, seed=5)[: SIZE[0]]


@pytest.fixture
def head():
    return smooth_picture(SIDE, seed=9)


def test_one_face_is_laid_over_the_other():
    made = average_mesh(SIDE, yaw=10)
    turn = np.array([[0.9, 0.2, 30.0], [-0.2, 0.9, 12.0]])
    there = made.copy()
    there[:, :2] = made[:, :2] @ turn[:, :2].T + turn[:, 2]
    assert fit_affine(made, there) == pytest.approx(turn, abs=1e-3)


def test_the_mask_contains_the_mouth_and_neither_eyes_nor_ears():
    there = moved(average_mesh(SIDE))
    mask = whole_mask(there, there[:, :2])
    rows, columns = (there[:, axis].round().astype(int) for axis in (1, 0))
    assert mask[rows[list(INNER_LIPS)], columns[list(INNER_LIPS)]].min() > 0.95
    assert mask[rows[list(LEFT_EYE + RIGHT_EYE)], columns[list(LEFT_EYE + RIGHT_EYE)]].max() == 0
    assert mask[rows[[127, 356, 234, 454]], columns[[127, 356, 234, 454]]].max() == 0


def test_the_mask_contains_a_lowered_jaw():
    there = moved(average_mesh(SIDE))
    lower = there[:, :2].copy()
    lower[:, 1] += 8 * (lower[:, 1] > there[13, 1])
    chin = (there[152, :2] + np.array([0, 5])).round().astype(int)
    assert whole_mask(there, there[:, :2])[chin[1], chin[0]] < 0.3
    assert whole_mask(there, lower)[chin[1], chin[0]] > 0.7


def test_the_mask_does_not_depend_on_the_frames_size():
    """It is blurred in a box, whose edges must have no effect."""
    there = moved(average_mesh(SIDE))
    small = whole_mask(there, there[:, :2])
    far = there.copy()
    far[:, :2] += (300, 400)
    large = whole_mask(far, far[:, :2], (1080, 1920))
    assert np.abs(large[400 : 400 + SIZE[0], 300 : 300 + SIZE[1]] - small).max() < 1e-6
    assert large.sum() == pytest.approx(small.sum(), rel=1e-5)


def test_outside_the_mask_the_video_is_unchanged(video, head):
    there = moved(average_mesh(SIDE))
    frame = pasted(paster(there), head, video)
    outside = whole_mask(there, there[:, :2]) == 0
    assert outside.mean() > 0.7
    assert np.array_equal(frame[outside], video[outside])
    lips = there[list(INNER_LIPS), :2].mean(axis=0).round().astype(int)
    assert np.abs(frame[lips[1], lips[0]].astype(int) - video[lips[1], lips[0]]).max() > 5


def test_the_mouth_is_placed_on_the_videos_mouth(video):
    """A white spot on the rendered lips is pasted onto the video's lips."""
    there, own = moved(average_mesh(SIDE), scale=1.2, shift=(-20.0, 5.0)), average_mesh(SIDE)
    mouth, lips = (mesh[list(INNER_LIPS), :2].mean(axis=0).round().astype(int) for mesh in (there, own))
    head = np.full((SIDE, SIDE, 3), 60, np.uint8)
    head[lips[1] - 1 : lips[1] + 2, lips[0] - 1 : lips[0] + 2] = 250
    frame = pasted(paster(there), head, np.full_like(video, 60))
    assert np.array(np.unravel_index(frame[..., 0].argmax(), SIZE)) == pytest.approx(mouth[::-1], abs=1)


def test_the_mouth_takes_the_videos_light(head):
    dark = np.full((*SIZE, 3), 40, np.uint8)
    there = moved(average_mesh(SIDE))
    pale = np.full_like(head, 200)
    frame = pasted(paster(there), pale, dark)
    assert np.abs(frame.astype(int) - 40).max() <= 1


def test_the_colour_offset_is_smoothed_over_time(head):
    there = moved(average_mesh(SIDE))
    pasting = paster(there, there)
    pasted(pasting, np.full_like(head, 100), np.full((*SIZE, 3), 100, np.uint8))
    frame = pasted(pasting, np.full_like(head, 100), np.full((*SIZE, 3), 140, np.uint8))
    lips = there[list(INNER_LIPS), :2].mean(axis=0).round().astype(int)
    assert frame[lips[1], lips[0]] == pytest.approx(110, abs=1)


def test_a_frame_without_the_face_is_unchanged(video, head):
    assert pasted(paster(None), head, video) is video


def test_a_face_outside_the_frame_is_accepted(video, head):
    assert pasted(paster(moved(average_mesh(SIDE), shift=(200.0, 150.0))), head, video).shape == video.shape
    assert np.array_equal(pasted(paster(moved(average_mesh(SIDE), shift=(900.0, 0.0))), head, video), video)
