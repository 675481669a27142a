"""Choose some of the valid groups: uniformly, evenly over the scan, or in scan order.

Way of the data: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

None of the three builds the table of all groups. Each answer is nested: the first 512 groups of
a sample of 2,576 are the sample of 512 with the same seed.
"""

import logging
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int32, Shaped

from ptycho.errors import GroupingError
from ptycho.grouping.balanced import draw_balanced
from ptycho.grouping.deck import (
    check_hope,
    draw_uniform,
    first_occurrences,
    keeps_distances,
    members_of,
    raw_counts_of,
)
from ptycho.grouping.neighbours import Neighbourhood, find_neighbourhood
from ptycho.grouping.on_demand import sample_on_demand

logger = logging.getLogger(__name__)

Sampling = Literal["uniform", "balanced", "sequential"]
METHODS = get_args(Sampling)

_SEQUENTIAL_CELLS = 2**16  # combinations looked at together, at least one per position


def sample_groups(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    *,
    n: int,
    method: str = "uniform",
    seed: int = 0,
    **rule,
) -> Int32[np.ndarray, "group member"]:
    """Return n different valid groups, or all of them when fewer exist.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.
        n: Groups wanted.
        method: `uniform`: every valid group equally likely; `balanced`: positions used as evenly
            as possible; `sequential`: the first positions as seeds.
        seed: Fixes the sample; equal seeds give equal groups on every machine.
        **rule: `gridsize`, `K`, `scan_index`, `max_distance`, `min_distance`; see
            `find_neighbourhood`.

    Raises:
        GroupingError: On an unknown method, a negative n or seed, and what `find_neighbourhood`
            raises.
    """
    if method == "uniform" and n >= 0 and seed >= 0:
        groups = sample_on_demand(x, y, n=n, seed=seed, **rule)
        if groups is not None:
            return groups
    return draw(find_neighbourhood(x, y, **rule), n=n, method=method, seed=seed)


def draw(
    neighbourhood: Neighbourhood, *, n: int, method: str = "uniform", seed: int = 0
) -> Int32[np.ndarray, "group member"]:
    """Return the groups of `sample_groups` for neighbours already found."""
    if n < 0 or seed < 0:
        raise GroupingError(f"sampling: n = {n}, seed = {seed}; expected 0 or above")
    if method == "uniform":
        groups = draw_uniform(neighbourhood, n, seed)
    elif method == "balanced":
        groups = draw_balanced(neighbourhood, n, seed)
    elif method == "sequential":
        groups = draw_sequential(neighbourhood, n)
    else:
        raise GroupingError(f"sampling = {method!r}: expected one of {', '.join(METHODS)}")
    if len(groups) < n:
        logger.warning(
            "%s groups asked for, %s exist (gridsize %d, K %d); taking all of them",
            f"{n:,}", f"{len(groups):,}", neighbourhood.gridsize, neighbourhood.k,
        )  # fmt: skip
    return groups


def draw_sequential(neighbourhood: Neighbourhood, n: int) -> Int32[np.ndarray, "group member"]:
    """Return the groups of the first positions as seeds, each with its nearest neighbours.

    When every position has been a seed once, the next nearest combination follows. A set met
    before is passed over.
    """
    raw_counts = raw_counts_of(neighbourhood)
    found = np.empty((0, neighbourhood.group_size), np.int32)
    looked, most = 0, int(raw_counts.max())
    step = max(1, _SEQUENTIAL_CELLS // neighbourhood.n_positions)
    for first in range(0, most, step):
        if len(found) >= n:
            break
        ranks = np.arange(first, min(first + step, most))
        rank, seeds = np.nonzero(raw_counts > ranks[:, None])
        groups = members_of(neighbourhood, seeds, ranks[rank])
        groups = groups[keeps_distances(neighbourhood, groups)]
        found = first_occurrences(np.concatenate([found, groups]))
        looked += len(seeds)
        check_hope(len(found), looked)
    return found[:n]
