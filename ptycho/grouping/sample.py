"""Choose some of the valid groups: uniformly, evenly over the scan, or in scan order.

Way of the data: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

None of the three builds the table of all groups. Each answer is nested: the first 512 groups of
a sample of 2,576 are the sample of 512 with the same seed.
"""

import logging
from collections.abc import Callable
from itertools import combinations
from math import comb
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Int, Int32, Shaped

from ptycho.errors import GroupingError
from ptycho.grouping.neighbours import Neighbourhood, find_neighbourhood
from ptycho.grouping.shuffle import LARGEST_SIZE, Shuffle

logger = logging.getLogger(__name__)

Sampling = Literal["uniform", "balanced", "sequential"]
METHODS = get_args(Sampling)

_CELLS_AT_ONCE = 2**23
_SEQUENTIAL_CELLS = 2**16  # combinations looked at together, at least one per position
_PATIENCE = 4_000_000  # draws after which a filter that rejects nearly all is reported
_HOPELESS = 1e-4  # share of draws kept


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
        from ptycho.grouping.on_demand import sample_on_demand  # it walks this module's deck

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
        from ptycho.grouping.balanced import draw_balanced  # it fills up with this module's draw

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


def draw_uniform(
    neighbourhood: Neighbourhood, n: int, seed: int
) -> Int32[np.ndarray, "group member"]:
    """Return n groups, every valid group equally likely, without replacement.

    All (seed, combination) pairs are walked in a keyed random order; a pair is kept when its
    seed owns the set, so each set has exactly one chance.
    """
    ends = np.cumsum(_raw_counts(neighbourhood))

    def groups_of(cards):
        seeds = np.searchsorted(ends, cards, side="right")
        return owned(neighbourhood, seeds, cards - np.append(0, ends)[seeds])

    return walk_deck(
        int(ends[-1]), n=n, seed=seed, size=neighbourhood.group_size, k=neighbourhood.k,
        groups_of=groups_of,
    )  # fmt: skip


def walk_deck(
    n_cards: int, *, n: int, seed: int, size: int, k: int, groups_of: Callable
) -> Int32[np.ndarray, "group member"]:
    """Return the first n groups met in a deck of (seed, combination) pairs, shuffled by a key.

    Args:
        n_cards: Pairs in all.
        n: Groups wanted.
        seed: The key.
        size: Members of a group.
        k: Neighbours of a position; with `size` it bounds the memory of one step.
        groups_of: cards -> the groups they own, in the same order.

    Raises:
        GroupingError: When nearly every card is rejected.
    """
    deck = Shuffle(n_cards, seed)
    largest_step = max(1, _CELLS_AT_ONCE // (size * max(1, k)))
    parts = [np.empty((0, size), np.int32)]
    found = looked = 0
    while found < n and looked < n_cards:
        # The first guess: one card in three is the owner's.
        share = found / looked if found else 1 / 3
        step = min(n_cards - looked, largest_step, int(1.2 * (n - found) / share) + 64)
        cards = deck(np.arange(looked, looked + step, dtype=np.uint64)).astype(np.int64)
        groups = groups_of(cards)
        parts.append(groups[: n - found])
        found, looked = found + len(parts[-1]), looked + step
        _check_hope(found, looked)
    return np.concatenate(parts)


def draw_sequential(neighbourhood: Neighbourhood, n: int) -> Int32[np.ndarray, "group member"]:
    """Return the groups of the first positions as seeds, each with its nearest neighbours.

    When every position has been a seed once, the next nearest combination follows. A set met
    before is passed over.
    """
    raw_counts = _raw_counts(neighbourhood)
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
        _check_hope(len(found), looked)
    return found[:n]


def members_of(
    neighbourhood: Neighbourhood,
    seeds: Int[np.ndarray, " group"],
    ranks: Int[np.ndarray, " group"],
) -> Int32[np.ndarray, "group member"]:
    """Return seed and combination number `rank` of its neighbours, sorted.

    Combinations are numbered in colexicographic order, so that those of the k nearest come
    first, whatever K is. A missing neighbour appears as -1.
    """
    groups = np.empty((len(seeds), neighbourhood.group_size), np.int32)
    groups[:, 0] = seeds
    rest = ranks
    for pick in range(neighbourhood.group_size - 1, 0, -1):
        table = np.array([comb(slot, pick) for slot in range(neighbourhood.k)], np.int64)
        slot = np.searchsorted(table, rest, side="right") - 1
        rest = rest - table[slot]
        groups[:, pick] = neighbourhood.neighbours[seeds, slot]
    groups.sort(axis=1)
    return groups


def reach_all(
    neighbourhood: Neighbourhood, groups: Int[np.ndarray, "group member"]
) -> Bool[np.ndarray, "group member"]:
    """Return which members have all the others among their neighbours."""
    # The neighbours first: reducing a short last axis costs several times as much.
    lists = np.ascontiguousarray(np.moveaxis(neighbourhood.neighbours[groups], 2, 0))
    reached = np.ones(groups.shape, bool)
    for column in range(groups.shape[1]):
        here = (lists == groups[:, column, None]).any(axis=0)
        here[:, column] = True
        reached &= here
    return reached


def keeps_distances(
    neighbourhood: Neighbourhood, groups: Int[np.ndarray, "group member"]
) -> Bool[np.ndarray, " group"]:
    """Return which groups have all their pairs within the distance limits."""
    if not neighbourhood.filtered:
        return np.ones(len(groups), bool)
    left = np.arange(len(groups))  # most groups fall at one of the first pairs
    for first, second in combinations(range(groups.shape[1]), 2):
        left = left[neighbourhood.pair_fits(groups[left, first], groups[left, second])]
    kept = np.zeros(len(groups), bool)
    kept[left] = True
    return kept


def first_occurrences(
    groups: Int32[np.ndarray, "group member"],
) -> Int32[np.ndarray, "different member"]:
    """Return the rows without repetitions, in the order they were met."""
    rows = np.ascontiguousarray(groups)
    whole = rows.view([("", rows.dtype)] * rows.shape[1])[:, 0]
    _, first = np.unique(whole, return_index=True)
    return rows[np.sort(first)]


def _raw_counts(neighbourhood):
    """Return the combinations per seed, having checked that all together can be numbered."""
    check_deck(neighbourhood.n_positions, neighbourhood.k, neighbourhood.gridsize)
    return neighbourhood.raw_counts()


def check_deck(n_positions: int, k: int, gridsize: int) -> None:
    """Raise GroupingError when the (seed, combination) pairs are too many to be numbered."""
    largest = comb(k, gridsize**2 - 1) * n_positions
    if largest > LARGEST_SIZE:
        raise GroupingError(
            f"K = {k}: {largest:.1e} combinations at gridsize "
            f"{gridsize}; expected at most {LARGEST_SIZE:.1e}; lower K"
        )


def _check_hope(found, looked):
    """Raise GroupingError when a filter has rejected nearly everything for long."""
    if looked > _PATIENCE and found < _HOPELESS * looked:
        raise GroupingError(
            f"sampling: {found:,} of {looked:,} combinations keep the distance limits; "
            "expected more; loosen them or lower K"
        )


def owned(
    neighbourhood: Neighbourhood,
    seeds: Int[np.ndarray, " pair"],
    ranks: Int[np.ndarray, " pair"],
) -> Int32[np.ndarray, "group member"]:
    """Return the groups of these pairs without those another seed owns or a filter rejects."""
    groups = members_of(neighbourhood, seeds, ranks)
    kept = keeps_distances(neighbourhood, groups)
    groups, seeds = groups[kept], seeds[kept]
    owner = groups[np.arange(len(groups)), reach_all(neighbourhood, groups).argmax(axis=1)]
    return groups[owner == seeds]
