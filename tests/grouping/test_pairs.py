"""Uniform sampling of numbered (seed, combination) pairs."""

import numpy as np
import pytest
from scan_shapes import raster, tuples

from ptycho.errors import GroupingError
from ptycho.grouping import GroupRule, count_groups, pairs, sample_groups
from ptycho.grouping.enumerate import tabulate
from ptycho.grouping.neighbours import find_neighbourhood
from ptycho.grouping.sample import draw


def test_the_uniform_sample_of_a_seed_stays_the_same_for_ever():
    # Written down once: a later version must reproduce the groups of a published run.
    found = sample_groups(*raster(5, 5), GroupRule(), n=4, seed=0)
    assert tuples(found) == PINNED


PINNED = [(11, 15, 20, 22), (0, 5, 10, 15), (7, 13, 17, 19), (10, 11, 12, 20)]


def test_every_group_is_equally_likely():
    x, y = raster(4, 3)
    x[5] += 0.3
    neighbourhood = find_neighbourhood(x, y, GroupRule(K=5))
    groups = {g: i for i, g in enumerate(tuples(tabulate(neighbourhood)))}
    hits, n, trials = np.zeros(len(groups)), len(groups) // 4, 1500
    for seed in range(trials):
        for group in tuples(draw(neighbourhood, n=n, seed=seed)):
            hits[groups[group]] += 1
    share, degrees = n / len(groups), len(groups) - 1
    # Sampling without replacement correlates the counts; this factor is their variance.
    spread = trials * share * (1 - share) * len(groups) / degrees
    chi2 = np.square(hits - trials * share).sum() / spread
    assert abs(chi2 - degrees) < 4 * np.sqrt(2 * degrees)  # missed by 1 in 15,000 such tests


def test_the_size_of_the_steps_does_not_change_the_uniform_sample(monkeypatch):
    x, y = raster(12, 12)
    whole = sample_groups(x, y, GroupRule(), n=500, seed=1)
    monkeypatch.setattr(pairs, "_CELLS_AT_ONCE", 300)
    np.testing.assert_array_equal(sample_groups(x, y, GroupRule(), n=500, seed=1), whole)


def test_groups_too_many_for_any_table_are_sampled():
    found = sample_groups(*raster(92, 112), GroupRule(gridsize=4), n=50)
    assert found.shape == (50, 16)
    assert len(set(tuples(found))) == 50


def test_a_filter_that_rejects_nearly_everything_is_reported(monkeypatch):
    monkeypatch.setattr(pairs, "_LARGEST_TRIAL", 100)
    x, y = raster(40, 40)
    with pytest.raises(GroupingError, match=r"0 of [\d,]+ combinations obey the distance limits"):
        sample_groups(x, y, GroupRule(K=12, max_distance=2.0, min_distance=1.5), n=5)


def test_counting_agrees_with_sampling_everything():
    x, y = raster(9, 8)
    assert len(sample_groups(x, y, GroupRule(), n=10**5)) == count_groups(x, y, GroupRule())
