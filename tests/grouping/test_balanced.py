"""Balanced samples: positions used evenly, compact groups, every initial part spread."""

import numpy as np
from scan_shapes import raster, tuples

from ptycho.grouping import GroupRule, sample_groups


def test_a_balanced_sample_of_a_raster_uses_every_position_once():
    x, y = raster(46, 56)
    found = sample_groups(x, y, GroupRule(), n=46 * 14, method="balanced")
    uses = np.bincount(found.ravel(), minlength=len(x))
    assert (uses == 0).mean() <= 0.005
    sides = [np.hypot(x[found[:, a]] - x[found[:, b]], y[found[:, a]] - y[found[:, b]])
             for a, b in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]]  # fmt: skip
    assert np.mean(sides) < 1.32  # a uniform sample has 1.55 steps, perfect squares 1.14


def test_two_rounds_of_a_balanced_sample_use_every_position_twice():
    x, y = raster(20, 20)
    found = sample_groups(x, y, GroupRule(), n=200, method="balanced")
    uses = np.bincount(found.ravel(), minlength=400)
    assert len(set(tuples(found))) == 200
    assert uses.min() >= 1
    assert uses.max() <= 4
    assert (uses == 2).mean() > 0.9


def test_the_beginning_of_a_balanced_sample_is_spread_over_the_scan():
    x, y = raster(40, 40)
    quarter = sample_groups(x, y, GroupRule(), n=64, method="balanced", seed=2).ravel()
    counts, *_ = np.histogram2d(x[quarter], y[quarter], bins=4, range=[[-0.5, 39.5]] * 2)
    assert counts.min() >= 8  # 16 on average; a uniform sample leaves parts with 2 or 3
    assert counts.max() <= 26


def test_balanced_sampling_keeps_scans_apart_and_serves_both():
    x, y = raster(12, 12)
    scan = np.repeat([4, 9], 144)
    found = sample_groups(
        np.tile(x, 2), np.tile(y, 2), GroupRule(), n=72, scan_index=scan, method="balanced"
    )
    assert (scan[found] == scan[found[:, :1]]).all()
    assert np.bincount(found.ravel(), minlength=288).max() <= 2
    assert len(np.unique(found)) > 0.98 * 288


def test_balanced_groups_reach_the_border_as_often_as_the_middle():
    side, draws = 30, 40
    y, x = (a.ravel().astype(float) for a in np.mgrid[:side, :side])
    hits = np.zeros(len(x))
    for seed in range(draws):
        groups = sample_groups(x, y, GroupRule(), n=45, method="balanced", seed=seed)
        np.add.at(hits, groups.ravel(), 1)
    border = (np.minimum(x, y) < 2) | (np.maximum(x, y) >= side - 2)
    share = hits[border].mean() / hits[~border].mean()
    # 1,600 uses of 224 border positions: 3 % by chance alone, less with the even spread.
    assert 0.88 < share < 1.12
