"""The rule that makes a set of positions a valid group, as one value.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows numbers only: no positions, no frames, no files.
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from ptycho.errors import GroupingError

Metric = Literal["pixels", "steps"]

LARGEST_GRIDSIZE = 4
LARGEST_K = 64  # one bit of an unsigned word per neighbour


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRule:
    """A valid group is a seed position and gridsize^2 - 1 of its K nearest neighbours.

    Raises:
        GroupingError: If gridsize, distances or metric are out of range. K is checked when the
            positions are known, see `for_scan`.
    """

    gridsize: int = 2
    """A group has gridsize * gridsize positions."""

    K: int | None = None
    """Neighbours of the seed from which members are drawn; None for `default_neighbor_count`."""

    max_distance: float | None = None
    """Largest distance of two members, pixels; None for no limit."""

    min_distance: float = 0.0
    """Smallest distance of two members, pixels."""

    metric: str = "pixels"
    """Unit of distance in the search for neighbours: pixels, or steps of the scan along each axis
    (`axis_ratio`). The distance limits are in pixels for both."""

    def __post_init__(self) -> None:
        if not 1 <= self.gridsize <= LARGEST_GRIDSIZE:
            raise GroupingError(f"gridsize = {self.gridsize}: expected 1 to {LARGEST_GRIDSIZE}")
        smallest, largest = self.min_distance, self.max_distance
        if not (smallest >= 0 and (largest is None or largest >= smallest)):
            raise GroupingError(
                f"distances: min_distance = {smallest}, max_distance = {largest}; "
                "expected 0 <= min_distance <= max_distance"
            )
        if self.metric not in get_args(Metric):
            raise GroupingError(f"metric = {self.metric!r}: expected pixels or steps")

    @property
    def group_size(self) -> int:
        """C, positions in one group."""
        return self.gridsize**2

    @property
    def filtered(self) -> bool:
        """Whether a distance limit can exclude a group."""
        return self.max_distance is not None or self.min_distance > 0

    @property
    def k(self) -> int:
        """K as given, or the default of the gridsize."""
        return default_neighbor_count(self.gridsize) if self.K is None else int(self.K)

    def for_scan(self, n_positions: int) -> "GroupRule":
        """Return the rule with the K that a scan allows: at most all other positions.

        Args:
            n_positions: Of the scan; of the largest one where there are several.

        Raises:
            GroupingError: If the scan has too few positions for one group, or K is out of range.
        """
        size = self.group_size
        if n_positions < size:
            raise GroupingError(
                f"positions: {n_positions} in the largest scan; expected at least {size} "
                f"for gridsize {self.gridsize}"
            )
        if not size - 1 <= self.k <= LARGEST_K:
            raise GroupingError(
                f"K = {self.k} neighbours: expected {size - 1} to {LARGEST_K} for gridsize "
                f"{self.gridsize}; the default is {default_neighbor_count(self.gridsize)}"
            )
        return replace(self, K=min(self.k, n_positions - 1))

    def without_limits(self) -> "GroupRule":
        """Return the rule without distance limits."""
        return replace(self, max_distance=None, min_distance=0.0)


def default_neighbor_count(gridsize: int) -> int:
    """Return the K of the smallest ring that contains a compact block: 8, 24, 48 for 2, 3, 4."""
    return (2 * gridsize - 1) ** 2 - 1
