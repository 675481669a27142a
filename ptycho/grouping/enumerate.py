"""All valid groups of a scan: every one once, and how many there are.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

A valid group is a seed s with C-1 of its K nearest neighbours. Several seeds may reach the same
set; the lowest index that reaches it *owns* it, and only the owner emits it. Each seed decides
independently what it emits, from one K-bit word per lower neighbour, without a hash set.
"""

from collections.abc import Iterator
from itertools import chain, combinations
from math import comb
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Int8, Int32, Shaped, UInt

from ptycho.errors import GroupingError
from ptycho.grouping import compiled, compiled_table
from ptycho.grouping.neighbours import Neighbourhood, find_neighbourhood
from ptycho.grouping.rule import GroupRule

DEFAULT_MAX_BYTES = 2**30
_STATES_AT_ONCE = 2**20
_CELLS_AT_ONCE = 2**23  # (seed, combination) pairs per pass; keeps a pass in a few tens of MB


def all_groups(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    rule: GroupRule,
    *,
    scan_index: Shaped[np.ndarray, "..."] | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> Int32[np.ndarray, "group member"]:
    """Return every valid group once; members sorted, rows in lexicographic order.

    Args:
        x: Column of each position, pixels.
        y: Row of each position, pixels.
        rule: What makes a group valid.
        scan_index: Scan number of each position; groups never mix scans.
        max_bytes: Largest table to build.

    Raises:
        GroupingError: If the table would be larger than `max_bytes`, with the exact count; and see
            `find_neighbourhood`.
    """
    found = find_neighbourhood(x, y, rule, scan_index=scan_index)
    return tabulate(found, max_bytes=max_bytes)


def count_groups(
    x: Shaped[np.ndarray, "..."],
    y: Shaped[np.ndarray, "..."],
    rule: GroupRule,
    *,
    scan_index: Shaped[np.ndarray, "..."] | None = None,
) -> int:
    """Return the exact number of valid groups; arguments and errors as for `all_groups`."""
    return count(find_neighbourhood(x, y, rule, scan_index=scan_index))


def sample_rows(
    indices: Int[np.ndarray, "row choice"], n: int, m: int, rng: np.random.Generator
) -> Int[np.ndarray, "row draw n"]:
    """Choose n different entries of every row at random, m times.

    The historic way to form groups, kept for comparison: choices of one row may be equal.

    Args:
        indices: Entries to choose from, one row per seed.
        n: Entries of one choice.
        m: Choices per row.
        rng: Source of randomness.

    Raises:
        GroupingError: If a row has fewer than n entries.
    """
    indices = np.asarray(indices)
    if not 0 <= n <= indices.shape[1]:
        raise GroupingError(
            f"sample_rows: n = {n}; expected 0 to {indices.shape[1]}, a row's length"
        )
    order = rng.random((len(indices), m, indices.shape[1])).argsort(axis=-1)[..., :n]
    chosen: np.ndarray = np.take_along_axis(indices[:, None, :], order, axis=-1)
    return chosen


def tabulate(
    neighbourhood: Neighbourhood, *, max_bytes: int = DEFAULT_MAX_BYTES
) -> Int32[np.ndarray, "group member"]:
    """Return the table of `all_groups` for neighbours already found."""
    row_bytes = 4 * neighbourhood.group_size
    if int(neighbourhood.raw_counts().sum()) * row_bytes > max_bytes:
        total = count(neighbourhood)
        if total * row_bytes > max_bytes:
            raise GroupingError(
                f"all groups: {total:,} of them need {total * row_bytes / 1e6:,.0f} MB; expected "
                f"at most {max_bytes / 1e6:,.0f} MB; sample groups instead or lower K"
            )
    size = neighbourhood.group_size
    if compiled.pays(neighbourhood.n_positions) and compiled_table.can_list(neighbourhood):
        groups, in_order = compiled_table.table_of_groups(neighbourhood)
        return groups if in_order else _sorted_rows(groups, neighbourhood.n_positions)
    parts = [np.empty((0, size), np.int32)]
    for seeds, chosen, emitted in _emissions(neighbourhood):
        row, combination = np.nonzero(emitted)
        members = np.empty((len(row), size), np.int32)
        members[:, 0] = seeds[row]
        members[:, 1:] = neighbourhood.neighbours[seeds[row, None], chosen[combination]]
        members.sort(axis=1)
        parts.append(members)
    return _sorted_rows(np.concatenate(parts), neighbourhood.n_positions)


def count(neighbourhood: Neighbourhood) -> int:
    """Return the exact number of valid groups, without a table.

    Without distance limits, the sets that another seed owns are subtracted by inclusion and
    exclusion over the lower neighbours; with limits every combination is tested.
    """
    if compiled.pays(neighbourhood.n_positions) and compiled_table.can_list(neighbourhood):
        return compiled_table.number_of_groups(neighbourhood)
    if neighbourhood.rule.filtered:
        return sum(int(emitted.sum()) for _, _, emitted in _emissions(neighbourhood))
    picks = neighbourhood.group_size - 1
    parts = _seeds_by_degree(neighbourhood, per_seed=neighbourhood.k**3)
    return sum(
        _count_emitted(_reach_of_lower(neighbourhood, seeds, k), picks) for seeds, k in parts
    )


def _emissions(
    neighbourhood: Neighbourhood,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (seeds (s,), combinations (c, C-1) of neighbour slots, emitted (s, c)) in parts."""
    picks = neighbourhood.group_size - 1
    for seeds, k in _seeds_by_degree(neighbourhood):
        chosen = _combinations(k, picks)
        bits = _single_bits(k)
        words = np.zeros(len(chosen), bits.dtype)
        for column in chosen.T:
            words |= bits[column]
        forbidden = _reach_of_lower(neighbourhood, seeds, k)
        emitted = np.ones((len(seeds), len(chosen)), bool)
        for slot in range(k):
            affected = np.flatnonzero(words & bits[slot])
            emitted[:, affected] &= (words[affected] & ~forbidden[:, slot, None]) != 0
        if neighbourhood.rule.filtered:
            seed_fits, slot_fits = _fits(neighbourhood, seeds, k)
            emitted &= (words & ~seed_fits[:, None]) == 0
            for slot in range(k):
                affected = np.flatnonzero(words & bits[slot])
                emitted[:, affected] &= (words[affected] & ~slot_fits[:, slot, None]) == 0
        yield seeds, chosen, emitted


def _combinations(k: int, picks: int) -> Int8[np.ndarray, "combination pick"]:
    """Return all choices of `picks` of the slots 0 ... k-1, one per row."""
    n_rows = comb(k, picks)
    flat = chain.from_iterable(combinations(range(k), picks))
    return np.fromiter(flat, np.int8, n_rows * picks).reshape(n_rows, picks)


def _seeds_by_degree(
    neighbourhood: Neighbourhood, per_seed: int | None = None
) -> Iterator[tuple[np.ndarray, int]]:
    """Yield (seeds, k): seeds with k usable neighbours, in parts of bounded memory."""
    usable = (neighbourhood.neighbours >= 0).sum(axis=1)
    picks = neighbourhood.group_size - 1
    for k in np.unique(usable[usable >= picks]):
        seeds = np.flatnonzero(usable == k)
        cells = len(seeds) * (per_seed or max(comb(int(k), picks), int(k) ** 3))
        for part in np.array_split(seeds, -(-cells // _CELLS_AT_ONCE)):
            if part.size:
                yield part, int(k)


def _reach_of_lower(
    neighbourhood: Neighbourhood, seeds: Int[np.ndarray, " seed"], k: int
) -> UInt[np.ndarray, "seed slot"]:
    """Return one word per slot: which slots its position reaches, itself included.

    Zero unless the position has a lower index than the seed and has the seed as a neighbour:
    only such a position can own a set of this seed.
    """
    lists = neighbourhood.neighbours
    near = lists[seeds, :k]
    row, slot = np.nonzero(near < seeds[:, None])
    mutual = (lists[near[row, slot]] == seeds[row, None]).any(axis=1)
    row, slot = row[mutual], slot[mutual]
    theirs = lists[near[row, slot]]
    inside = np.zeros((len(row), k), bool)
    for column in range(lists.shape[1]):
        inside |= near[row] == theirs[:, column, None]
    inside[np.arange(len(row)), slot] = True
    words = _pack(inside)
    reach = np.zeros((len(seeds), k), words.dtype)
    reach[row, slot] = words
    return reach


def _count_emitted(reach: UInt[np.ndarray, "seed slot"], picks: int) -> int:
    """Return how many combinations of `picks` slots the seeds of these words emit.

    Starting from all combinations, each slot removes those that contain it and lie within its
    reach. A state stands for the combinations that contain the slots `required` and others of
    `allowed`: f(allowed, required) minus f(allowed & reach, required + slot), and just
    f(allowed - slot, required) where all that is allowed lies within reach.
    """
    k = reach.shape[1]
    bits = _single_bits(k)
    row = np.arange(len(reach))
    allowed = np.full(len(reach), np.bitwise_or.reduce(bits), bits.dtype)
    start = _States(row, allowed, np.zeros_like(allowed), np.ones(len(reach), np.int64))
    stack, total = [(0, start)], 0
    while stack:
        slot, states = stack.pop()
        if slot == k:
            total += _count_combinations(states, k, picks)
        elif len(states.row) > _STATES_AT_ONCE:
            halves = zip(*(np.array_split(part, 2) for part in states), strict=True)
            stack += [(slot, _States(*half)) for half in halves]
        else:
            stack.append((slot + 1, _without_reach_of(slot, reach, picks, states)))
    return total


class _States(NamedTuple):
    """Sets of combinations of a seed's slots, each counted with a sign."""

    row: np.ndarray
    """(state,) seed, as its row in the table of reaches."""

    allowed: np.ndarray
    """(state,) word of the slots that may occur."""

    required: np.ndarray
    """(state,) word of the slots that must occur."""

    sign: np.ndarray
    """(state,) +1 or -1."""


def _without_reach_of(
    slot: int, reach: UInt[np.ndarray, "seed slot"], picks: int, states: _States
) -> _States:
    """Return the states without the combinations within reach of this slot."""
    row, allowed, required, sign = states
    bit, here = _single_bits(reach.shape[1])[slot], reach[row, slot]
    concerned = (here != 0) & (allowed & bit != 0) & (required & ~here == 0)
    within = concerned & (allowed & ~here == 0)
    allowed = np.where(within, allowed & ~bit, allowed)
    split = np.flatnonzero(concerned & ~within)
    row, sign = np.append(row, row[split]), np.append(sign, -sign[split])
    required = np.append(required, required[split] | bit)
    allowed = np.append(allowed, allowed[split] & here[split])
    alive = (np.bitwise_count(allowed) >= picks) & (np.bitwise_count(required) <= picks)
    alive &= required & ~allowed == 0
    return _States(row[alive], allowed[alive], required[alive], sign[alive])


def _count_combinations(states: _States, k: int, picks: int) -> int:
    """Return the signed number of combinations that these states stand for."""
    _, allowed, required, sign = states
    table = np.array([[comb(n, r) for r in range(picks + 1)] for n in range(k + 1)], np.int64)
    n_required = np.bitwise_count(required).astype(np.intp)
    n_free = np.bitwise_count(allowed).astype(np.intp) - n_required
    return int((sign * table[n_free, picks - n_required]).sum())


def _fits(
    neighbourhood: Neighbourhood, seeds: Int[np.ndarray, " seed"], k: int
) -> tuple[UInt[np.ndarray, " seed"], UInt[np.ndarray, "seed slot"]]:
    """Return which slots obey the distance limits with the seed and with each slot, as words."""
    members = np.concatenate([seeds[:, None], neighbourhood.neighbours[seeds, :k]], axis=1)
    fits = neighbourhood.pair_fits(members[:, :, None], members[:, None, :])
    fits |= np.eye(k + 1, dtype=bool)
    words = _pack(fits[:, :, 1:])
    return words[:, 0], words[:, 1:]


def _single_bits(k: int) -> UInt[np.ndarray, " slot"]:
    """Return the words 1, 2, 4, ... in the narrowest unsigned type of at least k bits."""
    return _pack(np.eye(k, dtype=bool))


def _pack(bits: Bool[np.ndarray, "*row bit"]) -> UInt[np.ndarray, "*row"]:
    """Return each row of bits as one unsigned word, as narrow as possible."""
    n_bits = bits.shape[-1]
    word = np.min_scalar_type(2 ** max(n_bits, 1) - 1)
    packed = np.packbits(bits, axis=-1, bitorder="little")
    padded = np.zeros((*bits.shape[:-1], word.itemsize), np.uint8)
    padded[..., : packed.shape[-1]] = packed
    words: np.ndarray = padded.view(word.newbyteorder("<")).astype(word)[..., 0]
    return words


def _sorted_rows(
    rows: Int32[np.ndarray, "group member"], n_positions: int
) -> Int32[np.ndarray, "group member"]:
    """Return the rows in lexicographic order, comparing as many members as fit one word."""
    bits = max(1, (n_positions - 1).bit_length())
    per_word = 64 // bits
    keys = []
    for start in range(0, rows.shape[1], per_word):
        word = np.zeros(len(rows), np.uint64)
        for column in rows[:, start : start + per_word].T:
            word = word << np.uint64(bits) | column.astype(np.uint64)
        keys.append(word)
    order = np.argsort(keys[0]) if len(keys) == 1 else np.lexsort(keys[::-1])
    return rows[order]
