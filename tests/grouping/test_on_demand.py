"""Samples without all neighbour lists equal those with them."""

import numpy as np
import pytest
from scan_shapes import raster

from ptycho.grouping import GroupRule, on_demand, sample_groups
from ptycho.grouping.neighbours import find_neighbourhood
from ptycho.grouping.sample import draw


@pytest.mark.parametrize("number", range(60))
def test_a_sample_on_demand_is_the_sample_of_all_neighbour_lists(monkeypatch, number):
    rng = np.random.default_rng(number)
    n = int(rng.integers(12, 600))
    x, y = [
        lambda: rng.random((2, n)),
        lambda: 1e9 + rng.integers(0, 12, (2, n)).astype(float),
        lambda: rng.normal(size=(2, n)) ** 3,
        lambda: raster(int(rng.integers(4, 20)), int(rng.integers(4, 20))),
        lambda: (2.3 * rng.integers(0, 30, n), 0.4 * rng.integers(0, 9, n)),
    ][number % 5]()
    rule = GroupRule(
        gridsize=3 if number % 7 == 0 else 2,
        K=10 if number % 7 == 0 else None,
        min_distance=0.02 * (number % 3 == 0),
        metric=["pixels", "steps"][number % 2],
    )
    monkeypatch.setattr(on_demand, "pays", lambda n_positions, n: True)
    found = on_demand.sample_on_demand(x, y, rule, n=20, seed=number)
    expected = draw(find_neighbourhood(x, y, rule), n=20, seed=number)
    np.testing.assert_array_equal(found, expected)


def test_large_scans_are_sampled_on_demand_and_the_others_not(monkeypatch):
    x, y = np.random.default_rng(0).random((2, 60_000))
    expected = draw(find_neighbourhood(x, y, GroupRule()), n=9, seed=4)
    monkeypatch.setattr("ptycho.grouping.sample.find_neighbourhood", None)  # must not be called
    np.testing.assert_array_equal(sample_groups(x, y, GroupRule(), n=9, seed=4), expected)
    ask = {"rule": GroupRule(), "n": 9, "seed": 4}
    assert on_demand.sample_on_demand(x, y, **ask | {"rule": GroupRule(max_distance=1.0)}) is None
    assert on_demand.sample_on_demand(x, y, **ask, scan_index=np.arange(60_000) % 2) is None
    assert on_demand.sample_on_demand(x, y, **ask | {"n": 2000}) is None
    assert on_demand.sample_on_demand(x[:100], y[:100], **ask) is None
    assert on_demand.sample_on_demand(x, 0 * y, **ask) is None
