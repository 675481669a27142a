"""Splits into three parts and into folds: nothing shared, the guard kept, everything counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scan_shapes import raster
from scipy.spatial import cKDTree

from ptycho.errors import GroupingError
from ptycho.grouping import GroupRule, folds, sample_groups, split_parts


@given(
    seed=st.integers(0, 99),
    shape=st.sampled_from(["block", "stripe"]),
    guard=st.floats(0, 4),
    gridsize=st.sampled_from([1, 2]),
)
def test_parts_share_nothing_and_keep_the_guard(seed, shape, guard, gridsize):
    x, y = np.random.default_rng(seed).random((2, 900)) * 30
    groups = sample_groups(x, y, GroupRule(gridsize=gridsize), n=200)
    parts = split_parts(
        x, y, groups, validation=0.15, test=0.15, guard=guard, shape=shape, seed=seed
    )
    used = [np.unique(part) for part in (parts.training, parts.validation, parts.test)]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        points = [np.stack([x[u], y[u]], axis=1) for u in (used[a], used[b])]
        nearest, _ = cKDTree(points[0]).query(points[1])
        assert nearest.min() > guard
    numbers = parts.as_dict()
    kept = numbers["n_training"] + numbers["n_validation"] + numbers["n_test"]
    assert kept + numbers["n_guard_groups"] == len(groups)


def test_stripes_of_a_raster_by_hand():
    x, y = raster(4, 10)
    parts = split_parts(
        x, y, np.arange(40)[:, None], validation=0.2, test=0.1, guard=1.0, shape="stripe", seed=0
    )
    columns = [sorted(set(x[part.ravel()])) for part in (parts.validation, parts.test)]
    assert columns in ([[0, 1], [9]], [[8, 9], [0]])
    assert parts.n_guard_positions == 8
    assert len(parts.training) == 40 - 8 - 4 - 8
    assert parts.sentence() == (
        "20 training, 8 validation and 4 test groups; guard band: 8 of 40 positions, 8 of 40 groups"
    )


@pytest.mark.parametrize("shape", ["block", "stripe"])
@pytest.mark.parametrize("n_folds", [2, 3, 5, 8])
def test_each_position_is_validated_in_exactly_one_fold(shape, n_folds):
    x, y = np.random.default_rng(1).random((2, 501)) * 20
    single = np.arange(501)[:, None]
    counts = np.zeros(501, int)
    for parts in folds(x, y, single, n_folds=n_folds, guard=1.5, shape=shape):
        counts[parts.validation.ravel()] += 1
        assert abs(len(parts.validation) - 501 / n_folds) <= 1
        assert len(parts.test) == 0
        near, _ = cKDTree(np.stack([x, y], 1)[parts.validation.ravel()]).query(
            np.stack([x, y], 1)[parts.training.ravel()]
        )
        assert near.min() > 1.5
    assert (counts == 1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": "ring"}, r"shape = 'ring'; expected .* block or stripe"),
        ({"guard": -1.0}, r"guard = -1.0"),
        ({"validation": 0.7, "test": 0.3}, "expected shares with a sum below 1"),
        ({"guard": 99.0}, "no training group of 30 with a guard band of 99 px"),
    ],
)
def test_a_split_that_cannot_be_is_refused_in_one_line(change, message):
    settings = {"validation": 0.2, "test": 0.2, "guard": 1.0} | change
    with pytest.raises(GroupingError, match=message):
        split_parts(*raster(5, 6), np.arange(30)[:, None], **settings)


def test_more_folds_than_positions_are_refused():
    with pytest.raises(GroupingError, match="folds: 31; expected 2 to 30"):
        list(folds(*raster(5, 6), np.arange(30)[:, None], n_folds=31, guard=1.0))
