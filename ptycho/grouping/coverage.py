"""What a choice of groups covers of the scan, in numbers and in one sentence.

Way of the data: file -> RawData -> [groups] -> batches -> ... -> report.
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

_PAIRS_LOOKED_AT = 200_000  # groups whose pair distances enter the median, at most
_CENTRES_LOOKED_AT = 4_000  # groups whose discrepancy is taken; it costs their square
_POSITIONS_LOOKED_AT = 200_000  # positions whose distance to a used one is taken, at most
_LINE = 0.1  # narrow by long axis, below which a group counts as a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What some groups use of a scan; lengths in the unit of the positions (pixels)."""

    n_groups: int
    """Groups."""

    group_size: int
    """C, positions per group."""

    n_positions: int
    """M, positions in the scan."""

    n_patterns: int
    """Patterns in all groups together, repetitions counted."""

    n_different: int
    """Positions used at least once."""

    most_uses: int
    """Uses of the position used most."""

    median_pair_distance: float
    """Median distance of two members of a group; nan for groups of one."""

    mean_pair_distance: float
    """Mean distance of two members of a group; nan for groups of one."""

    spacing: float
    """Median distance of a position to its nearest neighbour; nan for a single position."""

    near_share: float
    """Share of the positions no further than one spacing from a used one."""

    largest_gap: float
    """Largest distance of a position to the nearest used one: the radius of the largest empty
    circle about a position."""

    exposures: tuple[int, ...] = ()
    """Positions used 0, 1, 2, ... times."""

    discrepancy: float = math.nan
    """Centred L2 discrepancy of the group centres in the rectangle of the scan; 0 is perfectly
    even. Nan without groups."""

    median_columns: float = math.nan
    """Median width of a group: its largest difference of x; nan for groups of one."""

    median_rows: float = math.nan
    """Median height of a group: its largest difference of y; nan for groups of one."""

    line_share: float = math.nan
    """Share of the groups whose members lie on a line; nan for groups of one."""

    probe_diameter: float | None = None
    """Diameter of the probe that overlaps are measured in; None when unknown."""

    @property
    def share(self) -> float:
        """Share of the scan's positions used at least once."""
        return self.n_different / self.n_positions

    @property
    def median_overlap(self) -> float:
        """1 - median pair distance / probe diameter, at least 0; nan when unknown.

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

    def sentence(self) -> str:
        """Return the summary for the log and the report."""
        parts = [
            f"{self.n_groups:,} group{'s' * (self.n_groups != 1)}",
            f"{self.n_patterns:,} patterns",
            f"{self.n_different:,} different ones ({_percent(self.share)} of the scan)",
        ]
        if self.n_groups and self.group_size > 1:
            if not math.isnan(self.median_overlap):
                parts.append(f"median overlap {_percent(self.median_overlap)}")
            parts.append(f"median pair distance {self.median_pair_distance:.3g} px")
        if self.n_groups:
            parts.append(
                f"no position further than {self.largest_gap:.3g} px from a used one"
                if self.n_different < self.n_positions
                else f"each used at most {self.most_uses}x"
            )
        return ", ".join(parts)

    def paragraph(self) -> str:
        """Return the summary with the spread over the scan and the shape of the groups."""
        if not self.n_groups:
            return self.sentence()
        used = ", ".join(f"{n:,} {_times(i)}" for i, n in enumerate(self.exposures) if n)
        parts = [
            f"{self.sentence()}. Positions used: {used}",
            f"{_percent(self.near_share)} of the scan lie within one spacing "
            f"({self.spacing:.3g} px) of a used position, the largest empty circle has a radius "
            f"of {self.largest_gap:.3g} px, discrepancy {self.discrepancy:.2g}",
        ]
        if self.group_size > 1:
            parts.append(
                f"Groups are {self.median_columns:.3g} px wide and {self.median_rows:.3g} px high "
                f"(medians), {_percent(self.line_share)} of them lines"
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
        probe_diameter: What overlaps are measured in, pixels; None when unknown.

    Raises:
        GroupingError: When the positions are not finite or of unequal number.
    """
    x, y = checked_positions(x, y)
    groups = np.asarray(groups)
    uses = np.bincount(groups.ravel(), minlength=len(x))
    pairs = _pair_distances(x, y, groups)
    points = np.stack([x, y], axis=1)
    looked_at = points[:: -(-len(points) // _POSITIONS_LOOKED_AT)]
    gaps = np.full(len(looked_at), np.inf)
    if groups.size:
        gaps, _ = cKDTree(points[uses > 0]).query(looked_at)
    spacing = _median_spacing(points, looked_at)
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


def _pair_distances(x, y, groups):
    pairs = combinations(range(groups.shape[1]), 2)
    columns = _some_of(groups, _PAIRS_LOOKED_AT).T
    distances = [pair_distance(x, y, columns[a], columns[b]) for a, b in pairs]
    return np.concatenate(distances) if distances else np.empty(0)


def _median_spacing(points, looked_at):
    if len(points) < 2:
        return np.nan
    distance, _ = cKDTree(points).query(looked_at, k=2)
    return float(np.median(distance[:, 1]))


def _discrepancy(points, groups) -> float:
    """Return the centred L2 discrepancy of the group centres, scaled to the unit square.

    Source:
        Hickernell, Math. Comp. 67, 299 (1998), eq. 3.7.
    """
    extent = np.ptp(points, axis=0)
    if not len(groups) or not (extent > 0).all():
        return np.nan
    shown = _some_of(groups, _CENTRES_LOOKED_AT)
    # Squared, the discrepancy is a mean over pairs of centres; rows at a time bound the memory.
    unit = (points[shown].mean(axis=1) - points.min(axis=0)) / extent
    off = np.abs(unit - 0.5)
    single = np.prod(1 + off / 2 - off * off / 2, axis=1).mean()
    double = np.mean([_pair_term(unit, off, i) for i in range(len(unit))])
    return float(np.sqrt(max(0.0, (13 / 12) ** 2 - 2 * single + double)))


def _some_of(groups, most):
    """Return up to `most` groups, drawn: every second one of an even order need not be even."""
    if len(groups) <= most:
        return groups
    return groups[np.random.default_rng(0).permutation(len(groups))[:most]]


def _pair_term(unit, off, i) -> float:
    return np.prod(1 + (off[i] + off - np.abs(unit[i] - unit)) / 2, axis=1).mean()


def _shapes(points: Float[np.ndarray, "position 2"], groups) -> dict[str, float]:
    """Return the median extents of the groups, and the share of them that are lines."""
    if not len(groups) or groups.shape[1] == 1:
        return {}
    members = points[_some_of(groups, _PAIRS_LOOKED_AT)]
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


def _times(n) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(n, f"{n} times")


def _percent(share):
    """Return e.g. '18 %', without rounding a part up to all or down to nothing."""
    percent = 100 * share
    return f"{percent:.0f} %" if share in (0, 1) or 1 <= percent <= 99 else f"{percent:.1f} %"
