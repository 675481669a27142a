"""Laws of sampling groups: the same for each method of the table, a method of a test included."""

import numpy as np
import pytest
from scan_shapes import awkward_scan, raster, slow_groups, tuples

from ptycho.errors import GroupingError
from ptycho.grouping import SAMPLERS, GroupRule, Sampler, all_groups, sample_groups
from ptycho.grouping.enumerate import tabulate
from ptycho.grouping.neighbours import find_neighbourhood
from ptycho.grouping.sample import draw


class Toy(Sampler):
    """The valid groups from the last one on."""

    def draw(self, neighbourhood, n, seed):
        groups = tabulate(neighbourhood)[::-1]
        return np.roll(groups, -seed, axis=0)[:n]


METHODS = [*SAMPLERS, "toy"]


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setitem(SAMPLERS, "toy", Toy)


@pytest.fixture(params=METHODS)
def method(request):
    return request.param


def test_asking_for_more_than_exist_gives_exactly_all_of_them(method, caplog):
    for number in range(20 if method == "balanced" else 80):
        x, y, scan = awkward_scan(number)
        gridsize = 3 if number % 5 == 0 else 2
        size, limit = gridsize**2, [None, 1.5, 3.3][number % 3]
        if np.bincount(scan).max() < size or len(np.unique(scan)) == len(x):
            continue
        expected = slow_groups(x, y, size, size + 1, scan, limit)
        rule = GroupRule(gridsize=gridsize, K=size + 1, max_distance=limit)
        found = sample_groups(x, y, rule, n=10**6, method=method, scan_index=scan)
        assert found.dtype == np.int32
        assert sorted(tuples(found)) == expected, number
        n = len(expected) // 2
        half = sample_groups(x, y, rule, n=n, method=method, scan_index=scan)
        np.testing.assert_array_equal(half, found[:n], err_msg=str(number))
    assert "groups: 1,000,000 requested" in caplog.text


@pytest.mark.parametrize("gridsize", [1, 2, 3])
def test_samples_are_valid_different_sorted_and_nested(method, gridsize):
    x, y = raster(14, 11)
    rule = GroupRule(gridsize=gridsize, K=None if gridsize < 3 else 10)
    valid = set(tuples(all_groups(x, y, rule)))
    found = sample_groups(x, y, rule, n=100, method=method, seed=3)
    assert len(set(tuples(found))) == len(found) == 100
    assert set(tuples(found)) <= valid
    assert (np.diff(found, axis=1) > 0).all()
    fewer = sample_groups(x, y, rule, n=30, method=method, seed=3)
    np.testing.assert_array_equal(fewer, found[:30])


def test_equal_seeds_give_equal_samples(method):
    x, y = raster(12, 12)
    samples = [sample_groups(x, y, GroupRule(), n=36, method=method, seed=s) for s in (5, 5, 6)]
    np.testing.assert_array_equal(samples[0], samples[1])
    if method != "sequential":  # the one method without randomness
        assert not np.array_equal(samples[0], samples[2])


def test_groups_never_mix_scans(method):
    x, y = raster(6, 6)
    scan = np.repeat([4, 9], 36)
    found = sample_groups(
        np.tile(x, 2), np.tile(y, 2), GroupRule(), n=18, method=method, scan_index=scan
    )
    assert len(found) == 18
    assert (scan[found] == scan[found[:, :1]]).all()


def test_distance_limits_are_obeyed(method):
    x, y = np.random.default_rng(0).random((2, 200)) * 20
    rule = GroupRule(max_distance=2.5, min_distance=0.2)
    found = sample_groups(x, y, rule, n=40, method=method)
    assert len(found) == 40
    for a, b in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]:
        far = np.hypot(x[found[:, a]] - x[found[:, b]], y[found[:, a]] - y[found[:, b]])
        assert far.min() >= 0.2
        assert far.max() <= 2.5


def test_no_groups_requested_gives_none(method):
    assert sample_groups(*raster(4, 4), GroupRule(), n=0, method=method).shape == (0, 4)


def test_a_sample_of_found_neighbours_is_that_of_the_positions(method):
    x, y = raster(9, 8)
    found = draw(find_neighbourhood(x, y, GroupRule()), n=20, method=method, seed=2)
    expected = sample_groups(x, y, GroupRule(), n=20, method=method, seed=2)
    np.testing.assert_array_equal(found, expected)


def test_every_method_is_described_in_a_few_words(method):
    assert 0 < len(SAMPLERS.text(method)) < 60
    assert not SAMPLERS.text(method).endswith(".")


def test_sequential_groups_are_seeded_by_the_first_positions():
    found = sample_groups(*raster(10, 10), GroupRule(), n=9, method="sequential")
    assert found.max() < 30
    assert found[0].tolist() == [0, 1, 10, 11]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "even"}, r"sampling = 'even': expected one of uniform, balanced, sequential"),
        ({"n": -1}, r"sampling: n = -1, seed = 0; expected 0 or above"),
        ({"seed": -1}, r"seed = -1; expected 0 or above"),
        ({"rule": GroupRule(gridsize=4, K=64)}, r"K = 64: .* combinations .*; lower K"),
    ],
)
def test_an_impossible_sample_is_refused_in_one_line(change, message):
    with pytest.raises(GroupingError, match=message):
        sample_groups(*raster(170, 180), **{"rule": GroupRule(), "n": 3} | change)
