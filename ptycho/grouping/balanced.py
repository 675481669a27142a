"""Groups that use every position as evenly as possible.

Way of the data: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.

One round parts the scan into compact blocks of exactly C positions: a kd partition of the scan
turned by a random angle, improved by exchanging members of neighbouring blocks. Blocks that are
no valid groups are mended by further exchanges, the last few re-made from the least used
neighbours. A nested order spreads every beginning of the list over the whole scan. When more
groups are wanted than one round has, the next round turns the scan anew.
"""

import functools

import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from ptycho.grouping import compiled
from ptycho.grouping.deck import draw_uniform, first_occurrences, keeps_distances, reach_all
from ptycho.grouping.neighbours import Neighbourhood, neighbours_by_scan

_NEIGHBOURING_BLOCKS = 8
_EXCHANGE_ROUNDS = 100
_MENDING_ROUNDS = 120
_MENDING_PATIENCE = 15  # rounds without one valid block more
_WANDERLUST = 0.3  # of the mean gain; tried 0.05 to 3 on rasters, fly scans and random positions
_WORTH_A_ROUND = 0.5  # share of new groups below which another round is not tried


def draw_balanced(
    neighbourhood: Neighbourhood, n: int, seed: int
) -> Int32[np.ndarray, "group member"]:
    """Return n different valid groups that use the positions as evenly as possible.

    Where the rounds begin to repeat themselves, the rest is drawn uniformly.
    """
    rng = np.random.default_rng(seed)
    uses = np.zeros(neighbourhood.n_positions, np.int64)
    groups = np.empty((0, neighbourhood.group_size), np.int32)
    while len(groups) < n:
        fresh = _one_round(neighbourhood, uses, rng)
        before = len(groups)
        groups = first_occurrences(np.concatenate([groups, fresh]))
        uses = np.bincount(groups.ravel(), minlength=len(uses))
        if len(groups) - before <= _WORTH_A_ROUND * len(fresh):
            break
    if len(groups) < n:
        rest = draw_uniform(neighbourhood, n, seed)
        groups = first_occurrences(np.concatenate([groups, rest]))
    return groups[:n]


def _one_round(neighbourhood, uses, rng):
    """Return about M / C valid groups, each position in one of them where possible."""
    points = _turned(neighbourhood, rng)
    blocks = _partition(points, neighbourhood.scan, uses, neighbourhood.group_size, rng)
    if neighbourhood.group_size > 1 and len(blocks):
        pairs = _neighbouring_pairs(points, neighbourhood.scan, blocks)
        _exchange(points, blocks, pairs)
        _mend(neighbourhood, points, blocks, pairs, rng)
        blocks = _remake(neighbourhood, blocks, uses)
    blocks = blocks[_spread_order(len(blocks), rng)]
    # What earlier rounds used less comes first; in the first round nothing changes.
    blocks = blocks[np.argsort(uses[blocks].sum(axis=1), kind="stable")]
    return np.sort(blocks, axis=1)


def _turned(neighbourhood, rng) -> Float[np.ndarray, "position 2"]:
    """Return the positions about their mean, turned by a random angle."""
    x, y = neighbourhood.x / neighbourhood.ratio, neighbourhood.y
    x, y = x - x.mean(), y - y.mean()
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    # Written out: a matrix product rounds differently from machine to machine.
    return np.stack([x * cos + y * sin, y * cos - x * sin], axis=1)


def _partition(points, scan, uses, size, rng) -> Int32[np.ndarray, "block member"]:
    """Part every scan into blocks of `size` positions, halving along the longer side.

    The M mod `size` positions left over are among the most used so far.
    """
    kept, n_blocks = [], []
    for label in range(scan.max() + 1):
        members = np.flatnonzero(scan == label)
        n_blocks.append(len(members) // size)
        by_use = np.lexsort((rng.random(len(members)), uses[members]))
        kept.append(members[by_use[: n_blocks[-1] * size]])
    members, n_blocks = np.concatenate(kept).astype(np.int32), np.array(n_blocks)
    orders = [_by_scan(members, scan, points[:, axis]) for axis in (0, 1)]
    n_blocks = n_blocks[n_blocks > 0]
    if compiled.pays(len(points)):
        blocks = compiled.load().halve(points, *orders, n_blocks, size).reshape(-1, size)
    else:
        blocks = _halve(points, orders, n_blocks, size)
    return np.sort(blocks, axis=1)


def _by_scan(members, scan, along):
    """Return the members scan by scan, each in the order of a coordinate, then of the index."""
    return members[np.lexsort((members, along[members], scan[members]))]


def _halve(points, orders, n_blocks, size) -> Int32[np.ndarray, "block member"]:
    """Halve parts along their longer side until each is one block.

    Places in the two orders stand for the coordinates, so that ties are settled once.
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


def _neighbouring_pairs(points, scan, blocks) -> Int[np.ndarray, "pair 2"]:
    """Return the pairs of blocks that lie next to each other, each once."""
    centre = points[blocks].mean(axis=1)
    near = neighbours_by_scan(*centre.T, scan[blocks[:, 0]], _NEIGHBOURING_BLOCKS)
    first, slot = np.nonzero(near >= 0)
    second = near[first, slot]
    # As one number each: far faster than rows, in the same order.
    numbers = np.minimum(first, second) * len(blocks) + np.maximum(first, second)
    return np.stack(np.divmod(np.unique(numbers), len(blocks)), axis=1)


def _exchange(points, blocks, pairs):
    """Exchange members of neighbouring blocks while the blocks grow more compact; in place."""
    scale = np.square(points).sum(axis=1).max()
    gain = np.full(len(pairs), -np.inf)
    swap = np.zeros(len(pairs), np.intp)
    stale = np.arange(len(pairs))
    for _ in range(_EXCHANGE_ROUNDS):
        swap[stale], gain[stale] = _best_swaps(points, blocks, pairs[stale])
        chosen = _compatible(pairs, gain, gain > 1e-12 * scale, len(blocks))
        if not chosen.size:
            break
        touched = _apply(blocks, pairs[chosen], swap[chosen])
        stale = np.flatnonzero(touched[pairs].any(axis=1))


def _mend(neighbourhood, points, blocks, pairs, rng):
    """Exchange members so that more blocks become valid groups; in place.

    Where no exchange helps at once, one that leaves the number of valid blocks as it is carries
    the fault to another place, where it may meet another one or find a way out.
    """
    best, fewest, idle = blocks.copy(), len(blocks) + 1, 0
    valid = _is_valid(neighbourhood, blocks)
    after = np.empty((len(pairs), blocks.shape[1] ** 2), np.int8)
    stale = np.ones(len(pairs), bool)
    for _ in range(_MENDING_ROUNDS):
        idle += 1
        if (~valid).sum() < fewest:
            best, fewest, idle = blocks.copy(), int((~valid).sum()), 0
        which = np.flatnonzero(~valid[pairs].all(axis=1))
        if not len(which) or idle > _MENDING_PATIENCE:
            break
        unknown, concerned = which[stale[which]], pairs[which]
        after[unknown] = _valid_after_swaps(neighbourhood, blocks, pairs[unknown])
        stale[unknown] = False
        gained = after[which] - valid[concerned].sum(axis=1)[:, None]
        compact = _compactness_gains(points, blocks, concerned)
        compact /= np.abs(compact).mean() + np.finfo(float).tiny
        wander = compact + _WANDERLUST * rng.exponential(size=gained.shape)
        score = np.where(gained > 0, 1e3 * gained + compact, np.where(gained == 0, wander, -np.inf))
        swap = score.argmax(axis=1)
        score = score[np.arange(len(swap)), swap]
        chosen = _compatible(concerned, score, score > 0, len(blocks))
        if not chosen.size:
            break
        touched = _apply(blocks, concerned[chosen], swap[chosen])
        stale |= touched[pairs].any(axis=1)
        changed = np.flatnonzero(touched)
        valid[changed] = _is_valid(neighbourhood, blocks[changed])
    blocks[:] = best


def _valid_after_swaps(neighbourhood, blocks, pairs) -> Int[np.ndarray, "pair swap"]:
    """Return how many of both blocks of a pair are valid after each swap of one member.

    Each member of the two blocks is one bit. A block is valid when one of its members reaches
    all of it, and all of them keep the distance limits.
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
    if neighbourhood.filtered:
        fits = _words(neighbourhood.pair_fits(both[:, :, None], both[:, None, :]))
        for member in range(2 * size):
            for found, block in zip(valid, (first, second), strict=True):
                inside = block >> member & 1 == 1
                found[:, inside] &= (block[inside] & ~fits[:, member, None]) == 0
    return valid.sum(axis=0)


def _words(related: Bool[np.ndarray, "pair member other"]) -> Int[np.ndarray, "pair member"]:
    """Return one word per member: a bit for each related other, and one for itself."""
    n_members = related.shape[1]
    return (related | np.eye(n_members, dtype=bool)) @ (1 << np.arange(n_members))


def _best_swaps(points, blocks, pairs):
    """Return the swap of each pair of blocks that gains most compactness, and how much."""
    if compiled.pays(len(points)):
        swap, gain = np.empty(len(pairs), np.intp), np.empty(len(pairs))
        kernel = compiled.load().best_swaps
        compiled.share_out(
            lambda _, a, b: kernel(points, blocks, pairs, a, b, swap, gain), len(pairs)
        )
        return swap, gain
    gains = _compactness_gains(points, blocks, pairs)
    return gains.argmax(axis=1), gains.max(axis=1)


def _compactness_gains(points, blocks, pairs) -> Float[np.ndarray, "pair swap"]:
    """Return by how much each swap lowers the squared distances to the block centres, times C/2.

    With S the sum of a block's positions, moving by d changes |S_a|^2 + |S_b|^2 by
    2 d.(S_a - S_b) + 2 |d|^2, and the sum of squared distances by minus that over C.
    """
    gains = 0.0
    for along in points.T:
        first, second = along[blocks[pairs[:, 0]]], along[blocks[pairs[:, 1]]]
        step = second[:, None, :] - first[:, :, None]
        # In this order on every machine; the compiled loop adds in the same.
        gap = functools.reduce(np.add, first.T) - functools.reduce(np.add, second.T)
        gains = gains + step * (step + gap[:, None, None])
    return gains.reshape(len(pairs), blocks.shape[1] ** 2)


def _compatible(pairs, gain, allowed, n_blocks):
    """Return pairs to swap at once: each the best of both its blocks, no block twice."""
    candidates = np.flatnonzero(allowed)
    rank = np.empty(len(candidates), np.int64)
    rank[np.argsort(-gain[candidates], kind="stable")] = np.arange(len(candidates))
    best = np.full(n_blocks, len(candidates))
    np.minimum.at(best, pairs[candidates, 0], rank)
    np.minimum.at(best, pairs[candidates, 1], rank)
    return candidates[(best[pairs[candidates]] == rank[:, None]).all(axis=1)]


def _apply(blocks, pairs, swaps):
    """Carry out one swap per pair; return which blocks changed."""
    size = blocks.shape[1]
    (a, b), i, j = pairs.T, swaps // size, swaps % size
    blocks[a, i], blocks[b, j] = blocks[b, j], blocks[a, i]
    touched = np.zeros(len(blocks), bool)
    touched[pairs] = True
    return touched


def _is_valid(neighbourhood, groups):
    valid = reach_all(neighbourhood, groups).any(axis=1)
    return valid & keeps_distances(neighbourhood, groups)


def _remake(neighbourhood, blocks, uses) -> Int32[np.ndarray, "block member"]:
    """Make the blocks that are still no groups anew, from the least used neighbours."""
    valid = _is_valid(neighbourhood, blocks)
    uses = uses.copy()
    np.add.at(uses, blocks[valid].ravel(), 1)
    remade = blocks.copy()
    for block in np.flatnonzero(~valid):
        group = _least_used_group(neighbourhood, blocks[block], uses)
        if group is not None:
            remade[block], valid[block] = group, True
            uses[group] += 1
    return remade[valid]


def _least_used_group(neighbourhood, seeds, uses):
    """Return the group of one of the seeds whose positions have been used least, or None."""
    best, fewest = None, np.inf
    for seed in seeds[np.argsort(uses[seeds], kind="stable")]:
        near = neighbourhood.neighbours[seed]
        near = near[near >= 0]
        members = [seed]
        for other in near[np.argsort(uses[near], kind="stable")]:
            if len(members) < neighbourhood.group_size and (
                not neighbourhood.filtered
                or neighbourhood.pair_fits(np.array(members), np.array(other)).all()
            ):
                members.append(other)
        if len(members) == neighbourhood.group_size and uses[members].sum() < fewest:
            best, fewest = np.array(members, np.int32), uses[members].sum()
    return best


def _spread_order(n_blocks, rng) -> Int[np.ndarray, " block"]:
    """Return an order of the blocks whose every beginning is spread over all of them.

    The blocks lie on a line in the order of the kd partition; a scrambled van der Corput
    sequence walks that line, stratified at every power of two.

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
