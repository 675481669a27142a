"""Laws of the neighbour search."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scan_shapes import awkward_scan, raster, slow_neighbours

from ptycho.errors import GroupingError
from ptycho.grouping import GroupRule, get_neighbor_indices
from ptycho.grouping import neighbours as module
from ptycho.grouping.neighbours import find_neighbourhood


@pytest.mark.parametrize("number", range(140))
def test_neighbours_are_those_found_by_sorting_everything(number):
    x, y, scan = awkward_scan(number)
    k = 1 + number % 9
    found = get_neighbor_indices(x, y, k, scan_index=scan)
    assert found.dtype == np.int32
    one_scan = len(np.unique(scan)) == len(x)
    expected = slow_neighbours(x, y, k, np.zeros(len(x)) if one_scan else scan)
    assert [[t for t in row if t >= 0] for row in found.tolist()] == expected


coordinates = arrays(np.float64, st.integers(2, 30), elements=st.integers(0, 6).map(float))


@given(x=coordinates, k=st.integers(1, 12), seed=st.integers(0, 2**31))
def test_ties_and_coincident_points_never_change_the_answer(x, k, seed):
    y = np.random.default_rng(seed).integers(0, 3, len(x)).astype(float)
    found = get_neighbor_indices(x, y, k)
    assert found.tolist() == slow_neighbours(x, y, k, np.zeros(len(x)))


def test_open_ties_stay_right_when_the_query_is_cut_into_small_parts(monkeypatch):
    monkeypatch.setattr(module, "_CANDIDATES_AT_ONCE", 50)
    x, y = raster(9, 7)
    for k in (3, 4, 5, 6, 8, 11):
        assert get_neighbor_indices(x, y, k).tolist() == slow_neighbours(x, y, k, np.zeros(63))


def test_the_middle_of_a_three_by_three_raster_by_hand():
    # 0 1 2
    # 3 4 5   the four sides first, then the corners, each in index order
    # 6 7 8
    assert get_neighbor_indices(*raster(3, 3), 8)[4].tolist() == [1, 3, 5, 7, 0, 2, 6, 8]
    assert get_neighbor_indices(*raster(3, 3), 2)[0].tolist() == [1, 3]


def test_position_order_does_not_matter_where_there_are_no_ties():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 300))
    order = rng.permutation(300)
    straight, shuffled = get_neighbor_indices(x, y, 6), get_neighbor_indices(x[order], y[order], 6)
    np.testing.assert_array_equal(order[shuffled], straight[order])


def test_coincident_positions_are_neighbours_and_nobody_is_its_own():
    x = y = np.zeros(5)
    assert get_neighbor_indices(x, y, 2).tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]


def test_many_coincident_positions_are_settled_without_comparing_all():
    n = 20_000
    found = get_neighbor_indices(np.zeros(n), np.zeros(n), 3)
    assert found[[0, 1, 2, n - 1]].tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


def test_more_neighbours_than_positions_are_clamped():
    assert get_neighbor_indices(np.arange(4.0), np.zeros(4), 10).shape == (4, 3)
    assert get_neighbor_indices(np.zeros(1), np.zeros(1), 10).shape == (1, 0)


def test_neighbours_never_come_from_another_scan():
    x, y = raster(6, 6)
    x, y = np.tile(x, 2), np.tile(y, 2)  # two scans of the very same places
    scan = np.repeat([7, 3], 36)
    found = get_neighbor_indices(x, y, 8, scan_index=scan)
    assert (scan[found] == scan[:, None]).all()


def test_a_small_scan_beside_a_large_one_has_its_rows_filled_up():
    scan = np.array([0] * 6 + [1] * 2)
    found = get_neighbor_indices(np.arange(8.0), np.zeros(8), 4, scan_index=scan)
    assert found[6:].tolist() == [[7, -1, -1, -1], [6, -1, -1, -1]]


def test_a_pattern_counter_is_one_scan_and_said_so(caplog):
    x, y = raster(3, 3)
    found = get_neighbor_indices(x, y, 3, scan_index=np.arange(100, 109))
    np.testing.assert_array_equal(found, get_neighbor_indices(x, y, 3))
    assert "all 9 values differ" in caplog.text


def test_a_compact_block_of_a_raster_is_valid_at_the_default_and_not_at_four():
    x, y = raster(6, 6)
    block = {14, 15, 20, 21}
    for k, possible in ((8, True), (4, False)):
        near = get_neighbor_indices(x, y, k)
        assert any(block - {s} <= set(near[s].tolist()) for s in block) is possible


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_positions_that_are_not_finite_are_counted_and_the_first_is_named(value):
    x = np.arange(10.0)
    x[[3, 7]] = value
    with pytest.raises(GroupingError, match=r"2 of 10 not finite, the first at index 3"):
        get_neighbor_indices(x, np.zeros(10), 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros(3)}, r"positions: x of shape \(3,\), y of shape \(9,\)"),
        (
            {"rule": GroupRule(gridsize=4)},
            r"positions: 9 in the largest scan; expected at least 16",
        ),
        (
            {"rule": GroupRule(K=2)},
            r"K = 2 neighbours: expected 3 to 64 for gridsize 2; the default",
        ),
        ({"scan_index": np.zeros(4)}, r"scan_index: shape \(4,\); expected \(9,\)"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_in_one_line(change, message):
    x, y = raster(3, 3)
    with pytest.raises(GroupingError, match=message) as caught:
        find_neighbourhood(**({"x": x, "y": y, "rule": GroupRule()} | change))
    assert "\n" not in str(caught.value)
