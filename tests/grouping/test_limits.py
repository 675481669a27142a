"""How many groups distance limits exclude."""

import pytest
from scan_shapes import raster

from ptycho.errors import GroupingError
from ptycho.grouping import GroupRule, count_groups
from ptycho.grouping.limits import limits_sentence
from ptycho.grouping.neighbours import find_neighbourhood


def test_the_number_of_excluded_groups_is_exact():
    x, y = raster(9, 8)
    limited = find_neighbourhood(x, y, GroupRule(max_distance=1.5))
    total, kept = count_groups(x, y, GroupRule()), count_groups(x, y, GroupRule(max_distance=1.5))
    assert kept == 7 * 8
    assert f"{total - kept:,} of {total:,} groups excluded" in limits_sentence(limited)


def test_of_very_many_groups_the_excluded_share_is_about_right(monkeypatch):
    x, y = raster(40, 40)
    limited = find_neighbourhood(x, y, GroupRule(max_distance=2.5))
    share = 1 - count_groups(x, y, GroupRule(max_distance=2.5)) / count_groups(x, y, GroupRule())
    monkeypatch.setattr("ptycho.grouping.limits._EXACT_UP_TO", 10)
    told = float(limits_sentence(limited).split("about ")[1].split(" %")[0])
    assert abs(told - 100 * share) < 2.5  # 5 standard deviations of a share of 10,000


def test_limits_that_exclude_all_groups_are_one_line():
    limited = find_neighbourhood(*raster(5, 5), GroupRule(max_distance=1.2, min_distance=0.5))
    with pytest.raises(GroupingError, match=r"\(at least 0.5 px and at most 1.2 px\): none of .*"):
        limits_sentence(limited)
