"""The numbers that describe what groups cover."""

import numpy as np
import pytest
from scan_shapes import raster

from ptycho.grouping import GroupRule, sample_groups, summarise


def test_two_overlapping_blocks_by_hand():
    # 0 1 2    the blocks 0 1 3 4 and 1 2 4 5 of a 3 x 3 raster of step 2
    # 3 4 5
    # 6 7 8
    found = summarise(*raster(3, 3, step=2.0), np.array([[0, 1, 3, 4], [1, 2, 4, 5]]))
    assert (found.n_groups, found.group_size, found.n_positions) == (2, 4, 9)
    assert (found.n_patterns, found.n_different, found.most_uses) == (8, 6, 2)
    assert found.share == pytest.approx(6 / 9)
    assert found.median_pair_distance == 2.0
    assert found.mean_pair_distance == pytest.approx((4 * 2 + 2 * np.sqrt(8)) / 6)
    assert found.spacing == 2.0
    assert found.near_share == 1.0
    assert found.largest_gap == 2.0
    assert found.sentence() == "2 groups, 8 patterns, 6 distinct (67 % of the scan)"
    assert found.paragraph() == (
        "2 groups, 8 patterns, 6 distinct (67 % of the scan). Positions used: 3 never, 4 once, "
        "2 twice. 100 % of the positions lie within one spacing (2 px) of a used one; largest "
        "empty circle: radius 2 px; discrepancy 0.43. Median group: 2 px wide, 2 px high, members "
        "2 px apart; 0 % of the groups are lines"
    )


def test_the_overlap_is_relative_to_the_probe():
    blocks = np.array([[0, 1, 3, 4], [1, 2, 4, 5]])
    found = summarise(*raster(3, 3, step=2.0), blocks, probe_diameter=8.0)
    assert found.median_overlap == 0.75
    assert found.used() == "8 patterns, 6 distinct (67 % of the scan); median overlap 75 %"
    assert summarise(*raster(3, 3), blocks, probe_diameter=0.5).median_overlap == 0.0


def test_single_frames_have_no_pair_distance():
    found = summarise(*raster(2, 2), np.arange(4)[:, None])
    assert np.isnan(found.median_pair_distance)
    assert found.sentence() == "4 groups, 4 patterns, 4 distinct (100 % of the scan)"


def test_no_groups_cover_nothing():
    found = summarise(*raster(2, 2), np.empty((0, 4), np.int32))
    assert (found.n_groups, found.n_different, found.near_share) == (0, 0, 0.0)
    assert found.sentence() == "0 groups, 0 patterns, 0 distinct (0 % of the scan)"


def test_a_share_that_is_not_all_is_never_rounded_to_all():
    found = summarise(*raster(20, 20), np.arange(399)[:, None])
    assert "(99.8 % of the scan)" in found.sentence()


def test_one_position_is_described_without_a_neighbour():
    found = summarise(np.zeros(1), np.zeros(1), np.zeros((1, 1), int))
    assert found.share == 1.0
    assert found.largest_gap == 0.0


def test_balanced_groups_cover_more_than_uniform_ones_and_those_more_than_sequential_ones():
    x, y = raster(40, 40)
    sequential, uniform, balanced = (
        summarise(x, y, sample_groups(x, y, GroupRule(), n=100, method=method))
        for method in ("sequential", "uniform", "balanced")
    )
    assert balanced.n_different > uniform.n_different > sequential.n_different
    assert balanced.largest_gap < uniform.largest_gap < sequential.largest_gap
    assert balanced.near_share > uniform.near_share > sequential.near_share


def test_the_discrepancy_of_an_even_sample_is_small_however_many_groups_it_holds():
    x, y = raster(150, 150)
    for n in (500, 2500, 5000):
        balanced = summarise(x, y, sample_groups(x, y, GroupRule(), n=n, method="balanced", seed=0))
        assert balanced.discrepancy < 0.02
