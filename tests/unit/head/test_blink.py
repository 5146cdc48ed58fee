"""Blinks: their rate, their seed, and eyelids that close without moving anything else."""

import cv2
import numpy as np
import pytest

from helpers.heads import average_mesh
from pcavs.face.regions import LEFT_EYE, RIGHT_EYE
from pcavs.head.blink import BLINK, blink_track
from pcavs.head.eyes import Eyes

SIDE = 512
SKIN, WHITE, BROW = (200, 150, 120), (240, 240, 240), (60, 40, 30)


def starts(track):
    return np.flatnonzero(np.diff(np.concatenate([[0], track > 0]).astype(int)) == 1)


def test_there_are_about_19_blinks_a_minute():
    counts = [len(starts(blink_track(25 * 60, seed))) for seed in range(40)]
    assert 16 < np.mean(counts) < 22
    assert min(counts) >= 9
    assert max(counts) <= 32


def test_the_seed_determines_the_blinks():
    assert np.array_equal(blink_track(500, 3), blink_track(500, 3))
    assert not np.array_equal(blink_track(500, 3), blink_track(500, 4))
    longer, shorter = blink_track(700, 3), blink_track(300, 3)
    assert np.array_equal(longer[: 300 - len(BLINK)], shorter[: 300 - len(BLINK)])


@pytest.mark.parametrize("num_frames", [0, 1, 3, 40, 250])
def test_no_blink_is_cut_off(num_frames):
    track = blink_track(num_frames, 1)
    assert len(track) == num_frames
    for first in starts(track):
        assert np.allclose(track[first : first + len(BLINK)], BLINK)
    assert num_frames < 3 or track[-1] == 0 or track[-1] == np.float32(BLINK[-1])


@pytest.fixture(scope="module")
def eyes():
    """A face of one colour with white eyes and dark brows."""
    mesh = average_mesh(SIDE)
    picture = np.full((SIDE, SIDE, 3), SKIN, np.uint8)
    for outline in (LEFT_EYE, RIGHT_EYE):
        corners = mesh[list(outline), :2]
        cv2.fillPoly(picture, [np.rint(corners).astype(np.int32)], WHITE)
        top = int(corners[:, 1].min() - 2.2 * np.ptp(corners[:, 1]))
        cv2.rectangle(picture, (int(corners[:, 0].min()), top - 12), (int(corners[:, 0].max()), top), BROW, -1)
    return picture, mesh


def test_a_closure_of_0_returns_the_picture_itself(eyes):
    picture, mesh = eyes
    assert Eyes(picture, mesh).show(0.0) is picture


def test_closed_eyelids_are_skin_and_brows_do_not_move(eyes):
    picture, mesh = eyes
    kept = picture.copy()
    eyes_of = Eyes(picture, mesh)
    half, closed = eyes_of.show(0.5), eyes_of.show(1.0)
    assert np.array_equal(picture, kept)

    def whites(frame):
        return int((np.abs(frame.astype(int) - WHITE).sum(axis=-1) < 30).sum())

    assert whites(closed) < 0.06 * whites(picture)
    assert 0.25 < whites(half) / whites(picture) < 0.75
    brows = np.abs(picture.astype(int) - BROW).sum(axis=-1) < 30
    assert np.array_equal(closed[brows], picture[brows])
    changed = np.flatnonzero((closed != picture).any(axis=(1, 2)))
    eye_rows = mesh[list(LEFT_EYE + RIGHT_EYE), 1]
    assert changed.max() <= eye_rows.max() + 0.15 * SIDE / 5  # lashes hang over the lower lid


def test_shut_eyes_are_left_alone(eyes):
    picture, mesh = eyes
    mesh = mesh.copy()
    for outline in (LEFT_EYE, RIGHT_EYE):
        mesh[list(outline), 1] = mesh[list(outline), 1].mean()
    assert Eyes(picture, mesh).show(1.0) is picture


def test_padding_shifts_the_eyelids(eyes):
    picture, mesh = eyes
    wide = cv2.copyMakeBorder(picture, 10, 10, 10, 10, cv2.BORDER_REPLICATE)
    assert np.array_equal(Eyes(wide, mesh, 10).show(1.0)[10:-10, 10:-10], Eyes(picture, mesh).show(1.0))


def test_eyes_of_a_profile_are_left_alone():
    mesh = average_mesh(SIDE, yaw=85)
    picture = np.full((SIDE, SIDE, 3), SKIN, np.uint8)
    assert np.array_equal(Eyes(picture, mesh).show(1.0), picture)
