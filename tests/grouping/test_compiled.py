"""The compiled path gives what the NumPy path gives, bit for bit, for any number of threads."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scan_shapes import awkward_scan, raster

from ptycho.grouping import (
    GroupRule,
    all_groups,
    compiled,
    compiled_table,
    count_groups,
    get_neighbor_indices,
    sample_groups,
)
from ptycho.grouping import kernels as _loaded
from ptycho.grouping.enumerate import tabulate
from ptycho.grouping.neighbours import find_neighbourhood

assert _loaded  # compile once, not in the middle of a test


def both_paths(monkeypatch, answer):
    found = []
    for way in (False, True):
        monkeypatch.setattr(compiled, "pays", lambda n, way=way: way)
        found.append(answer())
    return found


def answers(x, y, rule, scan):
    """Everything that both paths compute."""
    ask = {"n": len(x) // 3, "seed": 1, "scan_index": scan}
    return (
        get_neighbor_indices(x, y, rule.K, scan_index=scan),
        all_groups(x, y, rule, scan_index=scan),
        np.array(count_groups(x, y, rule, scan_index=scan)),
        *(sample_groups(x, y, rule, method=method, **ask) for method in ("balanced", "uniform")),
    )


def scan_of(number):
    """x, y, scan_index of a scan of up to 400 positions."""
    rng = np.random.default_rng(number)
    n = int(rng.integers(16, 400))
    x, y = [
        lambda: rng.random((2, n)),
        lambda: 1e9 + rng.integers(0, 12, (2, n)).astype(float),
        lambda: raster(int(rng.integers(4, 20)), int(rng.integers(4, 20))),
        lambda: rng.normal(size=(2, n)) ** 3,
        lambda: (rng.random(n), np.zeros(n)),
        lambda: (2.3 * rng.integers(0, 30, n), 5.5 * rng.integers(0, 5, n)),
    ][number % 6]()
    return x, y, rng.integers(0, 1 + number % 3, len(x))


@pytest.mark.parametrize(
    "start",
    [pytest.param(n, marks=[pytest.mark.slow] if n >= 40 else []) for n in range(0, 120, 20)],
)
def test_both_paths_find_the_same_neighbours_groups_and_samples(monkeypatch, start):
    for number in range(start, start + 20):
        x, y, scan = scan_of(number) if number % 2 else awkward_scan(number)
        if np.bincount(scan).max() < 9:
            continue
        gridsize = 3 if number % 5 == 0 else 2
        limit = [None, 1.5, 0.4][number % 3] if number % 2 else None
        rule = GroupRule(
            gridsize=gridsize, K=gridsize**2 + number % 4, max_distance=limit,
            min_distance=0.01 * (number % 4 == 1),
        )  # fmt: skip
        plain, fast = both_paths(
            monkeypatch, lambda x=x, y=y, rule=rule, scan=scan: answers(x, y, rule, scan)
        )
        for one, other in zip(plain, fast, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=str(number))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_nothing(threads):
    points = np.random.default_rng(0).random((3000, 2))
    near = compiled.nearest(points, 8, threads=threads)
    np.testing.assert_array_equal(near, compiled.nearest(points, 8, threads=1))
    neighbourhood = find_neighbourhood(*points.T, GroupRule())
    table, in_order = compiled_table.table_of_groups(neighbourhood, threads=threads)
    assert in_order
    np.testing.assert_array_equal(table, tabulate(neighbourhood))
    assert compiled_table.number_of_groups(neighbourhood, threads=threads) == len(table)


@pytest.mark.parametrize("step", [1.0, 0.1, 1 / 3])
def test_an_exact_raster_has_the_same_groups_either_way(monkeypatch, step):
    x, y = raster(23, 31, step)
    plain, fast = both_paths(monkeypatch, lambda: all_groups(x, y, GroupRule(K=6)))
    np.testing.assert_array_equal(plain, fast)


def test_two_callers_at_once_do_not_disturb_each_other():
    points = np.random.default_rng(1).random((4000, 2))
    alone = compiled.nearest(points, 6)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: compiled.nearest(points, 6, threads=2), range(8)):
            np.testing.assert_array_equal(found, alone)


def test_crowds_and_lines_are_left_to_the_tree():
    assert compiled.nearest(np.zeros((50, 2)), 4) is None
    line = np.stack([np.arange(50.0), np.zeros(50)], axis=1)
    assert compiled.nearest(line, 4) is None
    crowd = np.random.default_rng(0).random((4000, 2)) * 1e-6
    crowd[0] = 1.0
    assert compiled.nearest(crowd, 4) is None


def test_small_scans_load_no_compiler():
    script = """
import sys, numpy as np
from ptycho.grouping import GroupRule, all_groups, sample_groups
y, x = (a.ravel().astype(float) for a in np.mgrid[:20, :20])
all_groups(x, y, GroupRule()); sample_groups(x, y, GroupRule(), n=9, method="balanced")
sys.exit("numba" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
