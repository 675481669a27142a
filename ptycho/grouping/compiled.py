"""The compiled path to the same neighbours and groups: when it is faster, and its threads.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

Loading the compiled loops takes about half a second per process (ten seconds the first time on a
machine, when they are compiled), so small scans use NumPy unless they are loaded already. Both
paths give identical bits.
"""

import importlib
import logging
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
from jaxtyping import Float, Int32

logger = logging.getLogger(__name__)

Work = Callable[[int, int, int], None]
"""Does items first ... last-1 of a task, as part number `part` of it."""

PAYS_FROM = 50_000
"""Positions from which loading the compiled loops is faster than NumPy: measured between 30,000
(K = 8) and 90,000 (K = 4)."""

_THREADS_FROM = 20_000  # below, starting the threads takes longer than the work
_CROWDED = 60.0  # positions in the cell of a position, on average; above, a kd-tree is better
_MODULE = "ptycho.grouping.kernels"


def pays(n_positions: int) -> bool:
    """Return whether the compiled path is faster, in this process, for such a scan."""
    return n_positions >= PAYS_FROM or _MODULE in sys.modules


def load() -> ModuleType:
    """Return the module of compiled loops; logs that it loads them."""
    if _MODULE not in sys.modules:
        logger.info("loading compiled loops (about 15 s the first time on a machine)")
    return importlib.import_module(_MODULE)


def in_threads(work: Work, n: int, *, threads: int | None = None) -> None:
    """Call work(part, first, last) in threads so that the parts together cover 0 ... n-1.

    Args:
        work: Must write nothing that another part writes.
        n: Items.
        threads: Parts; None for the usable cores, and for one if there is little work.
    """
    threads = threads or thread_count(n)
    edges = np.linspace(0, n, threads + 1).astype(np.int64).tolist()
    if threads == 1:
        work(0, 0, n)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads), edges[:-1], edges[1:]))


def thread_count(n: int) -> int:
    """Return the threads to use for n positions."""
    if n < _THREADS_FROM:
        return 1
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def nearest(
    points: Float[np.ndarray, "position 2"], k: int, *, threads: int | None = None
) -> Int32[np.ndarray, "position k"] | None:
    """Return the k nearest of every point, by (d2, index); None where cells are inefficient.

    Args:
        points: (x, y), finite.
        k: Neighbours, fewer than there are points.
        threads: See `in_threads`.
    """
    grid = _grid(points, k)
    if grid is None:
        return None
    cells, shape, corner, side = grid
    kernels = load()
    starts, order = kernels.sort_by_cell(cells, shape[0] * shape[1])
    occupancy = np.diff(starts).astype(np.float64)
    if np.square(occupancy).sum() > _CROWDED * len(points):
        return None
    x, y = points[order, 0], points[order, 1]
    found = np.empty((len(points), k), np.int32)

    def search(_: int, first: int, last: int) -> None:
        kernels.nearest_by_cell(x, y, order, starts, shape, corner, side, first, last, found)

    in_threads(search, len(points), threads=threads)
    return found


def _grid(
    points: Float[np.ndarray, "position 2"], k: int
) -> tuple[Int32[np.ndarray, " position"], tuple[int, int], tuple[float, float], float] | None:
    """Return the cell of each point, (rows, columns) of cells, their corner and their side."""
    corner = points.min(axis=0)
    extent = points.max(axis=0) - corner
    if not (extent > 0).all():
        return None
    # A 3 x 3 block then contains the k nearest and their ties, on a raster and mostly elsewhere.
    side = 0.9 * float(np.sqrt((k + 1) / np.pi * extent[0] * extent[1] / len(points)))
    shape = int(extent[1] / side) + 1, int(extent[0] / side) + 1
    if shape[0] * shape[1] > 8 * len(points) + 64:  # a line
        return None
    col, row = ((points - corner) / side).astype(np.int32).T
    cells = row * np.int32(shape[1]) + col
    return cells, shape, (float(corner[0]), float(corner[1])), side
