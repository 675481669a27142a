"""A uniform sample of groups that finds neighbours only where they are needed.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

Of ten million positions a sample of 512 groups uses a few thousand. Without a largest distance
every seed has equally many combinations, so the (seed, combination) pairs are numbered without
neighbour lists; the few lists that the sample needs are found in the cells around their positions.
"""

from math import comb

import numpy as np
from jaxtyping import Float, Int, Int32, Shaped

from ptycho.grouping.neighbours import (
    Neighbourhood,
    checked_positions,
    nearest_of,
    ratio_of,
    scan_labels,
)
from ptycho.grouping.pairs import check_pairs, owned, sample_pairs
from ptycho.grouping.rule import GroupRule

PAYS_FROM = 50_000
"""Positions from which a small sample is faster without all neighbour lists."""

_POSITIONS_PER_GROUP = 40  # a group needs about 30 neighbour lists
_AT_ONCE = 2**20


def pays(n_positions: int, n: int) -> bool:
    """Return whether n groups of so many positions are sampled faster on demand."""
    return n_positions >= max(PAYS_FROM, _POSITIONS_PER_GROUP * n)


def sample_on_demand(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    rule: GroupRule,
    *,
    n: int,
    seed: int,
    scan_index: Shaped[np.ndarray, "..."] | None = None,
) -> Int32[np.ndarray, "group member"] | None:
    """Return the groups of `sample_groups`, or None where all neighbour lists are needed or cheap.

    They are needed for several scans and with a largest distance: the number of combinations of a
    seed then depends on its neighbours.

    Raises:
        GroupingError: See `find_neighbourhood`.
    """
    if rule.max_distance is not None or np.ndim(x) != 1 or not pays(len(x), n):
        return None
    if scan_index is not None and scan_labels(scan_index, len(x)).any():
        return None
    x, y = checked_positions(x, y)
    return draw_on_demand(x, y, rule.for_scan(len(x)), n=n, seed=seed)


def draw_on_demand(
    x: Float[np.ndarray, " position"],
    y: Float[np.ndarray, " position"],
    rule: GroupRule,
    *,
    n: int,
    seed: int,
) -> Int32[np.ndarray, "group member"] | None:
    """Return the groups that `draw_uniform` returns for these positions, all of one scan.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.
        rule: What makes a group valid, with the K of the scan and no largest distance.
        n: Groups wanted.
        seed: Fixes the sample.

    Returns:
        The groups; None where the positions lie on one line, which has no cells.

    Raises:
        GroupingError: See `draw_uniform`.
    """
    if not (np.ptp(x) > 0 and np.ptp(y) > 0):
        return None
    check_pairs(len(x), rule)
    per_seed = comb(rule.k, rule.group_size - 1)
    surroundings = Surroundings(x, y, rule.k, ratio_of(rule.metric, x, y))

    def groups_of(pairs: Int[np.ndarray, " pair"]) -> Int32[np.ndarray, "group member"]:
        seeds = pairs // per_seed
        seeds_once = np.unique(seeds)
        # The owner of a set is one of its members, so a neighbour of its seed.
        needed = np.union1d(seeds_once, surroundings.lists(seeds_once))
        lists = surroundings.lists(needed)
        local = np.searchsorted(needed, lists).clip(max=len(needed) - 1)
        local[needed[local] != lists] = -1
        few = Neighbourhood(
            x=x[needed], y=y[needed], scan=np.zeros(len(needed), np.int64),
            neighbours=local.astype(np.int32), rule=rule,
        )  # fmt: skip
        found = owned(few, np.searchsorted(needed, seeds), pairs % per_seed)
        groups: np.ndarray = needed[found].astype(np.int32)
        return groups

    return sample_pairs(
        len(x) * per_seed, groups_of, n=n, seed=seed, size=rule.group_size, k=rule.k
    )


class Surroundings:
    """Positions sorted into square cells, to find those near a few of them."""

    def __init__(
        self,
        x: Float[np.ndarray, " position"],
        y: Float[np.ndarray, " position"],
        k: int,
        ratio: float = 1.0,
    ) -> None:
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

    def lists(self, indices: Int[np.ndarray, " query"]) -> Int32[np.ndarray, "query neighbour"]:
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
                # All positions closer than `ring` whole cells are among those picked.
                known = np.hypot(*far.T) < ring * self._side * (1 - 1e-9)
                known |= everything
                found[left[known]] = near[lists[known]]
                left = left[~known]
            ring *= 2
        return found

    def _around(self, indices: Int[np.ndarray, " query"], ring: int) -> Int[np.ndarray, " picked"]:
        """Return the positions in the squares of cells around these, ascending."""
        n_rows, n_cols = self._shape
        row, col = np.unique(np.stack(self._row_col(indices)), axis=1)
        if ring >= max(n_rows, n_cols):
            return np.arange(len(self.x))
        marked = np.zeros((n_rows, n_cols), bool)
        for down in range(-ring, ring + 1):
            for across in range(-ring, ring + 1):
                here = (row + down).clip(0, n_rows - 1), (col + across).clip(0, n_cols - 1)
                marked[here] = True
        flat = marked.ravel()
        picked = [
            start + np.flatnonzero(flat[self._cell[start : start + _AT_ONCE]])
            for start in range(0, len(self.x), _AT_ONCE)
        ]
        return np.concatenate(picked)

    def _row_col(
        self, which: slice | Int[np.ndarray, " query"]
    ) -> tuple[Int32[np.ndarray, " query"], Int32[np.ndarray, " query"]]:
        col = ((self.x[which] / self.ratio - self._corner[0]) / self._side).astype(np.int32)
        row = ((self.y[which] - self._corner[1]) / self._side).astype(np.int32)
        return row, col
