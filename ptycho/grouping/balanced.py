"""Groups that use every position as evenly as possible.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

One round divides the scan into compact blocks of exactly C positions: a kd partition of the scan
rotated by a random angle, improved by exchanging members of neighbouring blocks. Blocks that are no
valid groups are repaired by further exchanges, the last few replaced by groups of the least used
neighbours. A nested order spreads every initial part of the list over the whole scan. If more
groups are wanted than one round has, the next round uses another angle.
"""

import numpy as np
from jaxtyping import Bool, Float, Int, Int32, Int64

from ptycho.grouping import compiled
from ptycho.grouping.exchange import (
    apply_swaps,
    compactness_gains,
    compatible,
    exchange,
    neighbouring_pairs,
)
from ptycho.grouping.neighbours import Neighbourhood
from ptycho.grouping.pairs import draw_uniform, first_occurrences, keeps_distances, reach_all

_REPAIR_ROUNDS = 120
_REPAIR_PATIENCE = 15  # rounds without a further valid block
_NOISE = 0.3  # of the mean gain; 0.05 to 3 tested on rasters, fly scans and random positions
_FEWEST_NEW = 0.5  # share of new groups below which no further round is tried


def draw_balanced(
    neighbourhood: Neighbourhood, n: int, seed: int
) -> Int32[np.ndarray, "group member"]:
    """Return n different valid groups that use the positions as evenly as possible.

    Once the rounds begin to repeat groups, the rest is sampled uniformly.
    """
    rng = np.random.default_rng(seed)
    uses = np.zeros(neighbourhood.n_positions, np.int64)
    groups = np.empty((0, neighbourhood.group_size), np.int32)
    while len(groups) < n:
        fresh = _one_round(neighbourhood, uses, rng)
        before = len(groups)
        groups = first_occurrences(np.concatenate([groups, fresh]))
        uses = np.bincount(groups.ravel(), minlength=len(uses))
        if len(groups) - before <= _FEWEST_NEW * len(fresh):
            break
    if len(groups) < n:
        rest = draw_uniform(neighbourhood, n, seed)
        groups = first_occurrences(np.concatenate([groups, rest]))
    return groups[:n]


def _one_round(
    neighbourhood: Neighbourhood, uses: Int64[np.ndarray, " position"], rng: np.random.Generator
) -> Int32[np.ndarray, "group member"]:
    """Return about M / C valid groups, each position in one of them where possible."""
    points = _rotated(neighbourhood, rng)
    blocks = _partition(points, neighbourhood.scan, uses, neighbourhood.group_size, rng)
    if neighbourhood.group_size > 1 and len(blocks):
        pairs = neighbouring_pairs(points, neighbourhood.scan, blocks)
        exchange(points, blocks, pairs)
        _repair(neighbourhood, points, blocks, pairs, rng)
        blocks = _replace_invalid(neighbourhood, blocks, uses)
    blocks = blocks[_spread_order(len(blocks), rng)]
    # Blocks that earlier rounds used less come first; in the first round nothing changes.
    blocks = blocks[np.argsort(uses[blocks].sum(axis=1), kind="stable")]
    return np.sort(blocks, axis=1)


def _rotated(
    neighbourhood: Neighbourhood, rng: np.random.Generator
) -> Float[np.ndarray, "position 2"]:
    """Return the positions about their mean, rotated by a random angle."""
    x, y = neighbourhood.x / neighbourhood.ratio, neighbourhood.y
    x, y = x - x.mean(), y - y.mean()
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    # Written out: a matrix product rounds differently from machine to machine.
    return np.stack([x * cos + y * sin, y * cos - x * sin], axis=1)


def _partition(
    points: Float[np.ndarray, "position 2"],
    scan: Int[np.ndarray, " position"],
    uses: Int64[np.ndarray, " position"],
    size: int,
    rng: np.random.Generator,
) -> Int32[np.ndarray, "block member"]:
    """Divide every scan into blocks of `size` positions, halving along the longer side.

    The M mod `size` positions left over are among the most used so far.
    """
    kept, counts = [], []
    for label in range(scan.max() + 1):
        members = np.flatnonzero(scan == label)
        counts.append(len(members) // size)
        by_use = np.lexsort((rng.random(len(members)), uses[members]))
        kept.append(members[by_use[: counts[-1] * size]])
    members = np.concatenate(kept).astype(np.int32)
    orders = [_by_scan(members, scan, points[:, axis]) for axis in (0, 1)]
    n_blocks = np.array([n for n in counts if n > 0], np.int64)
    if compiled.pays(len(points)):
        blocks = compiled.load().halve(points, *orders, n_blocks, size).reshape(-1, size)
    else:
        blocks = _halve(points, orders, n_blocks, size)
    return np.sort(blocks, axis=1)


def _by_scan(
    members: Int32[np.ndarray, " member"],
    scan: Int[np.ndarray, " position"],
    along: Float[np.ndarray, " position"],
) -> Int32[np.ndarray, " member"]:
    """Return the members scan by scan, each in the order of a coordinate, then of the index."""
    ordered: np.ndarray = members[np.lexsort((members, along[members], scan[members]))]
    return ordered


def _halve(
    points: Float[np.ndarray, "position 2"],
    orders: list[Int32[np.ndarray, " placed"]],
    n_blocks: Int[np.ndarray, " scan"],
    size: int,
) -> Int32[np.ndarray, "block member"]:
    """Halve parts along their longer side until each is one block.

    Ranks in the two orders stand for the coordinates, so that ties are resolved once.
    """
    places = np.empty((len(points), 2), np.int64)
    for axis, order in enumerate(orders):
        places[order, axis] = np.arange(len(order))
    order = orders[0]
    while (n_blocks > 1).any():
        starts = (np.cumsum(n_blocks) - n_blocks) * size
        here = points[order]
        extent = np.maximum.reduceat(here, starts) - np.minimum.reduceat(here, starts)
        part = np.repeat(np.arange(len(n_blocks)), n_blocks * size)
        along = places[order, extent.argmax(axis=1)[part]]
        order = order[np.argsort(part * len(points) + along)]
        halves = np.stack([n_blocks // 2, n_blocks - n_blocks // 2], axis=1).ravel()
        n_blocks = halves[halves > 0]
    return order.reshape(-1, size)


def _repair(
    neighbourhood: Neighbourhood,
    points: Float[np.ndarray, "position 2"],
    blocks: Int32[np.ndarray, "block member"],
    pairs: Int[np.ndarray, "pair 2"],
    rng: np.random.Generator,
) -> None:
    """Exchange members so that more blocks become valid groups; in place.

    Where no exchange helps at once, one that keeps the number of valid blocks moves the fault to
    another place, where it may meet another one or be resolved.
    """
    best, fewest, idle = blocks.copy(), len(blocks) + 1, 0
    valid = _is_valid(neighbourhood, blocks)
    after = np.empty((len(pairs), blocks.shape[1] ** 2), np.int8)
    stale = np.ones(len(pairs), bool)
    for _ in range(_REPAIR_ROUNDS):
        idle += 1
        if (~valid).sum() < fewest:
            best, fewest, idle = blocks.copy(), int((~valid).sum()), 0
        which = np.flatnonzero(~valid[pairs].all(axis=1))
        if not len(which) or idle > _REPAIR_PATIENCE:
            break
        unknown, concerned = which[stale[which]], pairs[which]
        after[unknown] = _valid_after_swaps(neighbourhood, blocks, pairs[unknown])
        stale[unknown] = False
        gained = after[which] - valid[concerned].sum(axis=1)[:, None]
        compact = compactness_gains(points, blocks, concerned)
        compact /= np.abs(compact).mean() + np.finfo(float).tiny
        neutral = compact + _NOISE * rng.exponential(size=gained.shape)
        score = np.where(
            gained > 0, 1e3 * gained + compact, np.where(gained == 0, neutral, -np.inf)
        )
        swap = score.argmax(axis=1)
        score = score[np.arange(len(swap)), swap]
        chosen = compatible(concerned, score, score > 0, len(blocks))
        if not chosen.size:
            break
        touched = apply_swaps(blocks, concerned[chosen], swap[chosen])
        stale |= touched[pairs].any(axis=1)
        changed = np.flatnonzero(touched)
        valid[changed] = _is_valid(neighbourhood, blocks[changed])
    blocks[:] = best


def _valid_after_swaps(
    neighbourhood: Neighbourhood,
    blocks: Int32[np.ndarray, "block member"],
    pairs: Int[np.ndarray, "pair 2"],
) -> Int[np.ndarray, "pair swap"]:
    """Return how many of the two blocks of a pair are valid after each swap of one member.

    Each member of the two blocks is one bit. A block is valid if one of its members reaches all of
    it, and all of them obey the distance limits.
    """
    size = blocks.shape[1]
    both = blocks[pairs].reshape(len(pairs), 2 * size)
    lists = np.ascontiguousarray(np.moveaxis(neighbourhood.neighbours[both], 2, 0))
    reach = _words(np.stack([(lists == m[:, None]).any(axis=0) for m in both.T], axis=2))
    swap = np.arange(size * size)
    first = 2**size - 1 - (1 << swap // size) + (1 << size + swap % size)
    second = 2 ** (2 * size) - 1 - first
    valid = np.zeros((2, len(pairs), len(swap)), bool)
    for member in range(2 * size):
        for found, block in zip(valid, (first, second), strict=True):
            inside = block >> member & 1 == 1
            found[:, inside] |= (block[inside] & ~reach[:, member, None]) == 0
    if neighbourhood.rule.filtered:
        fits = _words(neighbourhood.pair_fits(both[:, :, None], both[:, None, :]))
        for member in range(2 * size):
            for found, block in zip(valid, (first, second), strict=True):
                inside = block >> member & 1 == 1
                found[:, inside] &= (block[inside] & ~fits[:, member, None]) == 0
    n_valid: np.ndarray = valid.sum(axis=0)
    return n_valid


def _words(related: Bool[np.ndarray, "pair member other"]) -> Int[np.ndarray, "pair member"]:
    """Return one word per member: a bit for each related other, and one for itself."""
    n_members = related.shape[1]
    words: np.ndarray = (related | np.eye(n_members, dtype=bool)) @ (1 << np.arange(n_members))
    return words


def _is_valid(
    neighbourhood: Neighbourhood, groups: Int32[np.ndarray, "group member"]
) -> Bool[np.ndarray, " group"]:
    valid: np.ndarray = np.logical_and(
        reach_all(neighbourhood, groups).any(axis=1), keeps_distances(neighbourhood, groups)
    )
    return valid


def _replace_invalid(
    neighbourhood: Neighbourhood,
    blocks: Int32[np.ndarray, "block member"],
    uses: Int64[np.ndarray, " position"],
) -> Int32[np.ndarray, "valid member"]:
    """Return the valid blocks, and groups of the least used neighbours for the others."""
    valid = _is_valid(neighbourhood, blocks)
    uses = uses.copy()
    np.add.at(uses, blocks[valid].ravel(), 1)
    replaced = blocks.copy()
    for block in np.flatnonzero(~valid):
        group = _least_used_group(neighbourhood, blocks[block], uses)
        if group is not None:
            replaced[block], valid[block] = group, True
            uses[group] += 1
    kept: np.ndarray = replaced[valid]
    return kept


def _least_used_group(
    neighbourhood: Neighbourhood,
    seeds: Int32[np.ndarray, " member"],
    uses: Int64[np.ndarray, " position"],
) -> Int32[np.ndarray, " member"] | None:
    """Return the group of one of the seeds whose positions have been used least, or None."""
    best, fewest = None, np.inf
    rule = neighbourhood.rule
    for seed in seeds[np.argsort(uses[seeds], kind="stable")]:
        near = neighbourhood.neighbours[seed]
        near = near[near >= 0]
        members = [seed]
        for other in near[np.argsort(uses[near], kind="stable")]:
            if len(members) < rule.group_size and (
                not rule.filtered
                or neighbourhood.pair_fits(np.array(members), np.array(other)).all()
            ):
                members.append(other)
        if len(members) == rule.group_size and uses[members].sum() < fewest:
            best, fewest = np.array(members, np.int32), uses[members].sum()
    return best


def _spread_order(n_blocks: int, rng: np.random.Generator) -> Int[np.ndarray, " block"]:
    """Return an order of the blocks whose every initial part is spread over all of them.

    The blocks lie on a line in the order of the kd partition; a scrambled van der Corput
    sequence visits that line, stratified at every power of two.

    Source:
        Owen, Randomly permuted (t,m,s)-nets and (t,s)-sequences, Springer LNS 106 (1995).
    """
    bits = (2 * n_blocks).bit_length()
    places = np.zeros(2**bits, np.int64)
    for bit in range(bits):
        places |= (np.arange(2**bits) >> bit & 1) << bits - 1 - bit
    for level in range(bits):
        flips = rng.integers(0, 2, 2**level)
        places ^= flips[places >> bits - level] << bits - 1 - level
    _, first = np.unique(places * n_blocks >> bits, return_index=True)
    return np.argsort(first, kind="stable")[:n_blocks]
