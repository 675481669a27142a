"""Keyed permutations: every number once, every order equally likely."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ptycho.grouping.shuffle import Shuffle


def test_every_ordered_pair_of_numbers_is_equally_likely():
    size, trials = 7, 2000
    hits = np.zeros((size, size))
    for seed in range(trials):
        first, second = Shuffle(size, seed)(np.arange(2, dtype=np.uint64)).astype(int)
        hits[first, second] += 1
    expected = trials / (size * (size - 1))
    off = ~np.eye(size, dtype=bool)
    chi2 = np.square(hits[off] - expected).sum() / expected
    assert hits.trace() == 0
    assert abs(chi2 - 41) < 4 * np.sqrt(2 * 41)


@given(size=st.integers(1, 5000), seed=st.integers(0, 2**64))
def test_a_permutation_has_every_number_once(size, seed):
    numbers = Shuffle(size, seed)(np.arange(size, dtype=np.uint64))
    assert sorted(numbers.tolist()) == list(range(size))


def test_huge_permutations_stay_in_range_and_differ():
    numbers = Shuffle(2**61 + 12345, 1)(np.arange(10_000, dtype=np.uint64))
    assert numbers.max() < 2**61 + 12345
    assert len(np.unique(numbers)) == 10_000
    assert abs(numbers.astype(float).mean() / (2**60) - 1) < 0.02  # 3.5 standard deviations
