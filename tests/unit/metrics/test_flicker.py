"""Flicker is measured, motion is not."""

import itertools

import cv2
import numpy as np
import pytest

from pcavs.metrics.flicker import flicker


def texture():
    noise = np.random.default_rng(0).uniform(60, 190, (20, 24, 3)).astype(np.float32)
    return cv2.resize(noise, (192, 160), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def test_still_film_does_not_flicker():
    assert flicker([texture()] * 4) == 0


def test_one_frame_does_not_flicker():
    assert flicker([texture()]) == 0


def test_motion_is_not_flicker():
    wide = texture()
    moving = [np.ascontiguousarray(wide[:, 2 * t : 2 * t + 128]) for t in range(8)]
    flashing = [np.clip(wide[:, :128].astype(int) + 10 * (t % 2), 0, 255).astype(np.uint8) for t in range(8)]
    unaligned = np.mean([np.abs(b.astype(int) - a).mean() for a, b in itertools.pairwise(moving)])
    assert flicker(moving) < unaligned / 3
    assert flicker(flashing) > 5


def test_noise_flickers_by_its_amplitude():
    rng = np.random.default_rng(2)
    noisy = [(texture() + rng.normal(0, 8, (160, 192, 3))).clip(0, 255).astype(np.uint8) for _ in range(4)]
    assert flicker(noisy) == pytest.approx(5, rel=0.5)
