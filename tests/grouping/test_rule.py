"""The rule of a valid group: its limits, and the K that a scan allows."""

import numpy as np
import pytest

from ptycho.errors import GroupingError
from ptycho.grouping import GroupRule, default_neighbor_count


def test_default_neighbours_are_the_ring_that_contains_a_compact_block():
    assert [default_neighbor_count(g) for g in (2, 3, 4)] == [8, 24, 48]
    assert GroupRule(gridsize=3).k == 24
    assert GroupRule(gridsize=3, K=9).k == 9


@pytest.mark.parametrize(("n_positions", "k"), [(4, 3), (8, 7), (9, 8), (1000, 8)])
def test_a_scan_allows_at_most_all_its_other_positions(n_positions, k):
    assert GroupRule().for_scan(n_positions) == GroupRule(K=k)


@pytest.mark.parametrize(
    ("rule", "n_positions", "message"),
    [
        ({"gridsize": 4}, 9, r"positions: 9 in the largest scan; expected at least 16"),
        ({"K": 2}, 9, r"K = 2 neighbours: expected 3 to 64 for gridsize 2; the default is 8"),
        ({"K": 65}, 99, r"K = 65 neighbours: expected 3 to 64"),
    ],
)
def test_a_rule_that_a_scan_cannot_follow_is_one_line(rule, n_positions, message):
    with pytest.raises(GroupingError, match=message):
        GroupRule(**rule).for_scan(n_positions)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"gridsize": 5}, r"gridsize = 5: expected 1 to 4"),
        ({"gridsize": 0}, r"gridsize = 0: expected 1 to 4"),
        ({"max_distance": 1.0, "min_distance": 2.0}, r"min_distance = 2.0, max_distance = 1.0"),
        ({"max_distance": np.nan}, r"max_distance = nan"),
        ({"min_distance": -1.0}, r"min_distance = -1.0"),
        ({"metric": "metres"}, r"metric = 'metres': expected pixels or steps"),
    ],
)
def test_values_out_of_range_are_refused_at_once(rule, message):
    with pytest.raises(GroupingError, match=message) as caught:
        GroupRule(**rule)
    assert "\n" not in str(caught.value)


def test_only_distance_limits_can_exclude_groups():
    assert not GroupRule(K=4, metric="steps").filtered
    for limits in ({"max_distance": 3.0}, {"min_distance": 0.5}):
        assert GroupRule(**limits).filtered
        assert GroupRule(**limits).without_limits() == GroupRule()
