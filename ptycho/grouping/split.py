"""Training and validation groups that share no pattern and no part of the sample.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

Neighbouring frames overlap, so validation on the last few groups, or on random ones, would use
training data. Here a square at one corner of the scan is used for validation, a guard band around
it for neither, and the rest for training. `parts` also makes test sets and folds.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from ptycho.errors import GroupingError
from ptycho.grouping.neighbours import checked_positions

_SMALLEST_TRAINING_SHARE = 0.5  # of the groups; below it, there is no validation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Groups for training and for validation, and the guard band between them."""

    training: Int[np.ndarray, "training_group member"]
    """Groups with every member beyond the guard band; never empty."""

    validation: Int[np.ndarray, "validation_group member"]
    """Groups with every member inside the validation square; may be empty, see `reason`."""

    region: Int[np.ndarray, " position"]
    """Part of each position: 0 training, 1 guard band, 2 validation."""

    n_guard_groups: int
    """Groups not used because they are not entirely in one part."""

    reason: str | None = None
    """Why there is no validation set; None if there is one."""

    @property
    def n_guard_positions(self) -> int:
        """Positions in the guard band."""
        return int((self.region == 1).sum())

    def as_dict(self) -> dict[str, int | str | None]:
        """Return the numbers, ready for JSON."""
        return {
            "n_training": len(self.training),
            "n_validation": len(self.validation),
            "n_guard_groups": self.n_guard_groups,
            "n_guard_positions": self.n_guard_positions,
            "reason": self.reason,
        }

    def sentence(self) -> str:
        """Return the summary for the log and the report."""
        if self.reason:
            return (
                f"no validation set ({self.reason}); training on all {len(self.training):,} groups"
            )
        return (
            f"{len(self.training):,} training groups, {len(self.validation):,} validation groups "
            f"from one corner of the scan; guard band: {self.n_guard_groups:,} groups, "
            f"{self.n_guard_positions:,} positions"
        )


def split_groups(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    groups: Int[np.ndarray, "group member"],
    *,
    fraction: float,
    guard: float,
    seed: int = 0,
) -> Split:
    """Return the groups of two parts of the scan that are at least `guard` apart.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.
        groups: Indices of the members; shape (n, 1) for single frames.
        fraction: Share of the groups for validation; 0 for none.
        guard: Distance between the two parts, pixels; with the probe diameter, both illuminate
            disjoint areas of the sample.
        seed: Chooses the corner.

    Raises:
        GroupingError: If fraction is outside 0 to 0.5, guard is negative, or there are no groups.
    """
    x, y = checked_positions(x, y)
    groups = np.asarray(groups)
    if not (0 <= fraction <= 0.5 and guard >= 0 and len(groups)):
        raise GroupingError(
            f"split: fraction = {fraction}, guard = {guard}, {len(groups):,} groups; "
            "expected a fraction of 0 to 0.5, a guard of 0 or above, at least 1 group"
        )
    wanted = round(fraction * len(groups))
    if wanted == 0:
        return _unsplit(x, groups, f"{fraction:.0%} of {len(groups):,} groups is less than one")
    best = None
    for corner in np.random.default_rng(seed).permutation(4):
        reach = _reach_from_corner(x, y, int(corner))
        split = _split_at_corner(reach, groups, wanted, guard)
        if len(split.validation) and (best is None or len(split.training) > len(best.training)):
            best = split
        if best is split and len(split.training) >= (1 - 2 * fraction) * len(groups):
            break  # few groups are lost; the seed decides between such corners
    if best is None or len(best.training) < _SMALLEST_TRAINING_SHARE * len(groups):
        return _unsplit(
            x, groups, f"the scan is too small for a guard band of {guard:.3g} px around "
            f"{fraction:.0%} of its {len(groups):,} groups",
        )  # fmt: skip
    return best


def _reach_from_corner(
    x: Float[np.ndarray, " position"], y: Float[np.ndarray, " position"], corner: int
) -> Float[np.ndarray, " position"]:
    """Return the side of the smallest square at this corner of the scan with each position."""
    across = x - x.min() if corner % 2 else x.max() - x
    along = y - y.min() if corner // 2 else y.max() - y
    reach: np.ndarray = np.maximum(across, along)
    return reach


def _split_at_corner(
    reach: Float[np.ndarray, " position"],
    groups: Int[np.ndarray, "group member"],
    wanted: int,
    guard: float,
) -> Split:
    """Return the split whose square contains about `wanted` whole groups."""
    outermost = reach[groups].max(axis=1)
    side = np.partition(outermost, wanted - 1)[wanted - 1]
    region = np.where(reach <= side, 2, np.where(reach <= side + guard, 1, 0)).astype(np.int8)
    inside = (region[groups] == 2).all(axis=1)
    outside = (region[groups] == 0).all(axis=1)
    return Split(
        training=groups[outside],
        validation=groups[inside],
        region=region,
        n_guard_groups=int((~inside & ~outside).sum()),
    )


def _unsplit(
    x: Float[np.ndarray, " position"], groups: Int[np.ndarray, "group member"], reason: str
) -> Split:
    return Split(
        training=groups,
        validation=groups[:0],
        region=np.zeros(len(x), np.int8),
        n_guard_groups=0,
        reason=reason,
    )
