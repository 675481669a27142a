"""Samples of the valid groups.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

No method builds the table of all groups. Each answer is nested: the first 512 groups of a sample of
2,576 are the sample of 512 with the same seed. The methods are the rows of `SAMPLERS`.
"""

import abc
import logging

import numpy as np
from jaxtyping import Int32, Shaped

from ptycho.errors import GroupingError
from ptycho.grouping import SAMPLERS
from ptycho.grouping.balanced import draw_balanced
from ptycho.grouping.neighbours import Neighbourhood, find_neighbourhood
from ptycho.grouping.on_demand import sample_on_demand
from ptycho.grouping.pairs import (
    check_yield,
    draw_uniform,
    first_occurrences,
    keeps_distances,
    members_of,
    raw_counts_of,
)
from ptycho.grouping.rule import GroupRule

logger = logging.getLogger(__name__)

_SEQUENTIAL_CELLS = 2**16  # combinations tried together, at least one per position


def draw_sequential(neighbourhood: Neighbourhood, n: int) -> Int32[np.ndarray, "group member"]:
    """Return the groups of the first positions as seeds, each with its nearest neighbours.

    When every position has been a seed once, the next nearest combination follows. A repeated set
    is skipped.
    """
    raw_counts = raw_counts_of(neighbourhood)
    found = np.empty((0, neighbourhood.group_size), np.int32)
    tried, most = 0, int(raw_counts.max())
    step = max(1, _SEQUENTIAL_CELLS // neighbourhood.n_positions)
    for first in range(0, most, step):
        if len(found) >= n:
            break
        ranks = np.arange(first, min(first + step, most))
        rank, seeds = np.nonzero(raw_counts > ranks[:, None])
        groups = members_of(neighbourhood, seeds, ranks[rank])
        groups = groups[keeps_distances(neighbourhood, groups)]
        found = first_occurrences(np.concatenate([found, groups]))
        tried += len(seeds)
        check_yield(len(found), tried)
    return found[:n]


class Sampler(abc.ABC):
    """A method that chooses some of the valid groups; the docstring of a subclass describes it."""

    @abc.abstractmethod
    def draw(
        self, neighbourhood: Neighbourhood, n: int, seed: int
    ) -> Int32[np.ndarray, "group member"]:
        """Return n different valid groups, or all of them when fewer exist; members sorted.

        Args:
            neighbourhood: Positions, their neighbours and the rule.
            n: Groups wanted, 0 or more.
            seed: Fixes the sample, 0 or more.
        """

    def draw_without_lists(
        self,
        x: Shaped[np.ndarray, "..."],
        y: Shaped[np.ndarray, "..."],
        rule: GroupRule,
        *,
        n: int,
        seed: int,
        scan_index: Shaped[np.ndarray, "..."] | None = None,
    ) -> Int32[np.ndarray, "group member"] | None:
        """Return the groups of `draw` without all neighbour lists; None where it needs them."""
        return None


class Uniform(Sampler):
    """Each valid group equally likely."""

    def draw(
        self, neighbourhood: Neighbourhood, n: int, seed: int
    ) -> Int32[np.ndarray, "group member"]:
        """Return n groups; see `draw_uniform`."""
        return draw_uniform(neighbourhood, n, seed)

    def draw_without_lists(
        self,
        x: Shaped[np.ndarray, "..."],
        y: Shaped[np.ndarray, "..."],
        rule: GroupRule,
        *,
        n: int,
        seed: int,
        scan_index: Shaped[np.ndarray, "..."] | None = None,
    ) -> Int32[np.ndarray, "group member"] | None:
        """Return the same groups for large scans; see `sample_on_demand`."""
        return sample_on_demand(x, y, rule, n=n, seed=seed, scan_index=scan_index)


class Balanced(Sampler):
    """Positions used as evenly as possible."""

    def draw(
        self, neighbourhood: Neighbourhood, n: int, seed: int
    ) -> Int32[np.ndarray, "group member"]:
        """Return n groups; see `draw_balanced`."""
        return draw_balanced(neighbourhood, n, seed)


class Sequential(Sampler):
    """The first positions as seeds."""

    def draw(
        self, neighbourhood: Neighbourhood, n: int, seed: int
    ) -> Int32[np.ndarray, "group member"]:
        """Return n groups; see `draw_sequential`."""
        return draw_sequential(neighbourhood, n)


def sample_groups(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    rule: GroupRule,
    *,
    n: int,
    method: str = "uniform",
    seed: int = 0,
    scan_index: Shaped[np.ndarray, "..."] | None = None,
) -> Int32[np.ndarray, "group member"]:
    """Return n different valid groups, or all of them when fewer exist.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.
        rule: What makes a group valid.
        n: Groups wanted.
        method: A name in `SAMPLERS`.
        seed: Fixes the sample; equal seeds give equal groups on every machine.
        scan_index: Scan number of each position; groups never mix scans.

    Raises:
        GroupingError: On an unknown method, a negative n or seed, and what `find_neighbourhood`
            raises.
    """
    groups = draw_without_lists(x, y, rule, n=n, method=method, seed=seed, scan_index=scan_index)
    if groups is not None:
        return groups
    neighbourhood = find_neighbourhood(x, y, rule, scan_index=scan_index)
    return draw(neighbourhood, n=n, method=method, seed=seed)


def draw_without_lists(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    rule: GroupRule,
    *,
    n: int,
    method: str,
    seed: int,
    scan_index: Shaped[np.ndarray, "..."] | None = None,
) -> Int32[np.ndarray, "group member"] | None:
    """Return the groups of `sample_groups` if all neighbour lists can be avoided, else None."""
    sampler = _sampler(method, n, seed)
    return sampler.draw_without_lists(x, y, rule, n=n, seed=seed, scan_index=scan_index)


def draw(
    neighbourhood: Neighbourhood, *, n: int, method: str = "uniform", seed: int = 0
) -> Int32[np.ndarray, "group member"]:
    """Return the groups of `sample_groups` for neighbours already found."""
    groups = _sampler(method, n, seed).draw(neighbourhood, n, seed)
    if len(groups) < n:
        logger.warning(
            "groups: %s requested, %s exist (gridsize %d, K %d); using all",
            f"{n:,}", f"{len(groups):,}", neighbourhood.rule.gridsize, neighbourhood.k,
        )  # fmt: skip
    return groups


def _sampler(method: str, n: int, seed: int) -> Sampler:
    if n < 0 or seed < 0:
        raise GroupingError(f"sampling: n = {n}, seed = {seed}; expected 0 or above")
    if method not in SAMPLERS:
        raise GroupingError(f"sampling = {method!r}: expected one of {', '.join(SAMPLERS)}")
    return SAMPLERS[method]()
