"""The K nearest scan positions of every position, the same on every machine.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

Neighbours are ordered by (d2, index), d2 = dx*dx + dy*dy in float64. On an exact raster many
positions are equally far, and a kd-tree alone returns an arbitrary choice of them; a row whose last
kept distance might equal the first excluded one is therefore queried again with more candidates.
"""

import logging
from dataclasses import dataclass
from math import comb

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int32, Shaped
from scipy.spatial import cKDTree

from ptycho.errors import GroupingError
from ptycho.grouping import compiled
from ptycho.grouping.axes import axis_ratio
from ptycho.grouping.rule import GroupRule

logger = logging.getLogger(__name__)

_SPARE_CANDIDATES = 3  # resolves the ties of a square raster at K = 4, 6 and 8 in one query
_CANDIDATES_AT_ONCE = 2**22  # bounds the memory of one query, about 150 MB
_THREADS_FROM = 20_000  # below, starting threads costs more than it saves
_TIE_TOLERANCE = 1e-9  # relative; far above rounding of d2, far below any real step


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbourhood:
    """What the groups of one scan are made of: positions, neighbour lists and the rule."""

    x: Float[np.ndarray, " position"]
    """Column of each position, pixels."""

    y: Float[np.ndarray, " position"]
    """Row of each position, pixels."""

    scan: Int[np.ndarray, " position"]
    """Scan each position belongs to, 0, 1, 2, ..."""

    neighbours: Int32[np.ndarray, "position neighbour"]
    """Nearest first; -1 where a position has fewer, or where the next is beyond max_distance."""

    rule: GroupRule
    """What makes a group valid."""

    ratio: float = 1.0
    """Unit of x in the search for neighbours; 1 for pixels, see `axis_ratio`."""

    @property
    def group_size(self) -> int:
        """C, positions in one group."""
        return self.rule.group_size

    @property
    def n_positions(self) -> int:
        """M, positions in the scan."""
        return len(self.x)

    @property
    def k(self) -> int:
        """K, length of a neighbour list."""
        return int(self.neighbours.shape[1])

    def pair_fits(
        self, first: Int[np.ndarray, "..."], second: Int[np.ndarray, "..."]
    ) -> Bool[np.ndarray, "..."]:
        """Return whether positions `first` and `second` (indices) obey the distance limits."""
        distance = pair_distance(self.x, self.y, first, second)
        largest = np.inf if self.rule.max_distance is None else self.rule.max_distance
        fits: np.ndarray = (distance >= self.rule.min_distance) & (distance <= largest)
        return fits

    def raw_counts(self) -> Int[np.ndarray, " position"]:
        """Return the combinations of each seed, before equal sets are counted once; int64."""
        table = np.array([comb(k, self.group_size - 1) for k in range(self.k + 1)], np.int64)
        counts: np.ndarray = table[(self.neighbours >= 0).sum(axis=1)]
        return counts


def get_neighbor_indices(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    K: int,
    *,
    scan_index: Shaped[np.ndarray, "..."] | None = None,
) -> Int32[np.ndarray, "position neighbour"]:
    """Return the K nearest other positions of every position, nearest first.

    A position is never its own neighbour (excluded by index, so that coincident positions are
    neighbours); ties go to the lower index.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.
        K: Neighbours wanted; clamped to what the largest scan has.
        scan_index: Scan number of each position; neighbours come from the same scan only.

    Returns:
        Indices, int32; -1 fills the rows of scans with K positions or fewer.

    Raises:
        GroupingError: If the lengths differ, or a position is not finite.
    """
    x, y = checked_positions(x, y)
    scan = scan_labels(scan_index, len(x))
    return neighbours_by_scan(x, y, scan, K)


def find_neighbourhood(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    rule: GroupRule,
    *,
    scan_index: Shaped[np.ndarray, "..."] | None = None,
) -> Neighbourhood:
    """Find the neighbours of all positions, from which groups are made.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.
        rule: What makes a group valid.
        scan_index: Scan number of each position; groups never mix scans.

    Raises:
        GroupingError: If no group of this size can exist, K is out of range, or a position is not
            finite.
    """
    x, y = checked_positions(x, y)
    scan = scan_labels(scan_index, len(x))
    rule = rule.for_scan(int(np.bincount(scan).max()))
    ratio = ratio_of(rule.metric, x, y)
    neighbours = neighbours_by_scan(x / ratio, y, scan, rule.k)
    if rule.max_distance is not None:
        far = pair_distance(x, y, np.arange(len(x))[:, None], neighbours) > rule.max_distance
        neighbours = np.where(far, np.int32(-1), neighbours)
    return Neighbourhood(x=x, y=y, scan=scan, neighbours=neighbours, rule=rule, ratio=ratio)


def ratio_of(
    metric: str, x: Float[np.ndarray, " position"], y: Float[np.ndarray, " position"]
) -> float:
    """Return the unit of x under a metric."""
    return axis_ratio(x, y) if metric == "steps" else 1.0


def checked_positions(
    x: Shaped[np.ndarray, "..."], y: Shaped[np.ndarray, "..."]
) -> tuple[Float64[np.ndarray, " position"], Float64[np.ndarray, " position"]]:
    """Return x and y as float64; GroupingError if they do not describe M finite positions."""
    x, y = (np.ascontiguousarray(values, np.float64) for values in (x, y))
    if x.ndim != 1 or x.shape != y.shape or not x.size:
        raise GroupingError(
            f"positions: x of shape {x.shape}, y of shape {y.shape}; expected two equally long rows"
        )
    bad = np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))
    if bad.size:
        raise GroupingError(
            f"positions: {bad.size} of {x.size} not finite, the first at index {bad[0]}; "
            "expected finite numbers; remove these frames"
        )
    return x, y


def scan_labels(
    scan_index: Shaped[np.ndarray, "..."] | None, n_positions: int
) -> Int[np.ndarray, " position"]:
    """Return 0, 1, 2, ... per scan; one scan if absent or if every number differs."""
    if scan_index is None:
        return np.zeros(n_positions, np.int64)
    scan_index = np.asarray(scan_index)
    if scan_index.shape != (n_positions,):
        raise GroupingError(
            f"scan_index: shape {scan_index.shape}; expected ({n_positions},), one per position"
        )
    names, labels = np.unique(scan_index, return_inverse=True)
    if n_positions > 1 and len(names) == n_positions:
        logger.warning(
            "scan_index: all %s values differ, so it numbers frames, not scans; treating the "
            "positions as one scan",
            f"{n_positions:,}",
        )
        return np.zeros(n_positions, np.int64)
    return labels.astype(np.int64)


def neighbours_by_scan(
    x: Float[np.ndarray, " position"],
    y: Float[np.ndarray, " position"],
    scan: Int[np.ndarray, " position"],
    k: int,
) -> Int32[np.ndarray, "position neighbour"]:
    """Return what `get_neighbor_indices` does, for checked positions and scan labels."""
    sizes = np.bincount(scan)
    width = max(0, min(int(k), int(sizes.max()) - 1))
    result = np.full((len(x), width), -1, np.int32)
    points = np.stack([x, y], axis=1)
    order = np.argsort(scan, kind="stable")
    for members in np.split(order, np.cumsum(sizes)[:-1]):
        own = min(width, len(members) - 1)
        if own > 0:
            result[members, :own] = members[_nearest(points[members], own)]
    return result


def pair_distance(
    x: np.ndarray, y: np.ndarray, first: np.ndarray, second: np.ndarray
) -> Float[np.ndarray, "..."]:
    """Return the distance of positions `first` and `second` (indices, broadcast), pixels."""
    dx, dy = x[first] - x[second], y[first] - y[second]
    distance: np.ndarray = np.sqrt(dx * dx + dy * dy)
    return distance


def _nearest(points: Float[np.ndarray, "position 2"], k: int) -> Int[np.ndarray, "position k"]:
    """Return the k nearest of every point."""
    if compiled.pays(len(points)) and (near := compiled.nearest(points, k)) is not None:
        return near
    return nearest_of(points, k, np.arange(len(points)))


def nearest_of(
    points: Float[np.ndarray, "position 2"], k: int, rows: Int[np.ndarray, " row"]
) -> Int[np.ndarray, "row k"]:
    """Return the k nearest of some of the points, by (d2, index); fewer than there are points."""
    wanted_rows = rows
    # Midpoint splits suit rasters, but many coincident points make such a tree very deep.
    tree = cKDTree(points, balanced_tree=True)
    result = np.empty((len(points), k), np.int64)
    rows = np.intersect1d(rows, _fill_coincident(points, k, result))
    wanted = k + 1
    while rows.size:
        wanted = min(wanted + _SPARE_CANDIDATES, len(points))
        still_open = []
        for part in np.array_split(rows, -(-rows.size * wanted // _CANDIDATES_AT_ONCE)):
            near, closed = _nearest_of_candidates(points, tree, part, k, wanted)
            result[part[closed]] = near[closed]
            still_open.append(part[~closed])
        rows = np.concatenate(still_open)
        wanted = 2 * wanted
    nearest: np.ndarray = result[wanted_rows]
    return nearest


def _fill_coincident(
    points: Float[np.ndarray, "position 2"], k: int, result: Int[np.ndarray, "position k"]
) -> Int[np.ndarray, " open"]:
    """Fill the rows whose k nearest all coincide with the point; return the other rows."""
    order = np.lexsort(points.T)  # stable: equal points keep the order of their indices
    starts = np.ones(len(points), bool)
    starts[1:] = (points[order[1:]] != points[order[:-1]]).any(axis=1)
    piles = np.split(order, np.flatnonzero(starts)[1:]) if not starts.all() else []
    filled = np.zeros(len(points), bool)
    for pile in piles:
        if len(pile) > k:
            first = np.tile(pile[: k + 1], (len(pile), 1))
            # Drop itself where it is among the first k + 1, else the last of them.
            place = np.minimum(np.arange(len(pile)), k)
            keep = np.arange(k + 1) != place[:, None]
            result[pile] = first[keep].reshape(len(pile), k)
            filled[pile] = True
    return np.flatnonzero(~filled)


def _nearest_of_candidates(
    points: Float[np.ndarray, "position 2"],
    tree: cKDTree,
    rows: Int[np.ndarray, " row"],
    k: int,
    wanted: int,
) -> tuple[Int[np.ndarray, "row k"], Bool[np.ndarray, " row"]]:
    """Return the k best of `wanted` candidates per row, and whether no other could enter."""
    workers = -1 if len(points) >= _THREADS_FROM else 1
    _, near = tree.query(points[rows], k=wanted, workers=workers)
    near = np.sort(near, axis=1)  # a stable sort by distance then leaves ties in index order
    delta = points[near] - points[rows, None]
    d2 = delta[..., 0] * delta[..., 0] + delta[..., 1] * delta[..., 1]
    d2[near == rows[:, None]] = -1.0  # itself first, so that the first column is excluded
    order = np.argsort(d2, axis=1, kind="stable")[:, : k + 1]
    last_kept = np.take_along_axis(d2, order[:, -1:], axis=1)[:, 0]
    closed = last_kept < d2.max(axis=1) * (1 - _TIE_TOLERANCE)
    if wanted == len(points):
        closed[:] = True
    return np.take_along_axis(near, order[:, 1:], axis=1), closed
