"""Mouth crops do not depend on the head's size, roll and light, and show the mouth."""

import cv2
import numpy as np

from helpers.drawn import DRAWN_PX, draw_head, head_meshes
from pcavs.metrics.crops import mouth_crops, standardised


def drawn(angles=(0, 0, 0), opening=0.0, frames=12):
    meshes = head_meshes(
        np.tile(np.array(angles, float), (frames, 1)), np.full(frames, opening), np.zeros((frames, 2)), DRAWN_PX
    )
    return [draw_head(mesh, 7) for mesh in meshes], meshes


def test_crop_does_not_depend_on_picture_size():
    pictures, meshes = drawn()
    larger = [cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC) for picture in pictures]
    moved = meshes.copy()
    moved[:, :, :2] = (moved[:, :, :2] + 0.5) * 2 - 0.5
    moved[:, :, 2] *= 2
    difference = mouth_crops(pictures, meshes).astype(float) - mouth_crops(larger, moved)
    assert np.abs(difference).mean() < 3


def test_rolled_head_gives_upright_crop():
    pictures, meshes = drawn()
    turn = cv2.getRotationMatrix2D((DRAWN_PX / 2, DRAWN_PX / 2), 25, 1)
    leaning = [cv2.warpAffine(p, turn, (DRAWN_PX, DRAWN_PX), borderMode=cv2.BORDER_REPLICATE) for p in pictures]
    moved = meshes.copy()
    moved[:, :, :2] = meshes[:, :, :2] @ turn[:, :2].T.astype(np.float32) + turn[:, 2].astype(np.float32)
    difference = mouth_crops(pictures, meshes).astype(float) - mouth_crops(leaning, moved)
    assert np.abs(difference).mean() < 6


def test_open_mouth_changes_the_crop():
    shut, opened = (mouth_crops(*drawn(opening=value))[0].astype(float) for value in (0, 1))
    assert np.abs(shut - opened)[20:44, 12:36].mean() > 8


def test_brightness_is_removed_over_the_whole_clip():
    crops = np.random.default_rng(0).integers(20, 100, (6, 48, 48)).astype(np.uint8)
    crops[3] //= 2
    plain = standardised(crops)
    assert abs(plain.mean()) < 1e-4
    assert plain[3].mean() < -0.5
    assert np.abs(plain - standardised((crops.astype(int) * 2).astype(np.uint8))).max() < 0.1
