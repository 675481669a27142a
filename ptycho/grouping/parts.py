"""Training, validation and test groups, or k folds, with a guard band between all of them.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

Parts of the scan are marked first, as blocks or stripes. Positions of the rest within the guard
distance of a marked one are not used, nor are groups with members in two parts. `split` is simpler,
for training and validation alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy.spatial import cKDTree

from ptycho.errors import GroupingError
from ptycho.grouping.neighbours import checked_positions

Shape = Literal["block", "stripe"]
_TRAINING, _GUARD, _VALIDATION, _TEST = range(4)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """Groups of each part of a scan; no pattern is in two of them."""

    training: Int[np.ndarray, "training_group member"]
    """Groups with every member in the rest of the scan."""

    validation: Int[np.ndarray, "validation_group member"]
    """Groups with every member in the validation part."""

    test: Int[np.ndarray, "test_group member"]
    """Groups with every member in the test part."""

    region: Int[np.ndarray, " position"]
    """Part of each position: 0 training, 1 guard band, 2 validation, 3 test."""

    n_groups: int
    """Groups before the split."""

    @property
    def n_guard_positions(self) -> int:
        """Positions in the guard band."""
        return int((self.region == _GUARD).sum())

    def as_dict(self) -> dict[str, int]:
        """Return the numbers, ready for JSON."""
        kept = len(self.training) + len(self.validation) + len(self.test)
        return {
            "n_training": len(self.training),
            "n_validation": len(self.validation),
            "n_test": len(self.test),
            "n_guard_groups": self.n_groups - kept,
            "n_guard_positions": self.n_guard_positions,
        }

    def sentence(self) -> str:
        """Return the summary for the log."""
        numbers = self.as_dict()
        return (
            f"{numbers['n_training']:,} training, {numbers['n_validation']:,} validation and "
            f"{numbers['n_test']:,} test groups; guard band: "
            f"{numbers['n_guard_positions']:,} of {len(self.region):,} positions, "
            f"{numbers['n_guard_groups']:,} of {self.n_groups:,} groups"
        )


def split_parts(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    groups: Int[np.ndarray, "group member"],
    *,
    validation: float,
    test: float = 0.0,
    guard: float,
    shape: str = "block",
    seed: int = 0,
) -> Parts:
    """Return the groups of two opposite ends of the scan and of the area between.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.
        groups: Indices of the members.
        validation: Share of the positions at one end.
        test: Share of the positions at the opposite end.
        guard: Smallest distance of positions in different parts, pixels.
        shape: `block`: rectangles at opposite corners; `stripe`: across the scan, at both ends of
            its longer side.
        seed: Chooses the ends.

    Raises:
        GroupingError: If shares, guard or shape are out of range, or a requested part is empty.
    """
    x, y = checked_positions(x, y)
    _check(guard, shape)
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise GroupingError(
            f"split: validation = {validation}, test = {test}; expected shares with a sum below 1"
        )
    depth = _depth(x, y, shape, np.random.default_rng(seed))
    region = np.zeros(len(x), np.int8)
    ranks = np.argsort(depth[0], kind="stable")
    region[ranks[: round(validation * len(x))]] = _VALIDATION
    ranks = np.argsort(depth[1], kind="stable")
    region[ranks[: round(test * len(x))]] = _TEST
    parts = _parts(x, y, groups, region, guard)
    for name, share in (("training", 1.0), ("validation", validation), ("test", test)):
        if share and not len(getattr(parts, name)):
            raise GroupingError(
                f"split: no {name} group of {len(groups):,} with a guard band of {guard:.3g} px; "
                "expected a larger share, a smaller guard or more groups"
            )
    return parts


def folds(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    groups: Int[np.ndarray, "group member"],
    *,
    n_folds: int,
    guard: float,
    shape: str = "block",
) -> Iterator[Parts]:
    """Yield n splits whose validation parts divide the positions of the scan evenly.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.
        groups: Indices of the members.
        n_folds: Parts, at least 2.
        guard: Smallest distance of positions in different parts, pixels.
        shape: `block`: the longer side of each part is cut; `stripe`: one side of the scan is cut.

    Raises:
        GroupingError: If settings are out of range, or folds are more than positions.
    """
    x, y = checked_positions(x, y)
    _check(guard, shape)
    if not 2 <= n_folds <= len(x):
        raise GroupingError(f"folds: {n_folds}; expected 2 to {len(x):,}, the number of positions")
    points = np.stack([x, y], axis=1)
    for members in _cut(points, np.arange(len(x)), n_folds, shape, np.ptp(points, axis=0)):
        region = np.zeros(len(x), np.int8)
        region[members] = _VALIDATION
        yield _parts(x, y, groups, region, guard)


def _check(guard: float, shape: str) -> None:
    if not (guard >= 0 and shape in get_args(Shape)):
        raise GroupingError(
            f"split: guard = {guard}, shape = {shape!r}; expected 0 or above, block or stripe"
        )


def _depth(
    x: Float[np.ndarray, " position"],
    y: Float[np.ndarray, " position"],
    shape: str,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " position"], Float[np.ndarray, " position"]]:
    """Return the relative distance of each position from one end of the scan and from the other."""
    across, along = ((v - v.min()) / (np.ptp(v) or 1.0) for v in (x, y))
    if shape == "stripe":
        ends = (along, 1 - along) if np.ptp(y) > np.ptp(x) else (across, 1 - across)
    else:
        across = across if rng.integers(2) else 1 - across
        ends = np.maximum(across, along), np.maximum(1 - across, 1 - along)
    return ends if rng.integers(2) else (ends[1], ends[0])


def _cut(
    points: Float[np.ndarray, "position 2"],
    members: Int[np.ndarray, " member"],
    n: int,
    shape: str,
    extent: Float[np.ndarray, " 2"],
) -> Iterator[Int[np.ndarray, " part"]]:
    """Yield n parts of the members whose sizes differ by at most 1."""
    if n == 1:
        yield members
        return
    sides = extent if shape == "stripe" else np.ptp(points[members], axis=0)
    along = points[members, int(sides[1] > sides[0])]
    members = members[np.argsort(along, kind="stable")]
    at = round(len(members) * (n // 2) / n)
    yield from _cut(points, members[:at], n // 2, shape, extent)
    yield from _cut(points, members[at:], n - n // 2, shape, extent)


def _parts(
    x: Float[np.ndarray, " position"],
    y: Float[np.ndarray, " position"],
    groups: Int[np.ndarray, "group member"],
    region: Int[np.ndarray, " position"],
    guard: float,
) -> Parts:
    """Return the parts without the guard bands, which lie in the training and in the test part."""
    points = np.stack([x, y], axis=1)
    near_test = _near(points, region == _VALIDATION, guard) & (region == _TEST)
    near_rest = _near(points, region >= _VALIDATION, guard) & (region == _TRAINING)
    region = np.where(near_test | near_rest, _GUARD, region).astype(np.int8)
    groups = np.asarray(groups)
    regions = region[groups]
    whole = [groups[(regions == part).all(axis=1)] for part in (_TRAINING, _VALIDATION, _TEST)]
    return Parts(
        training=whole[0], validation=whole[1], test=whole[2], region=region, n_groups=len(groups)
    )


def _near(
    points: Float[np.ndarray, "position 2"], marked: Bool[np.ndarray, " position"], guard: float
) -> Bool[np.ndarray, " position"]:
    """Return which positions lie within the guard distance of a marked one."""
    if not marked.any():
        return np.zeros(len(points), bool)
    distance, _ = cKDTree(points[marked]).query(points)
    near: np.ndarray = distance <= guard
    return near
