"""1,500 small scans of every awkward shape: both paths list exactly the groups found by trying all.

The slow side shares nothing with the fast one but the definition.
"""

from itertools import combinations

import numpy as np
import pytest
from scan_shapes import tuples

from ptycho.grouping import GroupRule, all_groups, compiled, count_groups
from ptycho.grouping import kernels as _loaded

assert _loaded  # compiled before the first case
CASES, PER_TEST, QUICK = 1500, 100, 300


def case(number):
    """x, y, scan_index and rule of a case."""
    rng = np.random.default_rng(10_000 + number)
    size = 9 if number % 10 == 0 else 4
    most = 120 if number % 25 == 0 else 40
    n = int(rng.integers(size, 20 if size == 9 else most))
    x, y = [
        lambda: rng.random((2, n)),
        lambda: rng.integers(0, 7, (2, n)).astype(float),  # a lattice with coincident positions
        lambda: (np.arange(n) * 0.7, np.zeros(n)),
        lambda: 1e9 + 0.5 * rng.integers(0, 6, (2, n)),
        lambda: (np.arange(n) % 6 * 1.0, np.arange(n) // 6 * 1.0),
        lambda: rng.integers(0, 2, (2, n)).astype(float),
    ][number % 6]()
    scan = rng.integers(0, 1 + (number % 3 == 2) * 2, n)
    rule = {
        "gridsize": int(size**0.5),
        "K": int(rng.integers(size - 1, 10)) if size == 4 else 8 + number % 2,
        "max_distance": [None, None, None, 1.2, np.sqrt(2.0)][number % 5],
        "min_distance": 0.25 if number % 7 == 0 else 0.0,
    }
    return x, y, scan, rule


def slow(x, y, scan, *, gridsize, K, max_distance, min_distance):
    """All valid groups as sorted tuples."""
    size, found = gridsize**2, set()
    dx, dy = x[:, None] - x, y[:, None] - y
    d2 = dx * dx + dy * dy
    far = np.sqrt(d2)
    fits = far >= min_distance
    if max_distance is not None:
        fits &= far <= max_distance
    fits = fits.tolist()
    for s in range(len(x)):
        others = [(d2[s, t], t) for t in range(len(x)) if t != s and scan[t] == scan[s]]
        for rest in combinations([t for _, t in sorted(others)[:K]], size - 1):
            group = tuple(sorted((s, *rest)))
            if group not in found and all(fits[a][b] for a, b in combinations(group, 2)):
                found.add(group)
    return sorted(found)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(start, marks=[pytest.mark.slow] if start >= QUICK else [])
        for start in range(0, CASES, PER_TEST)
    ],
)
def test_the_groups_are_those_found_by_trying_everything(monkeypatch, start):
    for number in range(start, start + PER_TEST):
        x, y, scan, rule = case(number)
        if len(np.unique(scan)) == len(x) or np.bincount(scan).max() < rule["gridsize"] ** 2:
            scan = np.zeros(len(x), int)
        expected = slow(x, y, scan, **rule)
        for way in (False, True):
            monkeypatch.setattr(compiled, "pays", lambda n, way=way: way)
            found = all_groups(x, y, GroupRule(**rule), scan_index=scan)
            assert tuples(found) == expected, (number, way)
            n_groups = count_groups(x, y, GroupRule(**rule), scan_index=scan)
            assert n_groups == len(expected), (number, way)
