"""Two halves of a scan: disjoint, complete, each all over the scan, by chance and by seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from ptycho.grouping import balanced_halves


def raster(side):
    return np.stack(np.divmod(np.arange(side**2), side), axis=1).astype(np.float64)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(2, 200), seed=st.integers(0, 2**32 - 1))
def test_halves_share_no_position_and_miss_none(n, seed):
    rng = np.random.default_rng(seed)
    first, second = balanced_halves(rng.normal(size=(n, 2)), rng)
    assert np.intersect1d(first, second).size == 0
    np.testing.assert_array_equal(np.union1d(first, second), np.arange(n))
    assert abs(len(first) - len(second)) == n % 2


def test_of_two_neighbours_one_goes_to_each_half():
    pairs = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 10.0], [0.0, 11.0], [0.0, 20.0], [0.0, 21.0]])
    for seed in range(20):
        halves = balanced_halves(pairs, np.random.default_rng(seed))
        assert all(sorted(half // 2) == [0, 1, 2] for half in halves)


def test_no_half_has_wide_holes():
    # In a lattice of step 1 the nearest of the same half is at most about a cell of pairs away.
    positions = raster(20)
    for half in balanced_halves(positions, np.random.default_rng(0)):
        assert cKDTree(positions[half]).query(positions)[0].max() <= np.hypot(2, 2)


def test_halves_follow_the_seed_and_are_no_lattice():
    positions = raster(16)
    one, same, other = (
        balanced_halves(positions, np.random.default_rng(seed))[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    rows, columns = positions[one].T
    # Chance leaves both kinds of every row and column in the half: 128 of 256, 8 +- 2 per line.
    for line in (rows, columns):
        assert np.bincount(line.astype(int) % 2).min() > 40


def test_one_position_of_three_is_alone():
    sizes = {
        len(balanced_halves(raster(2)[:3], np.random.default_rng(seed))[0]) for seed in range(20)
    }
    assert sizes == {1, 2}


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_to_halve(n):
    first, second = balanced_halves(np.zeros((n, 2)), np.random.default_rng(0))
    assert len(first) + len(second) == n
