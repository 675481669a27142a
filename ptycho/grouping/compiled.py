"""The compiled way to the same neighbours and groups: when it pays, and how work is shared.

Way of the data: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

Loading the compiled loops takes about half a second per process (the first time on a machine, when
they are compiled, ten), so small scans take the NumPy way unless they are loaded already.
Both ways give the same bits.
"""

import importlib
import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Float, Int, Int32

logger = logging.getLogger(__name__)

PAYS_FROM = 50_000
"""Positions from which loading the compiled loops is faster than doing without: measured between
30,000 (K = 8) and 90,000 (K = 4)."""

_THREADS_FROM = 20_000  # below, handing out the work takes longer than the work
_CROWDED = 60.0  # positions in the cell of a position, on average; above, a kd-tree is better
_LARGEST_TABLE = 200_000  # combinations of slots, a few MB
_MODULE = "ptycho.grouping.kernels"


def pays(n_positions: int) -> bool:
    """Return whether the compiled way is the faster one, in this process, for such a scan."""
    return n_positions >= PAYS_FROM or _MODULE in sys.modules


def load():
    """Return the compiled loops; says so when they are loaded."""
    if _MODULE not in sys.modules:
        logger.info("loading compiled loops (the first time on a machine takes some 15 s)")
    return importlib.import_module(_MODULE)


def share_out(work, n: int, *, threads: int | None = None) -> None:
    """Call work(part, first, last) so that the parts together cover 0 ... n-1, in threads.

    Args:
        work: Must write nothing that another part writes.
        n: Items.
        threads: Parts; None takes the usable cores, and one for little work.
    """
    threads = threads or thread_count(n)
    edges = np.linspace(0, n, threads + 1).astype(np.int64)
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
    """Return the k nearest of every point, by (d2, index); None where cells are no good way.

    Args:
        points: (x, y), finite.
        k: Neighbours, fewer than there are points.
        threads: See `share_out`.
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

    def search(_, first, last):
        kernels.nearest_by_cell(x, y, order, starts, shape, corner, side, first, last, found)

    share_out(search, len(points), threads=threads)
    return found


def _grid(points, k):
    """Return the cell of each point, (rows, columns) of cells, their corner and their side."""
    corner = points.min(axis=0)
    extent = points.max(axis=0) - corner
    if not (extent > 0).all():
        return None
    # A 3 x 3 block then holds the k nearest and the ties beyond them, on a raster and mostly else.
    side = 0.9 * float(np.sqrt((k + 1) / np.pi * extent[0] * extent[1] / len(points)))
    shape = tuple(int(n) + 1 for n in extent[::-1] / side)
    if shape[0] * shape[1] > 8 * len(points) + 64:  # a line
        return None
    col, row = ((points - corner) / side).astype(np.int32).T
    return row * np.int32(shape[1]) + col, shape, (corner[0], corner[1]), side


def table_of_groups(
    neighbourhood, *, threads: int | None = None
) -> tuple[Int32[np.ndarray, "group member"], bool]:
    """Return every valid group once, and whether the rows are in lexicographic order yet."""
    places, run, n_parts = _counted(neighbourhood, threads)
    n_positions, size = neighbourhood.n_positions, neighbourhood.group_size
    totals = places.sum(axis=0)
    starts = np.zeros(n_positions + 1, np.int64)
    np.cumsum(totals, out=starts[1:])
    offsets = starts[:-1] + np.cumsum(places, axis=0) - places
    groups = np.empty((int(starts[-1]), size), np.int32)
    share_out(lambda p, a, b: run(offsets[p], a, b, groups), n_positions, threads=n_parts)
    bits = max(1, (n_positions - 1).bit_length())
    if bits * (size - 1) > 64:
        return groups, False
    kernels = load()
    share_out(
        lambda _, a, b: kernels.sort_rows_of(groups, starts, a, b, bits),
        n_positions,
        threads=n_parts,
    )
    return groups, True


def number_of_groups(neighbourhood, *, threads: int | None = None) -> int:
    """Return the number of valid groups, having looked at every combination."""
    return int(_counted(neighbourhood, threads)[0].sum())


def can_list(neighbourhood) -> bool:
    """Return whether the combinations of slots are few enough to be looked at one by one."""
    return (
        neighbourhood.group_size > 1
        and comb(neighbourhood.k, neighbourhood.group_size - 1) <= _LARGEST_TABLE
    )


def _counted(neighbourhood, threads):
    """Return the groups per part and lowest member, the loop that writes them, and the parts."""
    kernels = load()
    slots = _combinations(neighbourhood.k, neighbourhood.group_size - 1)
    words = np.bitwise_or.reduce(np.uint64(1) << slots.astype(np.uint64), axis=1)
    picks = slots.shape[1]
    n_words = np.array([comb(k, picks) for k in range(neighbourhood.k + 1)], np.int64)
    largest = np.inf if neighbourhood.max_distance is None else neighbourhood.max_distance
    # Few combinations leave room to remember which are kept, so that writing need not ask again.
    n_kept = neighbourhood.n_positions if len(words) <= 64 else 0
    kept = np.zeros(n_kept, np.uint64)
    limits = (float(neighbourhood.min_distance), float(largest))

    def run(places, first, last, out):
        kernels.emit(
            neighbourhood.x, neighbourhood.y, neighbourhood.neighbours, limits,
            neighbourhood.filtered, words, slots, n_words, first, last, places, kept, out,
        )  # fmt: skip

    n_parts = threads or thread_count(neighbourhood.n_positions)
    places = np.zeros((n_parts, neighbourhood.n_positions), np.int64)
    nothing = np.empty((0, picks + 1), np.int32)
    share_out(
        lambda p, a, b: run(places[p], a, b, nothing), neighbourhood.n_positions, threads=n_parts
    )
    return places, run, n_parts


def _combinations(k, picks) -> Int[np.ndarray, "combination pick"]:
    """Return the choices of `picks` of k slots, those of the first slots first."""
    rows = sorted(combinations(range(k), picks), key=lambda row: row[::-1])
    return np.array(rows, np.int64).reshape(-1, picks)
