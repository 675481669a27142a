"""All valid groups, listed and counted by the compiled loops.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks. `enumerate` uses it for large scans.
"""

from collections.abc import Callable
from itertools import combinations
from math import comb

import numpy as np
from jaxtyping import Int, Int32

from ptycho.grouping import compiled
from ptycho.grouping.neighbours import Neighbourhood

_LARGEST_TABLE = 200_000  # combinations of slots, a few MB


def table_of_groups(
    neighbourhood: Neighbourhood, *, threads: int | None = None
) -> tuple[Int32[np.ndarray, "group member"], bool]:
    """Return every valid group once, and whether the rows are in lexicographic order."""
    places, run, n_parts = _counted(neighbourhood, threads)
    n_positions, size = neighbourhood.n_positions, neighbourhood.group_size
    totals = places.sum(axis=0)
    starts = np.zeros(n_positions + 1, np.int64)
    np.cumsum(totals, out=starts[1:])
    offsets = starts[:-1] + np.cumsum(places, axis=0) - places
    groups = np.empty((int(starts[-1]), size), np.int32)
    compiled.in_threads(lambda p, a, b: run(offsets[p], a, b, groups), n_positions, threads=n_parts)
    bits = max(1, (n_positions - 1).bit_length())
    if bits * (size - 1) > 64:
        return groups, False
    kernels = compiled.load()
    compiled.in_threads(
        lambda _, a, b: kernels.sort_rows_of(groups, starts, a, b, bits),
        n_positions,
        threads=n_parts,
    )
    return groups, True


def number_of_groups(neighbourhood: Neighbourhood, *, threads: int | None = None) -> int:
    """Return the number of valid groups by testing every combination."""
    return int(_counted(neighbourhood, threads)[0].sum())


def can_list(neighbourhood: Neighbourhood) -> bool:
    """Return whether the combinations of slots are few enough to be tested one by one."""
    return (
        neighbourhood.group_size > 1
        and comb(neighbourhood.k, neighbourhood.group_size - 1) <= _LARGEST_TABLE
    )


def _counted(
    neighbourhood: Neighbourhood, threads: int | None
) -> tuple[Int[np.ndarray, "part position"], Callable[..., None], int]:
    """Return the groups per part and lowest member, the loop that writes them, and the parts."""
    kernels = compiled.load()
    slots = _combinations(neighbourhood.k, neighbourhood.group_size - 1)
    words = np.bitwise_or.reduce(np.uint64(1) << slots.astype(np.uint64), axis=1)
    picks = slots.shape[1]
    n_words = np.array([comb(k, picks) for k in range(neighbourhood.k + 1)], np.int64)
    rule = neighbourhood.rule
    largest = np.inf if rule.max_distance is None else rule.max_distance
    # Few combinations fit one word of kept ones per seed, which spares a second test when writing.
    n_kept = neighbourhood.n_positions if len(words) <= 64 else 0
    kept = np.zeros(n_kept, np.uint64)
    limits = (float(rule.min_distance), float(largest))

    def run(places: np.ndarray, first: int, last: int, out: np.ndarray) -> None:
        kernels.emit(
            neighbourhood.x, neighbourhood.y, neighbourhood.neighbours, limits,
            rule.filtered, words, slots, n_words, first, last, places, kept, out,
        )  # fmt: skip

    n_parts = threads or compiled.thread_count(neighbourhood.n_positions)
    places = np.zeros((n_parts, neighbourhood.n_positions), np.int64)
    nothing = np.empty((0, picks + 1), np.int32)
    compiled.in_threads(
        lambda p, a, b: run(places[p], a, b, nothing), neighbourhood.n_positions, threads=n_parts
    )
    return places, run, n_parts


def _combinations(k: int, picks: int) -> Int[np.ndarray, "combination pick"]:
    """Return the choices of `picks` of k slots, those of the first slots first."""
    rows = sorted(combinations(range(k), picks), key=lambda row: row[::-1])
    return np.array(rows, np.int64).reshape(-1, picks)
