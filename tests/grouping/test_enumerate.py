"""Laws of the list of all valid groups, and of its count."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scan_shapes import awkward_scan, raster, slow_groups, tuples

from ptycho.errors import GroupingError
from ptycho.grouping import GroupRule, all_groups, count_groups, sample_rows
from ptycho.grouping import enumerate as module


def request(number):
    """Positions and rule of a small case, and its groups; None where the scans are too small."""
    x, y, scan = awkward_scan(number)
    gridsize = 3 if number % 5 == 0 else 2
    size = gridsize**2
    k = size - 1 + number % 5
    largest = [None, None, 1.0, np.sqrt(2), 3.3, 1e12][number % 6]
    smallest = 0.3 if number % 8 == 0 else 0.0
    if np.bincount(scan).max() < size:
        return None
    one_scan = len(np.unique(scan)) == len(x)
    slow = slow_groups(x, y, size, k, np.zeros(len(x)) if one_scan else scan, largest, smallest)
    rule = GroupRule(gridsize=gridsize, K=k, max_distance=largest, min_distance=smallest)
    return x, y, scan, rule, slow


@pytest.mark.parametrize("start", range(0, 400, 20))
def test_all_groups_are_those_found_by_trying_everything(start):
    for number in range(start, start + 20):
        if (case := request(number)) is not None:
            x, y, scan, rule, expected = case
            found = all_groups(x, y, rule, scan_index=scan)
            assert found.dtype == np.int32
            assert tuples(found) == expected, number
            assert count_groups(x, y, rule, scan_index=scan) == len(expected), number


def test_all_groups_are_the_same_when_worked_in_small_parts(monkeypatch):
    x, y = raster(8, 9)
    whole, number = (
        all_groups(x, y, GroupRule()),
        count_groups(x, y, GroupRule()),
    )
    monkeypatch.setattr(module, "_CELLS_AT_ONCE", 1000)
    np.testing.assert_array_equal(all_groups(x, y, GroupRule()), whole)
    assert count_groups(x, y, GroupRule()) == number == len(whole)


def test_five_points_on_a_line_by_hand():
    # Two nearest of each: 0:{1,2} 1:{0,2} 2:{1,3} 3:{2,4} 4:{3,2}; K = 3 adds the next one.
    x = np.arange(5.0)
    groups = all_groups(x, np.zeros(5), GroupRule(K=3))
    assert tuples(groups) == [(0, 1, 2, 3), (1, 2, 3, 4)]


def test_groups_of_one_are_the_positions():
    assert tuples(all_groups(np.arange(4.0), np.zeros(4), GroupRule(gridsize=1))) == [
        (0,),
        (1,),
        (2,),
        (3,),
    ]
    assert count_groups(np.arange(4.0), np.zeros(4), GroupRule(gridsize=1)) == 4


def test_as_many_positions_as_a_group_needs_give_one_group():
    assert tuples(all_groups(*raster(2, 2), GroupRule())) == [(0, 1, 2, 3)]
    assert tuples(all_groups(*raster(3, 3), GroupRule(gridsize=3))) == [tuple(range(9))]


def test_every_set_counts_when_every_position_is_a_neighbour_of_all():
    assert count_groups(*raster(3, 4), GroupRule(K=11)) == comb(12, 4)


@given(seed=st.integers(0, 2**31), gridsize=st.integers(2, 3), more=st.integers(0, 4))
def test_the_list_is_sorted_without_repetition_and_as_long_as_counted(seed, gridsize, more):
    x, y = np.random.default_rng(seed).integers(0, 5, (2, 30)).astype(float)
    rule = GroupRule(gridsize=gridsize, K=gridsize**2 - 1 + more)
    groups = all_groups(x, y, rule)
    assert (np.diff(groups, axis=1) > 0).all()
    assert tuples(groups) == sorted(set(tuples(groups)))
    assert len(groups) == count_groups(x, y, rule)


def test_counts_beyond_any_table_are_exact():
    assert count_groups(*raster(5, 6), GroupRule(gridsize=4, K=29)) == comb(30, 16)
    # Written down once, as a guard; small scans are compared with the slow way above.
    assert count_groups(*raster(92, 112), GroupRule(gridsize=4, K=24)) == 13_308_624_849


def test_a_table_above_the_limit_is_refused_with_the_exact_count():
    x, y = raster(10, 10)
    total = count_groups(x, y, GroupRule())
    with pytest.raises(GroupingError, match=rf"all groups: {total:,} of them need") as caught:
        all_groups(x, y, GroupRule(), max_bytes=16 * total - 1)
    assert "expected at most" in str(caught.value)
    assert len(all_groups(x, y, GroupRule(), max_bytes=16 * total)) == total


def test_groups_never_mix_scans():
    x, y = raster(5, 5)
    scan = np.repeat([0, 1], 25)
    groups = all_groups(np.tile(x, 2), np.tile(y, 2), GroupRule(), scan_index=scan)
    assert (scan[groups] == scan[groups[:, :1]]).all()
    assert len(groups) == 2 * count_groups(x, y, GroupRule())


def test_max_distance_keeps_only_the_compact_blocks_of_a_raster():
    groups = all_groups(*raster(4, 5), GroupRule(max_distance=1.5))
    assert tuples(groups) == [
        (i, i + 1, i + 5, i + 6) for r in range(3) for c in range(4) for i in [5 * r + c]
    ]


def test_min_distance_drops_coincident_members():
    x, y = raster(3, 3)
    x, y = np.append(x, x[4]), np.append(y, y[4])
    groups = all_groups(x, y, GroupRule(min_distance=0.5))
    assert len(groups)
    assert not {(4, 9)} & {(a, b) for g in tuples(groups) for a in g for b in g}


def test_sample_rows_draws_different_entries_of_each_row():
    rows = np.arange(50).reshape(10, 5)
    drawn = sample_rows(rows, 3, 4, np.random.default_rng(0))
    assert drawn.shape == (10, 4, 3)
    assert (np.sort(drawn, axis=-1)[..., 1:] != np.sort(drawn, axis=-1)[..., :-1]).all()
    assert (drawn // 5 == np.arange(10)[:, None, None]).all()
    again = sample_rows(rows, 3, 4, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, again)


def test_sample_rows_refuses_more_than_a_row_holds():
    with pytest.raises(GroupingError, match=r"sample_rows: n = 6; expected 0 to 5"):
        sample_rows(np.zeros((2, 5), int), 6, 1, np.random.default_rng(0))
