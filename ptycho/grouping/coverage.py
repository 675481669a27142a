"""What a choice of groups covers of the scan, in numbers and in one sentence.

Way of the data: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Int, Shaped
from scipy.spatial import cKDTree

from ptycho.grouping.neighbours import checked_positions, pair_distance

_PAIRS_LOOKED_AT = 200_000  # groups whose pair distances enter the median, at most


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
    """Largest distance of a position to the nearest used one."""

    @property
    def share(self) -> float:
        """Share of the scan's positions used at least once."""
        return self.n_different / self.n_positions

    def sentence(self) -> str:
        """Return the summary for the log and the report."""
        parts = [
            f"{self.n_groups:,} group{'s' * (self.n_groups != 1)}",
            f"{self.n_patterns:,} patterns",
            f"{self.n_different:,} different ones ({_percent(self.share)} of the scan)",
        ]
        if self.n_groups and self.group_size > 1:
            parts.append(f"median pair distance {self.median_pair_distance:.3g} px")
        if self.n_groups:
            parts.append(
                f"no position further than {self.largest_gap:.3g} px from a used one"
                if self.n_different < self.n_positions
                else f"each used at most {self.most_uses}x"
            )
        return ", ".join(parts)


def summarise(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    groups: Int[np.ndarray, "group member"],
) -> Coverage:
    """Return what the groups cover.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.
        groups: Indices of the members.

    Raises:
        GroupingError: When the positions are not finite or of unequal number.
    """
    x, y = checked_positions(x, y)
    groups = np.asarray(groups)
    uses = np.bincount(groups.ravel(), minlength=len(x))
    pairs = _pair_distances(x, y, groups)
    points = np.stack([x, y], axis=1)
    gaps = np.full(len(x), np.inf)
    if groups.size:
        gaps, _ = cKDTree(points[uses > 0]).query(points)
    spacing = _median_spacing(points)
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
    )


def _pair_distances(x, y, groups):
    step = max(1, len(groups) // _PAIRS_LOOKED_AT)
    pairs = combinations(range(groups.shape[1]), 2)
    columns = groups[::step].T
    distances = [pair_distance(x, y, columns[a], columns[b]) for a, b in pairs]
    return np.concatenate(distances) if distances else np.empty(0)


def _median_spacing(points):
    if len(points) < 2:
        return np.nan
    distance, _ = cKDTree(points).query(points, k=2)
    return float(np.median(distance[:, 1]))


def _percent(share):
    """Return e.g. '18 %', without rounding a part up to all or down to nothing."""
    percent = 100 * share
    return f"{percent:.0f} %" if share in (0, 1) or 1 <= percent <= 99 else f"{percent:.1f} %"
