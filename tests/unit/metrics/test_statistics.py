"""Bootstrap intervals of means and medians."""

import numpy as np
import pytest

from pcavs.metrics.statistics import bootstrap


def test_interval_contains_the_mean_and_narrows_with_clips():
    rng = np.random.default_rng(0)
    few, many = bootstrap(rng.normal(2, 1, 10), rng, 2000), bootstrap(rng.normal(2, 1, 1000), rng, 2000)
    assert few.low < few.estimate < few.high
    assert many.high - many.low == pytest.approx(2 * 1.96 / np.sqrt(1000), rel=0.15)


def test_median_ignores_one_outlier():
    values = np.array([0.0] * 9 + [15.0])
    assert bootstrap(values, np.random.default_rng(0), 500, np.median)[:2] == (0, 0)
