"""Mouth mask and the error inside it."""

import numpy as np
import pytest

from pcavs.metrics.mouth import masked_error, polygon_mask


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
