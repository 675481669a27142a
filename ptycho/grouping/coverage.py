"""What a sample of groups covers of the scan, in numbers and in sentences.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.
"""

import math
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.spatial import cKDTree

from ptycho.grouping.neighbours import checked_positions, pair_distance

_MOST_GROUPS = 200_000  # whose pair distances and shapes are computed
_MOST_CENTRES = 4_000  # whose discrepancy is computed, at a cost that grows with their square
_MOST_POSITIONS = 200_000  # whose distance to a used position is computed
_LINE = 0.1  # ratio of short to long axis below which a group counts as a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What some groups use of a scan; lengths in pixels."""

    n_groups: int
    """Groups."""

    group_size: int
    """C, positions per group."""

    n_positions: int
    """M, positions in the scan."""

    n_patterns: int
    """Patterns in all groups together, with repetitions."""

    n_different: int
    """Positions used at least once."""

    most_uses: int
    """Uses of the position used most."""

    median_pair_distance: float
    """Median distance between two members of a group; nan for groups of one."""

    mean_pair_distance: float
    """Mean distance between two members of a group; nan for groups of one."""

    spacing: float
    """Median distance from a position to its nearest neighbour; nan for a single position."""

    near_share: float
    """Share of the positions within one spacing of a used one."""

    largest_gap: float
    """Largest distance from a position to the nearest used one: the radius of the largest empty
    circle around a position."""

    exposures: tuple[int, ...] = ()
    """Positions used 0, 1, 2, ... times."""

    discrepancy: float = math.nan
    """Centred L2 discrepancy of the group centres in the rectangle of the scan; 0 is perfectly
    uniform. Nan without groups."""

    median_columns: float = math.nan
    """Median width of a group, its extent along x; nan for groups of one."""

    median_rows: float = math.nan
    """Median height of a group, its extent along y; nan for groups of one."""

    line_share: float = math.nan
    """Share of the groups whose members lie on a line; nan for groups of one."""

    probe_diameter: float | None = None
    """Diameter of the probe, the unit of overlaps; None if unknown."""

    @property
    def share(self) -> float:
        """Share of the scan's positions used at least once."""
        return self.n_different / self.n_positions

    @property
    def median_overlap(self) -> float:
        """1 - median pair distance / probe diameter, at least 0; nan if unknown.

        Source:
            Bunk et al., Ultramicroscopy 108, 481 (2008): the linear overlap of two discs.
        """
        if self.probe_diameter is None or math.isnan(self.median_pair_distance):
            return math.nan
        return max(0.0, 1.0 - self.median_pair_distance / self.probe_diameter)

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers ready for JSON, which has no nan: None stands for unknown."""
        values = asdict(self) | {"share": self.share, "median_overlap": self.median_overlap}
        values["exposures"] = list(self.exposures)
        return {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }

    def used(self) -> str:
        """Return how much of the scan is used: patterns, distinct ones, overlap."""
        share = f"{_percent(self.share)} of the scan"
        text = f"{self.n_patterns:,} patterns, {self.n_different:,} distinct ({share})"
        if math.isnan(self.median_overlap):
            return text
        return f"{text}; median overlap {_percent(self.median_overlap)}"

    def sentence(self) -> str:
        """Return the summary for the log."""
        return f"{self.n_groups:,} group{'s' * (self.n_groups != 1)}, {self.used()}"

    def paragraph(self) -> str:
        """Return the summary with the spread over the scan and the shape of the groups."""
        if not self.n_groups:
            return self.sentence()
        counts = ", ".join(f"{n:,} {_times(i)}" for i, n in enumerate(self.exposures) if n)
        parts = [
            self.sentence(),
            f"Positions used: {counts}",
            f"{_percent(self.near_share)} of the positions lie within one spacing "
            f"({self.spacing:.3g} px) of a used one; largest empty circle: radius "
            f"{self.largest_gap:.3g} px; discrepancy {self.discrepancy:.2g}",
        ]
        if self.group_size > 1:
            parts.append(
                f"Median group: {self.median_columns:.3g} px wide, {self.median_rows:.3g} px high, "
                f"members {self.median_pair_distance:.3g} px apart; {_percent(self.line_share)} of "
                "the groups are lines"
            )
        return ". ".join(parts)


def summarise(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    groups: Int[np.ndarray, "group member"],
    *,
    probe_diameter: float | None = None,
) -> Coverage:
    """Return what the groups cover.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.
        groups: Indices of the members.
        probe_diameter: The unit of overlaps, pixels; None if unknown.

    Raises:
        GroupingError: If x and y differ in length or are not finite.
    """
    x, y = checked_positions(x, y)
    groups = np.asarray(groups)
    uses = np.bincount(groups.ravel(), minlength=len(x))
    pairs = _pair_distances(x, y, groups)
    points = np.stack([x, y], axis=1)
    queries = points[:: -(-len(points) // _MOST_POSITIONS)]
    gaps = np.full(len(queries), np.inf)
    if groups.size:
        gaps, _ = cKDTree(points[uses > 0]).query(queries)
    spacing = _median_spacing(points, queries)
    return Coverage(
        n_groups=len(groups),
        group_size=groups.shape[1],
        n_positions=len(x),
        n_patterns=groups.size,
        n_different=int((uses > 0).sum()),
        most_uses=int(uses.max()),
        median_pair_distance=float(np.median(pairs)) if pairs.size else np.nan,
        mean_pair_distance=float(pairs.mean()) if pairs.size else np.nan,
        spacing=spacing,
        near_share=float((gaps <= (0 if np.isnan(spacing) else spacing) * (1 + 1e-9)).mean()),
        largest_gap=float(gaps.max()),
        exposures=tuple(np.bincount(uses).tolist()),
        discrepancy=_discrepancy(points, groups),
        probe_diameter=probe_diameter,
        **_shapes(points, groups),
    )


def _pair_distances(
    x: Float[np.ndarray, " position"],
    y: Float[np.ndarray, " position"],
    groups: Int[np.ndarray, "group member"],
) -> Float[np.ndarray, " pair"]:
    pairs = combinations(range(groups.shape[1]), 2)
    columns = _some_of(groups, _MOST_GROUPS).T
    distances = [pair_distance(x, y, columns[a], columns[b]) for a, b in pairs]
    return np.concatenate(distances) if distances else np.empty(0)


def _median_spacing(
    points: Float[np.ndarray, "position 2"], queries: Float[np.ndarray, "query 2"]
) -> float:
    if len(points) < 2:
        return np.nan
    distance, _ = cKDTree(points).query(queries, k=2)
    return float(np.median(distance[:, 1]))


def _discrepancy(
    points: Float[np.ndarray, "position 2"], groups: Int[np.ndarray, "group member"]
) -> float:
    """Return the centred L2 discrepancy of the group centres, scaled to the unit square.

    Source:
        Hickernell, Math. Comp. 67, 299 (1998), eq. 3.7.
    """
    extent = np.ptp(points, axis=0)
    if not len(groups) or not (extent > 0).all():
        return np.nan
    shown = _some_of(groups, _MOST_CENTRES)
    # Squared, the discrepancy is a mean over pairs of centres; one row at a time bounds the memory.
    unit = (points[shown].mean(axis=1) - points.min(axis=0)) / extent
    off = np.abs(unit - 0.5)
    single = np.prod(1 + off / 2 - off * off / 2, axis=1).mean()
    double = np.mean([_pair_term(unit, off, i) for i in range(len(unit))])
    return float(np.sqrt(max(0.0, (13 / 12) ** 2 - 2 * single + double)))


def _some_of(groups: Int[np.ndarray, "group member"], most: int) -> Int[np.ndarray, "some member"]:
    """Return up to `most` groups at random: regular picks of a regular order may be biased."""
    if len(groups) <= most:
        return groups
    return groups[np.random.default_rng(0).permutation(len(groups))[:most]]


def _pair_term(
    unit: Float[np.ndarray, "centre 2"], off: Float[np.ndarray, "centre 2"], i: int
) -> float:
    return float(np.prod(1 + (off[i] + off - np.abs(unit[i] - unit)) / 2, axis=1).mean())


def _shapes(
    points: Float[np.ndarray, "position 2"], groups: Int[np.ndarray, "group member"]
) -> dict[str, float]:
    """Return the median extents of the groups, and the share of them that are lines."""
    if not len(groups) or groups.shape[1] == 1:
        return {}
    members = points[_some_of(groups, _MOST_GROUPS)]
    columns, rows = np.median(np.ptp(members, axis=1), axis=0)
    dx, dy = np.moveaxis(members - members.mean(axis=1, keepdims=True), 2, 0)
    xx, yy, xy = (dx * dx).sum(axis=1), (dy * dy).sum(axis=1), (dx * dy).sum(axis=1)
    # Eigenvalues of the 2 x 2 matrix of second moments: squared half axes up to a factor.
    mean, half_gap = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    lines = mean - half_gap <= _LINE**2 * (mean + half_gap)
    return {
        "median_columns": float(columns),
        "median_rows": float(rows),
        "line_share": float(lines.mean()),
    }


def _times(n: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(n, f"{n} times")


def _percent(share: float) -> str:
    """Return e.g. '18 %'; only 0 and 1 become '0 %' and '100 %'."""
    percent = 100 * share
    return f"{percent:.0f} %" if share in (0, 1) or 1 <= percent <= 99 else f"{percent:.1f} %"
