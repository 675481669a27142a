"""The range of values that an image is displayed in."""

import numpy as np
import pytest

from ptycho.metrics import robust_range


def test_outliers_and_unknown_pixels_do_not_set_the_colours():
    values = np.linspace(0, 1, 1000).reshape(20, 50)
    known = np.ones_like(values, dtype=bool)
    values[0, 0], values[1, 1], known[1, 1] = 1e6, -1e6, False
    values[2, 2] = np.nan
    low, high = robust_range(values, known)
    assert (low, high) == (pytest.approx(0.01, abs=0.003), pytest.approx(0.99, abs=0.003))


def test_ranges_by_hand():
    assert robust_range(np.arange(101.0)) == (1.0, 99.0)
    assert robust_range(np.full(3, 2.0)) == (1.5, 2.5)
    assert robust_range(np.array([np.nan])) == (0.0, 1.0)
    assert robust_range(np.ones((2, 2)), np.zeros((2, 2), bool)) == (0.0, 1.0)
