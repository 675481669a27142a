"""Small scans of every awkward shape, and groups of them found the slow and obvious way."""

from itertools import combinations

import numpy as np


def raster(rows, cols, step=1.0):
    """x, y of a raster, row after row."""
    y, x = np.mgrid[:rows, :cols]
    return x.ravel() * step, y.ravel() * step


def awkward_scan(number):
    """x, y, scan_index of one of many small scans; equal numbers give equal scans."""
    rng = np.random.default_rng(number)
    n = int(rng.integers(4, 24))
    kind = number % 7
    if kind == 0:
        x, y = 10 * rng.random((2, n))
    elif kind == 1:  # a lattice with coincident positions
        x, y = rng.integers(0, 5, (2, n)).astype(float)
    elif kind == 2:  # a line
        x, y = np.arange(n) * 1.0, np.zeros(n)
    elif kind == 3:  # few spots, many positions on each
        x, y = rng.integers(0, 2, (2, n)).astype(float)
    elif kind == 4:  # far from the origin
        x, y = 1e9 + 0.5 * rng.integers(0, 5, (2, n))
    elif kind == 5:  # an exact raster
        width = int(rng.integers(2, 6))
        x, y = np.arange(n) % width * 1.0, np.arange(n) // width * 1.0
    else:  # steps that differ along the axes
        x, y = 2.4 * rng.integers(0, 4, n), 0.9 * rng.integers(0, 6, n)
    several = number % 4 == 3
    return x, y, rng.integers(0, 3, n) if several else np.zeros(n, int)


def slow_neighbours(x, y, k, scan):
    """Neighbours of every position, by sorting all the others."""
    lists = []
    for s in range(len(x)):
        others = [t for t in range(len(x)) if t != s and scan[t] == scan[s]]
        dx, dy = x[others] - x[s], y[others] - y[s]
        lists.append([t for _, t in sorted(zip(dx * dx + dy * dy, others, strict=True))[:k]])
    return lists


def slow_groups(x, y, size, k, scan, max_distance=None, min_distance=0.0):
    """All valid groups as sorted tuples, by trying everything."""
    found = set()
    for s, near in enumerate(slow_neighbours(x, y, k, scan)):
        for rest in combinations(near, size - 1):
            group = tuple(sorted((s, *rest)))
            if all(
                min_distance <= distance(x, y, a, b)
                and (max_distance is None or distance(x, y, a, b) <= max_distance)
                for a, b in combinations(group, 2)
            ):
                found.add(group)
    return sorted(found)


def distance(x, y, a, b):
    dx, dy = x[a] - x[b], y[a] - y[b]
    return np.sqrt(dx * dx + dy * dy)


def tuples(groups):
    """Groups as a list of tuples of plain ints."""
    return [tuple(row) for row in groups.tolist()]
