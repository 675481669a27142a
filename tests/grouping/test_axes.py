"""The ratio of the steps along the axes, and groups that are compact in steps."""

import numpy as np
import pytest
from scan_shapes import raster

from ptycho.grouping import GroupRule, axis_ratio, sample_groups, summarise


@pytest.mark.parametrize(("across", "down"), [(1, 1), (1, 2.4), (3, 1), (2.31, 5.55)])
@pytest.mark.parametrize("jitter", [0.0, 0.1])
def test_the_ratio_of_the_steps_is_found_in_any_order(across, down, jitter):
    rng = np.random.default_rng(1)
    x, y = raster(50, 45)
    x, y = (
        x * across + jitter * rng.normal(size=x.size),
        y * down + jitter * rng.normal(size=x.size),
    )
    order = rng.permutation(x.size)
    assert axis_ratio(x[order], y[order]) == pytest.approx(across / down, rel=0.06)


@pytest.mark.parametrize("seed", range(5))
def test_scans_without_steps_have_none(seed):
    assert axis_ratio(*np.random.default_rng(seed).random((2, 3000))) == 1.0
    turn = np.arange(2000) * 2.399963
    assert axis_ratio(np.sqrt(turn) * np.cos(turn), np.sqrt(turn) * np.sin(turn)) == 1.0
    assert axis_ratio(np.arange(50.0), np.zeros(50)) == 1.0
    assert axis_ratio(np.zeros(3), np.zeros(3)) == 1.0


@pytest.mark.parametrize("method", ["uniform", "balanced"])
def test_in_steps_the_groups_of_a_fly_scan_are_squares_not_rows(method):
    x, y = raster(40, 40)
    x, y = 1.0 * x, 4.0 * y
    rows, squares = (
        summarise(x, y, sample_groups(x, y, GroupRule(metric=metric), n=400, method=method))
        for metric in ("pixels", "steps")
    )
    assert rows.line_share > 0.4
    assert squares.line_share < 0.1
    assert squares.median_rows >= 4.0
