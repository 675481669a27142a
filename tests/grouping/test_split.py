"""Laws of the split into training and validation."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scan_shapes import raster

from ptycho.errors import GroupingError
from ptycho.grouping import GroupRule, sample_groups, split_groups


def scan(kind, n, rng):
    """x, y of a random scan: positions in a square, in a disc, on a line, on a jittered raster."""
    if kind == "square":
        return rng.random((2, n)) * 50
    if kind == "disc":
        radius, angle = 25 * np.sqrt(rng.random(n)), rng.random(n) * 2 * np.pi
        return radius * np.cos(angle), radius * np.sin(angle)
    if kind == "line":
        return np.sort(rng.random(n)) * 200, np.zeros(n)
    x, y = raster(int(np.sqrt(n)), int(np.sqrt(n)), step=3.0)
    return x + rng.normal(0, 0.3, x.size), y + rng.normal(0, 0.3, y.size)


@given(
    kind=st.sampled_from(["square", "disc", "line", "raster"]),
    n=st.integers(20, 400),
    gridsize=st.integers(1, 3),
    fraction=st.floats(0.0, 0.5),
    guard=st.floats(0, 20),
    seed=st.integers(0, 2**31),
)
def test_no_pattern_is_shared_and_the_guard_is_kept(kind, n, gridsize, fraction, guard, seed):
    rng = np.random.default_rng(seed)
    x, y = scan(kind, n, rng)
    assume(len(x) >= gridsize**2)
    groups = sample_groups(
        x, y, GroupRule(gridsize=gridsize), n=int(rng.integers(1, 2 * n)), seed=seed
    )
    split = split_groups(x, y, groups, fraction=fraction, guard=guard, seed=seed)
    assert len(split.training) >= len(groups) / 2
    assert len(split.training) + len(split.validation) + split.n_guard_groups == len(groups)
    assert (split.reason is None) == (len(split.validation) > 0)
    trained, validated = np.unique(split.training), np.unique(split.validation)
    assert not np.intersect1d(trained, validated).size
    if validated.size:
        apart = np.hypot(
            x[trained][:, None] - x[validated], y[trained][:, None] - y[validated]
        ).min()
        assert apart > guard


@pytest.mark.parametrize("gridsize", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_validation_holds_about_the_share_asked_for(gridsize, seed):
    x, y = raster(40, 40)
    groups = sample_groups(x, y, GroupRule(gridsize=gridsize), n=1600 // gridsize**2, seed=seed)
    split = split_groups(x, y, groups, fraction=0.05, guard=2.0, seed=seed)
    assert 0.05 <= len(split.validation) / len(groups) <= 0.06
    assert len(split.training) / len(groups) > 0.85


def test_a_raster_by_hand():
    # A 10 x 10 raster, 4 % asked for: a square of 2 x 2 frames, and a guard of 1 around it.
    x, y = raster(10, 10)
    split = split_groups(x, y, np.arange(100)[:, None], fraction=0.04, guard=1.0)
    assert len(split.validation) == 4
    assert split.n_guard_positions == 3 * 3 - 2 * 2
    assert len(split.training) == 100 - 9
    assert np.bincount(split.region).tolist() == [91, 5, 4]
    assert split.sentence() == (
        "91 training groups, 4 validation groups from one corner of the scan; guard band: 5 "
        "groups, 5 positions"
    )


def test_the_seed_chooses_the_corner_and_repeats():
    x, y = raster(20, 20)
    groups = np.arange(400)[:, None]
    corners = set()
    for seed in range(20):
        first = split_groups(x, y, groups, fraction=0.05, guard=2.0, seed=seed)
        again = split_groups(x, y, groups, fraction=0.05, guard=2.0, seed=seed)
        np.testing.assert_array_equal(first.validation, again.validation)
        members = first.validation.ravel()
        corners.add((bool(x[members].mean() > 9.5), bool(y[members].mean() > 9.5)))
    assert len(corners) == 4


@pytest.mark.parametrize(
    ("n", "fraction", "guard", "reason"),
    [
        (5, 0.05, 1.0, "5% of 5 groups is less than one"),
        (100, 0.0, 1.0, "0% of 100 groups is less than one"),
        (100, 0.05, 8.0, "the scan is too small for a guard band of 8 px around 5%"),
    ],
)
def test_without_room_everything_trains_and_the_reason_is_reported(n, fraction, guard, reason):
    x, y = raster(10, 10)
    split = split_groups(x, y, np.arange(n)[:, None], fraction=fraction, guard=guard)
    assert reason in split.reason
    assert len(split.training) == n
    assert len(split.validation) == 0
    assert split.sentence().startswith(f"no validation set ({reason}")


@pytest.mark.parametrize(
    "change", [{"fraction": -0.1}, {"fraction": 0.6}, {"guard": -1.0}, {"fraction": np.nan}]
)
def test_settings_out_of_range_are_refused(change):
    arguments = {"fraction": 0.1, "guard": 1.0} | change
    with pytest.raises(GroupingError, match=r"split: fraction = .*; expected a fraction of 0 to"):
        split_groups(*raster(5, 5), np.arange(25)[:, None], **arguments)
