"""The deck of (seed, combination) pairs: which groups they stand for, and uniform draws from it.

Way of the data: file -> RawData -> [groups] -> batches -> ... -> report.
Knows neighbours only.

A set of positions turns up once for each of its members that has all the others among its
neighbours; the first such member owns it. A pair counts when its seed is the owner, so every set
has one chance, and no table of all groups is needed.
"""

from collections.abc import Callable
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Bool, Int, Int32

from ptycho.errors import GroupingError
from ptycho.grouping.neighbours import Neighbourhood
from ptycho.grouping.shuffle import LARGEST_SIZE, Shuffle

_CELLS_AT_ONCE = 2**23
_PATIENCE = 4_000_000  # draws after which a filter that rejects nearly all is reported
_HOPELESS = 1e-4  # share of draws kept


def draw_uniform(
    neighbourhood: Neighbourhood, n: int, seed: int
) -> Int32[np.ndarray, "group member"]:
    """Return n groups, every valid group equally likely, without replacement.

    All (seed, combination) pairs are walked in a keyed random order; a pair is kept when its
    seed owns the set, so each set has exactly one chance.
    """
    ends = np.cumsum(raw_counts_of(neighbourhood))

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
        check_hope(found, looked)
    return np.concatenate(parts)


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


def raw_counts_of(neighbourhood: Neighbourhood) -> Int[np.ndarray, " position"]:
    """Return the combinations per seed.

    Raises:
        GroupingError: When all together are too many to be numbered.
    """
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


def check_hope(found: int, looked: int) -> None:
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
