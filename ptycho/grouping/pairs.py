"""The numbered (seed, combination) pairs: their groups, and uniform samples of them.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows neighbours only.

A set of positions occurs once for each of its members that has all the others among its
neighbours; the first such member owns it. A pair is kept if its seed is the owner, so every set has
one chance, and no table of all groups is needed.
"""

from collections.abc import Callable
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Bool, Int, Int32

from ptycho.errors import GroupingError
from ptycho.grouping.neighbours import Neighbourhood
from ptycho.grouping.rule import GroupRule
from ptycho.grouping.shuffle import LARGEST_SIZE, Shuffle

_CELLS_AT_ONCE = 2**23
_LARGEST_TRIAL = 4_000_000  # pairs after which limits that reject nearly all are an error
_FEWEST_KEPT = 1e-4  # of the pairs tried


def draw_uniform(
    neighbourhood: Neighbourhood, n: int, seed: int
) -> Int32[np.ndarray, "group member"]:
    """Return n groups, every valid group equally likely, without replacement.

    All (seed, combination) pairs are visited in a keyed random order; a pair is kept if its seed
    owns the set, so each set has exactly one chance.
    """
    ends = np.cumsum(raw_counts_of(neighbourhood))

    def groups_of(pairs: Int[np.ndarray, " pair"]) -> Int32[np.ndarray, "group member"]:
        seeds = np.searchsorted(ends, pairs, side="right")
        return owned(neighbourhood, seeds, pairs - np.append(0, ends)[seeds])

    return sample_pairs(
        int(ends[-1]), groups_of, n=n, seed=seed, size=neighbourhood.group_size, k=neighbourhood.k
    )


def sample_pairs(
    n_pairs: int,
    groups_of: Callable[[Int[np.ndarray, " pair"]], Int32[np.ndarray, "group member"]],
    *,
    n: int,
    seed: int,
    size: int,
    k: int,
) -> Int32[np.ndarray, "group member"]:
    """Return the first n groups among (seed, combination) pairs in a keyed random order.

    Args:
        n_pairs: Pairs in all.
        groups_of: Returns the groups that numbered pairs own, in the same order.
        n: Groups wanted.
        seed: The key.
        size: Members of a group.
        k: Neighbours of a position; with `size` it bounds the memory of one step.

    Raises:
        GroupingError: If nearly every pair is rejected.
    """
    order = Shuffle(n_pairs, seed)
    largest_step = max(1, _CELLS_AT_ONCE // (size * max(1, k)))
    parts = [np.empty((0, size), np.int32)]
    found = tried = 0
    while found < n and tried < n_pairs:
        # The first guess: one pair in three is the owner's.
        share = found / tried if found else 1 / 3
        step = min(n_pairs - tried, largest_step, int(1.2 * (n - found) / share) + 64)
        pairs = order(np.arange(tried, tried + step, dtype=np.uint64)).astype(np.int64)
        groups = groups_of(pairs)
        parts.append(groups[: n - found])
        found, tried = found + len(parts[-1]), tried + step
        check_yield(found, tried)
    return np.concatenate(parts)


def members_of(
    neighbourhood: Neighbourhood,
    seeds: Int[np.ndarray, " group"],
    ranks: Int[np.ndarray, " group"],
) -> Int32[np.ndarray, "group member"]:
    """Return each seed with combination number `rank` of its neighbours, sorted.

    Combinations are numbered in colexicographic order, so that those of the nearest neighbours come
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
    if not neighbourhood.rule.filtered:
        return np.ones(len(groups), bool)
    left = np.arange(len(groups))  # most groups fail at one of the first pairs
    for first, second in combinations(range(groups.shape[1]), 2):
        left = left[neighbourhood.pair_fits(groups[left, first], groups[left, second])]
    kept = np.zeros(len(groups), bool)
    kept[left] = True
    return kept


def first_occurrences(
    groups: Int32[np.ndarray, "group member"],
) -> Int32[np.ndarray, "different member"]:
    """Return the rows without repetitions, in their order."""
    rows = np.ascontiguousarray(groups)
    whole = rows.view([("", rows.dtype)] * rows.shape[1])[:, 0]
    _, first = np.unique(whole, return_index=True)
    different: np.ndarray = rows[np.sort(first)]
    return different


def raw_counts_of(neighbourhood: Neighbourhood) -> Int[np.ndarray, " position"]:
    """Return the combinations per seed.

    Raises:
        GroupingError: If all together are too many to be numbered.
    """
    check_pairs(neighbourhood.n_positions, neighbourhood.rule)
    return neighbourhood.raw_counts()


def check_pairs(n_positions: int, rule: GroupRule) -> None:
    """Raise GroupingError if the (seed, combination) pairs are too many to be numbered."""
    largest = comb(rule.k, rule.group_size - 1) * n_positions
    if largest > LARGEST_SIZE:
        raise GroupingError(
            f"K = {rule.k}: {largest:.1e} combinations at gridsize {rule.gridsize}; expected at "
            f"most {LARGEST_SIZE:.1e}; lower K"
        )


def check_yield(found: int, tried: int) -> None:
    """Raise GroupingError if distance limits reject nearly all of many combinations."""
    if tried > _LARGEST_TRIAL and found < _FEWEST_KEPT * tried:
        raise GroupingError(
            f"sampling: {found:,} of {tried:,} combinations obey the distance limits; "
            "expected more; relax them or lower K"
        )


def owned(
    neighbourhood: Neighbourhood,
    seeds: Int[np.ndarray, " pair"],
    ranks: Int[np.ndarray, " pair"],
) -> Int32[np.ndarray, "group member"]:
    """Return the groups of these pairs that their seed owns and that obey the distance limits."""
    groups = members_of(neighbourhood, seeds, ranks)
    kept = keeps_distances(neighbourhood, groups)
    groups, seeds = groups[kept], seeds[kept]
    owner = groups[np.arange(len(groups)), reach_all(neighbourhood, groups).argmax(axis=1)]
    of_owner: np.ndarray = groups[owner == seeds]
    return of_owner
