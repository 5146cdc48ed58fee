"""Mouth mask, error inside it, and confidence intervals."""

import numpy as np
import pytest

from pcavs.metrics.curves import correlation
from pcavs.metrics.mouth import masked_error, polygon_mask
from pcavs.metrics.statistics import bootstrap


def test_mask_is_the_dilated_polygon():
    mesh = np.zeros((478, 3), np.float32)
    mesh[:4, :2] = [[20, 20], [40, 20], [40, 30], [20, 30]]
    mask = polygon_mask(mesh, (0, 1, 2, 3), 100, margin=0.05)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (15, 35, 15, 45)


def test_error_counts_inside_the_mask_only():
    truth = np.zeros((10, 10, 3), np.uint8)
    made = truth.copy()
    made[:5] = 30
    mask = np.zeros((10, 10), bool)
    mask[4:6] = True
    assert masked_error(made, truth, mask) == pytest.approx(15)


def test_correlation_of_a_frozen_mouth_is_zero():
    curve = np.arange(5, dtype=float)
    assert correlation(np.ones(5), curve) == 0
    assert correlation(2 * curve + 1, curve) == pytest.approx(1)


def test_interval_contains_the_mean_and_narrows_with_clips():
    rng = np.random.default_rng(0)
    few, many = bootstrap(rng.normal(2, 1, 10), rng, 2000), bootstrap(rng.normal(2, 1, 1000), rng, 2000)
    assert few.low < few.estimate < few.high
    assert many.high - many.low == pytest.approx(2 * 1.96 / np.sqrt(1000), rel=0.15)


def test_median_ignores_one_outlier():
    values = np.array([0.0] * 9 + [15.0])
    assert bootstrap(values, np.random.default_rng(0), 500, np.median)[:2] == (0, 0)
