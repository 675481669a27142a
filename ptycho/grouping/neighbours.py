"""The K nearest scan positions of every position, the same on every machine.

Way of the data: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

Neighbours are ordered by (d2, index), d2 = dx*dx + dy*dy in float64. On an exact raster many
positions are equally far, and a kd-tree alone returns whichever it met first; a row whose last
kept distance might equal the first dropped one is therefore asked again with more candidates.
"""

import logging
from dataclasses import dataclass
from math import comb

import numpy as np
from jaxtyping import Bool, Float, Int, Int32, Shaped
from scipy.spatial import cKDTree

from ptycho.errors import GroupingError
from ptycho.grouping import compiled
from ptycho.grouping.axes import axis_ratio

logger = logging.getLogger(__name__)

LARGEST_GRIDSIZE = 4
LARGEST_K = 64  # one bit of an unsigned word per neighbour
_SPARE_CANDIDATES = 3  # closes the ties of a square raster at K = 4, 6 and 8 in one query
_CANDIDATES_AT_ONCE = 2**22  # bounds the memory of one query, about 150 MB
_THREADS_FROM = 20_000  # below, starting threads costs more than it saves
_TIE_TOLERANCE = 1e-9  # relative; far above rounding of d2, far below any real step


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbourhood:
    """What the groups of one scan are made of: positions, neighbour lists, filters."""

    x: Float[np.ndarray, " position"]
    """Column of each position, pixels."""

    y: Float[np.ndarray, " position"]
    """Row of each position, pixels."""

    scan: Int[np.ndarray, " position"]
    """Scan each position belongs to, 0, 1, 2, ..."""

    neighbours: Int32[np.ndarray, "position neighbour"]
    """Nearest first; -1 where a position has fewer, or where the next is beyond max_distance."""

    gridsize: int
    """Groups hold gridsize * gridsize positions."""

    max_distance: float | None = None
    """Largest distance of two members, pixels; None for no limit."""

    min_distance: float = 0.0
    """Smallest distance of two members, pixels."""

    ratio: float = 1.0
    """Unit of x in which nearness was judged; 1 for pixels, see `axis_ratio`."""

    @property
    def group_size(self) -> int:
        """C, positions in one group."""
        return self.gridsize**2

    @property
    def n_positions(self) -> int:
        """M, positions in the scan."""
        return len(self.x)

    @property
    def k(self) -> int:
        """K, length of a neighbour list."""
        return self.neighbours.shape[1]

    @property
    def filtered(self) -> bool:
        """Whether a distance filter can drop a group."""
        return self.max_distance is not None or self.min_distance > 0

    def pair_fits(self, first: np.ndarray, second: np.ndarray) -> Bool[np.ndarray, "..."]:
        """Return whether positions `first` and `second` (indices) keep the distance limits."""
        distance = pair_distance(self.x, self.y, first, second)
        largest = np.inf if self.max_distance is None else self.max_distance
        return (distance >= self.min_distance) & (distance <= largest)

    def raw_counts(self) -> Int[np.ndarray, " position"]:
        """Combinations each seed could emit, before equal sets are counted once; int64."""
        table = np.array([comb(k, self.group_size - 1) for k in range(self.k + 1)], np.int64)
        return table[(self.neighbours >= 0).sum(axis=1)]


def default_neighbor_count(gridsize: int) -> int:
    """Return the K of the smallest ring that contains a compact block: 8, 24, 48 for 2, 3, 4."""
    return (2 * gridsize - 1) ** 2 - 1


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
        GroupingError: On unequal lengths, or a position that is not finite.
    """
    x, y = checked_positions(x, y)
    scan = scan_labels(scan_index, len(x))
    return neighbours_by_scan(x, y, scan, K)


def find_neighbourhood(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    *,
    gridsize: int,
    K: int | None = None,
    scan_index: Shaped[np.ndarray, "..."] | None = None,
    max_distance: float | None = None,
    min_distance: float = 0.0,
    metric: str = "pixels",
) -> Neighbourhood:
    """Check what groups are asked for and find the neighbours once.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.
        gridsize: Groups hold gridsize * gridsize positions.
        K: Neighbours a group may draw from; None for the default of the gridsize.
        scan_index: Scan number of each position.
        max_distance: Largest distance of two members, pixels; None for no limit.
        min_distance: Smallest distance of two members, pixels.
        metric: What is near: `pixels`, or `steps` of the scan along each axis (`axis_ratio`).
            The distance limits are pixels in both.

    Raises:
        GroupingError: When no group of this size can exist, on settings out of range, and on
            positions that are not finite.
    """
    x, y = checked_positions(x, y)
    scan = scan_labels(scan_index, len(x))
    k = checked_neighbor_count(gridsize, K, largest_scan=int(np.bincount(scan).max()))
    if not (min_distance >= 0 and (max_distance is None or max_distance >= min_distance)):
        raise GroupingError(
            f"distances: min_distance = {min_distance}, max_distance = {max_distance}; "
            "expected 0 <= min_distance <= max_distance"
        )
    ratio = ratio_of(metric, x, y)
    neighbours = neighbours_by_scan(x / ratio, y, scan, k)
    if max_distance is not None:
        far = pair_distance(x, y, np.arange(len(x))[:, None], neighbours) > max_distance
        neighbours = np.where(far, np.int32(-1), neighbours)
    return Neighbourhood(
        x=x, y=y, scan=scan, neighbours=neighbours, gridsize=gridsize,
        max_distance=max_distance, min_distance=min_distance, ratio=ratio,
    )  # fmt: skip


def ratio_of(metric: str, x: np.ndarray, y: np.ndarray) -> float:
    """Return the unit of x under a metric; GroupingError on an unknown one."""
    if metric == "pixels":
        return 1.0
    if metric == "steps":
        return axis_ratio(x, y)
    raise GroupingError(f"metric = {metric!r}: expected pixels or steps")


def checked_neighbor_count(gridsize: int, K: int | None, *, largest_scan: int) -> int:
    """Return the K to use: the default when None, clamped to the scan; GroupingError if too few."""
    size = gridsize**2
    if not 1 <= gridsize <= LARGEST_GRIDSIZE:
        raise GroupingError(f"gridsize = {gridsize}: expected 1 to {LARGEST_GRIDSIZE}")
    if largest_scan < size:
        raise GroupingError(
            f"positions: {largest_scan} in the largest scan; expected at least {size} "
            f"for gridsize {gridsize}"
        )
    k = default_neighbor_count(gridsize) if K is None else int(K)
    if not size - 1 <= k <= LARGEST_K:
        raise GroupingError(
            f"K = {k} neighbours: expected {size - 1} to {LARGEST_K} for gridsize {gridsize}; "
            f"the default is {default_neighbor_count(gridsize)}"
        )
    return min(k, largest_scan - 1)


def checked_positions(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y as float64 (M,); GroupingError when they do not describe M positions."""
    x, y = (np.ascontiguousarray(values, np.float64) for values in (x, y))
    if x.ndim != 1 or x.shape != y.shape or not x.size:
        raise GroupingError(
            f"positions: x of shape {x.shape}, y of shape {y.shape}; expected two equally long rows"
        )
    bad = np.flatnonzero(~(np.isfinite(x) & np.isfinite(y)))
    if bad.size:
        raise GroupingError(
            f"positions: {bad.size} of {x.size} not finite, the first at index {bad[0]}; "
            "expected numbers; drop these frames"
        )
    return x, y


def scan_labels(scan_index: np.ndarray | None, n_positions: int) -> Int[np.ndarray, " position"]:
    """Return 0, 1, 2, ... per scan; one scan when absent or when every number differs."""
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
            "scan_index: all %s values differ, so it counts patterns, not scans; "
            "taking the positions as one scan",
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
    return np.sqrt(dx * dx + dy * dy)


def _nearest(points, k):
    """Return the k nearest of every point (M, k), asking again where a tie is open."""
    if compiled.pays(len(points)) and (near := compiled.nearest(points, k)) is not None:
        return near
    return nearest_of(points, k, np.arange(len(points)))


def nearest_of(
    points: Float[np.ndarray, "position 2"], k: int, rows: Int[np.ndarray, " row"]
) -> Int[np.ndarray, "row k"]:
    """Return the k nearest of some of the points, by (d2, index); fewer than there are points."""
    asked = rows
    # Midpoint splits suit rasters, but many coincident points make such a tree endlessly deep.
    tree = cKDTree(points, balanced_tree=True)
    result = np.empty((len(points), k), np.int64)
    rows = np.intersect1d(rows, _settle_coincident(points, k, result))
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
    return result[asked]


def _settle_coincident(points, k, result):
    """Fill the rows whose k nearest all lie on the very same spot; return the other rows."""
    order = np.lexsort(points.T)  # stable: equal points keep the order of their indices
    starts = np.ones(len(points), bool)
    starts[1:] = (points[order[1:]] != points[order[:-1]]).any(axis=1)
    piles = np.split(order, np.flatnonzero(starts)[1:]) if not starts.all() else []
    settled = np.zeros(len(points), bool)
    for pile in piles:
        if len(pile) > k:
            first = np.tile(pile[: k + 1], (len(pile), 1))
            # Drop itself where it is among the first k + 1, else the last of them.
            place = np.minimum(np.arange(len(pile)), k)
            keep = np.arange(k + 1) != place[:, None]
            result[pile] = first[keep].reshape(len(pile), k)
            settled[pile] = True
    return np.flatnonzero(~settled)


def _nearest_of_candidates(points, tree, rows, k, wanted):
    """Return the k best of `wanted` candidates per row, and whether no other could enter."""
    workers = -1 if len(points) >= _THREADS_FROM else 1
    _, near = tree.query(points[rows], k=wanted, workers=workers)
    near = np.sort(near, axis=1)  # a stable sort by distance then leaves ties in index order
    delta = points[near] - points[rows, None]
    d2 = delta[..., 0] * delta[..., 0] + delta[..., 1] * delta[..., 1]
    d2[near == rows[:, None]] = -1.0  # itself first, so that cutting one column drops it
    order = np.argsort(d2, axis=1, kind="stable")[:, : k + 1]
    last_kept = np.take_along_axis(d2, order[:, -1:], axis=1)[:, 0]
    closed = last_kept < d2.max(axis=1) * (1 - _TIE_TOLERANCE)
    if wanted == len(points):
        closed[:] = True
    return np.take_along_axis(near, order[:, 1:], axis=1), closed
