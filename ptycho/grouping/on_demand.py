"""A uniform sample straight from the positions: neighbours are found only where a card falls.

Way of the data: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

Of ten million positions a sample of 512 groups touches a few thousand. Without a limit on the
distance every seed has equally many combinations, so the deck needs no neighbour lists; the few
that a card asks for are found among the positions of the cells around it.
"""

from math import comb

import numpy as np
from jaxtyping import Float, Int, Int32, Shaped

from ptycho.grouping.deck import check_deck, owned, walk_deck
from ptycho.grouping.neighbours import (
    Neighbourhood,
    checked_neighbor_count,
    checked_positions,
    nearest_of,
    ratio_of,
    scan_labels,
)

PAYS_FROM = 50_000
"""Positions from which a small sample is faster without all neighbour lists."""

_POSITIONS_PER_GROUP = 40  # a group asks for about 30 neighbour lists
_AT_ONCE = 2**20


def pays(n_positions: int, n: int) -> bool:
    """Return whether n groups of so many positions are drawn faster on demand."""
    return n_positions >= max(PAYS_FROM, _POSITIONS_PER_GROUP * n)


def sample_on_demand(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    *,
    gridsize: int,
    n: int,
    seed: int,
    K: int | None = None,
    scan_index: Shaped[np.ndarray, "..."] | None = None,
    max_distance: float | None = None,
    min_distance: float = 0.0,
    metric: str = "pixels",
) -> Int32[np.ndarray, "group member"] | None:
    """Return what `sample_groups` returns, or None where all neighbour lists are needed or cheap.

    They are needed with several scans and with a largest distance: the combinations of a seed
    then depend on its neighbours.

    Raises:
        GroupingError: As `find_neighbourhood`.
    """
    if max_distance is not None or np.ndim(x) != 1 or not pays(len(x), n):
        return None
    if scan_index is not None and scan_labels(scan_index, len(x)).any():
        return None
    x, y = checked_positions(x, y)
    k = checked_neighbor_count(gridsize, K, largest_scan=len(x))
    if not min_distance >= 0:
        return None
    return draw_on_demand(
        x, y, gridsize=gridsize, k=k, n=n, seed=seed, min_distance=min_distance,
        ratio=ratio_of(metric, x, y),
    )  # fmt: skip


def draw_on_demand(
    x: Float[np.ndarray, " position"],
    y: Float[np.ndarray, " position"],
    *,
    gridsize: int,
    k: int,
    n: int,
    seed: int,
    min_distance: float = 0.0,
    ratio: float = 1.0,
) -> Int32[np.ndarray, "group member"] | None:
    """Return the groups that `draw_uniform` returns for these positions, all of one scan.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.
        gridsize: Groups hold gridsize * gridsize positions.
        k: Neighbours of each position.
        n: Groups wanted.
        seed: Fixes the sample.
        min_distance: Smallest distance of two members, pixels.
        ratio: Unit of x in which nearness is judged.

    Returns:
        The groups; None where the positions lie on one line, which has no cells.

    Raises:
        GroupingError: As `draw_uniform`.
    """
    size = gridsize**2
    if not (np.ptp(x) > 0 and np.ptp(y) > 0):
        return None
    check_deck(len(x), k, gridsize)
    per_seed = comb(k, size - 1)
    surroundings = Surroundings(x, y, k, ratio)

    def groups_of(cards):
        seeds = cards // per_seed
        asked = np.unique(seeds)
        # Whoever may own a set is a member of it, so a neighbour of its seed.
        needed = np.union1d(asked, surroundings.lists(asked))
        lists = surroundings.lists(needed)
        local = np.searchsorted(needed, lists).clip(max=len(needed) - 1)
        local[needed[local] != lists] = -1
        few = Neighbourhood(
            x=x[needed], y=y[needed], scan=np.zeros(len(needed), np.int64),
            neighbours=local.astype(np.int32), gridsize=gridsize, min_distance=min_distance,
        )  # fmt: skip
        found = owned(few, np.searchsorted(needed, seeds), cards % per_seed)
        return needed[found].astype(np.int32)

    return walk_deck(len(x) * per_seed, n=n, seed=seed, size=size, k=k, groups_of=groups_of)


class Surroundings:
    """Positions sorted into square cells, from which those near a few can be picked."""

    def __init__(self, x: np.ndarray, y: np.ndarray, k: int, ratio: float = 1.0):
        self.x, self.y, self.k, self.ratio = x, y, k, ratio
        self._corner = x.min() / ratio, y.min()
        width, height = (x.max() / ratio - self._corner[0], y.max() - self._corner[1])
        self._side = max(
            float(np.sqrt(width * height * (k + 1) / len(x))), max(width, height) / 30_000
        )
        self._shape = int(height / self._side) + 1, int(width / self._side) + 1
        self._cell = np.empty(len(x), np.int32)
        for start in range(0, len(x), _AT_ONCE):  # in parts: temporaries stay in the cache
            part = slice(start, start + _AT_ONCE)
            row, col = self._row_col(part)
            self._cell[part] = row * np.int32(self._shape[1]) + col

    def lists(self, indices: Int[np.ndarray, " asked"]) -> Int32[np.ndarray, "asked neighbour"]:
        """Return the nearest of these positions, as `get_neighbor_indices` lists them."""
        found = np.empty((len(indices), self.k), np.int32)
        left, ring = np.arange(len(indices)), 1
        while left.size:
            near = self._around(indices[left], ring)
            everything = len(near) == len(self.x)
            if len(near) > self.k:
                points = np.stack([self.x[near] / self.ratio, self.y[near]], axis=1)
                rows = np.searchsorted(near, indices[left])
                lists = nearest_of(points, self.k, rows)
                far = points[lists[:, -1]] - points[rows]
                # Nothing that was not picked lies nearer than `ring` whole cells.
                known = np.hypot(*far.T) < ring * self._side * (1 - 1e-9)
                known |= everything
                found[left[known]] = near[lists[known]]
                left = left[~known]
            ring *= 2
        return found

    def _around(self, indices, ring) -> Int[np.ndarray, " picked"]:
        """Return the positions in the squares of cells around these, ascending."""
        n_rows, n_cols = self._shape
        row, col = np.unique(np.stack(self._row_col(indices)), axis=1)
        marked = np.zeros((n_rows, n_cols), bool)
        if ring >= max(n_rows, n_cols):
            return np.arange(len(self.x))
        for down in range(-ring, ring + 1):
            for across in range(-ring, ring + 1):
                here = (row + down).clip(0, n_rows - 1), (col + across).clip(0, n_cols - 1)
                marked[here] = True
        marked = marked.ravel()
        picked = [
            start + np.flatnonzero(marked[self._cell[start : start + _AT_ONCE]])
            for start in range(0, len(self.x), _AT_ONCE)
        ]
        return np.concatenate(picked)

    def _row_col(self, which):
        col = ((self.x[which] / self.ratio - self._corner[0]) / self._side).astype(np.int32)
        row = ((self.y[which] - self._corner[1]) / self._side).astype(np.int32)
        return row, col
