"""Laws of sampling groups: uniform, balanced, sequential."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scan_shapes import awkward_scan, raster, slow_groups, tuples

from ptycho.errors import GroupingError
from ptycho.grouping import all_groups, count_groups, deck, on_demand, sample_groups
from ptycho.grouping.enumerate import tabulate
from ptycho.grouping.neighbours import find_neighbourhood
from ptycho.grouping.sample import draw
from ptycho.grouping.shuffle import Shuffle

METHODS = ["uniform", "balanced", "sequential"]


@pytest.mark.parametrize(
    ("method", "cases"), [("uniform", 80), ("sequential", 80), ("balanced", 20)]
)
def test_asking_for_more_than_exist_gives_exactly_all_of_them(method, cases, caplog):
    for number in range(cases):
        x, y, scan = awkward_scan(number)
        gridsize = 3 if number % 5 == 0 else 2
        size, limit = gridsize**2, [None, 1.5, 3.3][number % 3]
        if np.bincount(scan).max() < size or len(np.unique(scan)) == len(x):
            continue
        expected = slow_groups(x, y, size, size + 1, scan, limit)
        rule = {"gridsize": gridsize, "K": size + 1, "scan_index": scan, "max_distance": limit}
        found = sample_groups(x, y, n=10**6, method=method, **rule)
        assert found.dtype == np.int32
        assert sorted(tuples(found)) == expected, number
        half = sample_groups(x, y, n=len(expected) // 2, method=method, **rule)
        np.testing.assert_array_equal(half, found[: len(half)], err_msg=str(number))
    assert "1,000,000 groups asked for" in caplog.text


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("gridsize", [1, 2, 3])
def test_samples_are_valid_different_sorted_and_nested(method, gridsize):
    x, y = raster(14, 11)
    valid = set(tuples(all_groups(x, y, gridsize=gridsize, K=None if gridsize < 3 else 10)))
    rule = {"gridsize": gridsize, "K": None if gridsize < 3 else 10, "method": method, "seed": 3}
    found = sample_groups(x, y, n=100, **rule)
    assert len(set(tuples(found))) == len(found) == 100
    assert set(tuples(found)) <= valid
    assert (np.diff(found, axis=1) > 0).all()
    np.testing.assert_array_equal(sample_groups(x, y, n=30, **rule), found[:30])


@pytest.mark.parametrize("method", ["uniform", "balanced"])
def test_the_seed_alone_decides(method):
    x, y = raster(12, 12)
    draws = [sample_groups(x, y, gridsize=2, n=36, method=method, seed=s) for s in (5, 5, 6)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_the_uniform_sample_of_a_seed_stays_the_same_for_ever():
    # Written down once: a later version must reproduce the groups of a published run.
    found = sample_groups(*raster(5, 5), gridsize=2, n=4, seed=0)
    assert tuples(found) == PINNED


PINNED = [(11, 15, 20, 22), (0, 5, 10, 15), (7, 13, 17, 19), (10, 11, 12, 20)]


def test_every_group_is_equally_likely():
    x, y = raster(4, 3)
    x[5] += 0.3
    neighbourhood = find_neighbourhood(x, y, gridsize=2, K=5)
    groups = {g: i for i, g in enumerate(tuples(tabulate(neighbourhood)))}
    hits, n, trials = np.zeros(len(groups)), len(groups) // 4, 1500
    for seed in range(trials):
        for group in tuples(draw(neighbourhood, n=n, seed=seed)):
            hits[groups[group]] += 1
    share, degrees = n / len(groups), len(groups) - 1
    # Without replacement the counts of a draw lean against each other by this factor.
    spread = trials * share * (1 - share) * len(groups) / degrees
    chi2 = np.square(hits - trials * share).sum() / spread
    assert abs(chi2 - degrees) < 4 * np.sqrt(2 * degrees)  # missed by 1 in 15,000 such tests


def test_every_ordered_pair_of_cards_is_equally_likely():
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
def test_a_shuffle_meets_every_number_once(size, seed):
    cards = Shuffle(size, seed)(np.arange(size, dtype=np.uint64))
    assert sorted(cards.tolist()) == list(range(size))


def test_shuffles_of_huge_decks_stay_inside_and_differ():
    cards = Shuffle(2**61 + 12345, 1)(np.arange(10_000, dtype=np.uint64))
    assert cards.max() < 2**61 + 12345
    assert len(np.unique(cards)) == 10_000
    assert abs(cards.astype(float).mean() / (2**60) - 1) < 0.02  # 3.5 standard deviations


def test_the_size_of_the_steps_does_not_change_the_uniform_sample(monkeypatch):
    x, y = raster(12, 12)
    whole = sample_groups(x, y, gridsize=2, n=500, seed=1)
    monkeypatch.setattr(deck, "_CELLS_AT_ONCE", 300)
    np.testing.assert_array_equal(sample_groups(x, y, gridsize=2, n=500, seed=1), whole)


def test_groups_too_many_for_any_table_are_sampled():
    found = sample_groups(*raster(92, 112), gridsize=4, n=50)
    assert found.shape == (50, 16)
    assert len(set(tuples(found))) == 50


def test_a_balanced_sample_of_a_raster_uses_every_position_once():
    x, y = raster(46, 56)
    found = sample_groups(x, y, gridsize=2, n=46 * 14, method="balanced")
    uses = np.bincount(found.ravel(), minlength=len(x))
    assert (uses == 0).mean() <= 0.005
    sides = [np.hypot(x[found[:, a]] - x[found[:, b]], y[found[:, a]] - y[found[:, b]])
             for a, b in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]]  # fmt: skip
    assert np.mean(sides) < 1.32  # a uniform sample has 1.55 steps, perfect squares 1.14


def test_two_rounds_of_a_balanced_sample_use_every_position_twice():
    x, y = raster(20, 20)
    found = sample_groups(x, y, gridsize=2, n=200, method="balanced")
    uses = np.bincount(found.ravel(), minlength=400)
    assert len(set(tuples(found))) == 200
    assert uses.min() >= 1
    assert uses.max() <= 4
    assert (uses == 2).mean() > 0.9


def test_the_beginning_of_a_balanced_sample_is_spread_over_the_scan():
    x, y = raster(40, 40)
    quarter = sample_groups(x, y, gridsize=2, n=64, method="balanced", seed=2).ravel()
    counts, *_ = np.histogram2d(x[quarter], y[quarter], bins=4, range=[[-0.5, 39.5]] * 2)
    assert counts.min() >= 8  # 16 on average; a uniform sample leaves parts with 2 or 3
    assert counts.max() <= 26


def test_balanced_sampling_keeps_scans_apart_and_serves_both():
    x, y = raster(12, 12)
    scan = np.repeat([4, 9], 144)
    found = sample_groups(
        np.tile(x, 2), np.tile(y, 2), gridsize=2, n=72, scan_index=scan, method="balanced"
    )
    assert (scan[found] == scan[found[:, :1]]).all()
    assert np.bincount(found.ravel(), minlength=288).max() <= 2
    assert len(np.unique(found)) > 0.98 * 288


def test_sequential_groups_are_seeded_by_the_first_positions():
    found = sample_groups(*raster(10, 10), gridsize=2, n=9, method="sequential")
    assert found.max() < 30
    assert found[0].tolist() == [0, 1, 10, 11]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "even"}, r"sampling = 'even': expected one of uniform, balanced, sequential"),
        ({"n": -1}, r"sampling: n = -1, seed = 0; expected 0 or above"),
        ({"seed": -1}, r"seed = -1; expected 0 or above"),
        ({"gridsize": 4, "K": 64}, r"K = 64: .* combinations .*; lower K"),
    ],
)
def test_a_sample_that_cannot_be_drawn_is_refused_in_one_line(change, message):
    arguments = {"gridsize": 2, "n": 3} | change
    with pytest.raises(GroupingError, match=message):
        sample_groups(*raster(170, 180), **arguments)


def test_a_filter_that_rejects_nearly_everything_is_reported(monkeypatch):
    monkeypatch.setattr(deck, "_PATIENCE", 100)
    x, y = raster(40, 40)
    with pytest.raises(GroupingError, match=r"0 of [\d,]+ combinations keep the distance limits"):
        sample_groups(x, y, gridsize=2, K=12, n=5, max_distance=2.0, min_distance=1.5)


def test_no_groups_asked_for_gives_none():
    assert sample_groups(*raster(4, 4), gridsize=2, n=0).shape == (0, 4)


def test_counting_agrees_with_sampling_everything():
    x, y = raster(9, 8)
    assert len(sample_groups(x, y, gridsize=2, n=10**5)) == count_groups(x, y, gridsize=2)


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
    rule = {"gridsize": 3, "K": 10} if number % 7 == 0 else {"gridsize": 2}
    rule["min_distance"] = 0.02 * (number % 3 == 0)
    rule["metric"] = ["pixels", "steps"][number % 2]
    monkeypatch.setattr(on_demand, "pays", lambda n_positions, n: True)
    found = on_demand.sample_on_demand(x, y, n=20, seed=number, **rule)
    expected = draw(find_neighbourhood(x, y, **rule), n=20, seed=number)
    np.testing.assert_array_equal(found, expected)


def test_large_scans_are_sampled_on_demand_and_the_others_not(monkeypatch):
    x, y = np.random.default_rng(0).random((2, 60_000))
    expected = draw(find_neighbourhood(x, y, gridsize=2), n=9, seed=4)
    monkeypatch.setattr("ptycho.grouping.sample.find_neighbourhood", None)  # must not be called
    np.testing.assert_array_equal(sample_groups(x, y, gridsize=2, n=9, seed=4), expected)
    ask = {"gridsize": 2, "n": 9, "seed": 4}
    assert on_demand.sample_on_demand(x, y, **ask, max_distance=1.0) is None
    assert on_demand.sample_on_demand(x, y, **ask, scan_index=np.arange(60_000) % 2) is None
    assert on_demand.sample_on_demand(x, y, **ask | {"n": 2000}) is None
    assert on_demand.sample_on_demand(x[:100], y[:100], **ask) is None
    assert on_demand.sample_on_demand(x, 0 * y, **ask) is None
