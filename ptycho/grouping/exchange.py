"""Blocks of positions made compact by exchanging members of neighbouring blocks.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks. Serves `balanced`.
"""

import functools

import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from ptycho.grouping import compiled
from ptycho.grouping.neighbours import neighbours_by_scan

_NEIGHBOURING_BLOCKS = 8
_EXCHANGE_ROUNDS = 100


def neighbouring_pairs(
    points: Float[np.ndarray, "position 2"],
    scan: Int[np.ndarray, " position"],
    blocks: Int32[np.ndarray, "block member"],
) -> Int[np.ndarray, "pair 2"]:
    """Return the pairs of adjacent blocks, each once."""
    x, y = points[blocks].mean(axis=1).T
    near = neighbours_by_scan(x, y, scan[blocks[:, 0]], _NEIGHBOURING_BLOCKS)
    first, slot = np.nonzero(near >= 0)
    second = near[first, slot]
    # As one number each: much faster than rows, in the same order.
    numbers = np.minimum(first, second) * len(blocks) + np.maximum(first, second)
    return np.stack(np.divmod(np.unique(numbers), len(blocks)), axis=1)


def exchange(
    points: Float[np.ndarray, "position 2"],
    blocks: Int32[np.ndarray, "block member"],
    pairs: Int[np.ndarray, "pair 2"],
) -> None:
    """Exchange members of neighbouring blocks while the blocks become more compact; in place."""
    scale = np.square(points).sum(axis=1).max()
    gain = np.full(len(pairs), -np.inf)
    swap = np.zeros(len(pairs), np.intp)
    stale = np.arange(len(pairs))
    for _ in range(_EXCHANGE_ROUNDS):
        swap[stale], gain[stale] = _best_swaps(points, blocks, pairs[stale])
        chosen = compatible(pairs, gain, gain > 1e-12 * scale, len(blocks))
        if not chosen.size:
            break
        touched = apply_swaps(blocks, pairs[chosen], swap[chosen])
        stale = np.flatnonzero(touched[pairs].any(axis=1))


def _best_swaps(
    points: Float[np.ndarray, "position 2"],
    blocks: Int32[np.ndarray, "block member"],
    pairs: Int[np.ndarray, "pair 2"],
) -> tuple[Int[np.ndarray, " pair"], Float[np.ndarray, " pair"]]:
    """Return the swap of each pair of blocks that gains most compactness, and the gain."""
    if compiled.pays(len(points)):
        swap, gain = np.empty(len(pairs), np.intp), np.empty(len(pairs))
        kernel = compiled.load().best_swaps
        compiled.in_threads(
            lambda _, a, b: kernel(points, blocks, pairs, a, b, swap, gain), len(pairs)
        )
        return swap, gain
    gains = compactness_gains(points, blocks, pairs)
    return gains.argmax(axis=1), gains.max(axis=1)


def compactness_gains(
    points: Float[np.ndarray, "position 2"],
    blocks: Int32[np.ndarray, "block member"],
    pairs: Int[np.ndarray, "pair 2"],
) -> Float[np.ndarray, "pair swap"]:
    """Return by how much each swap lowers the squared distances to the block centres, times C/2.

    With S the sum of a block's positions, moving by d changes |S_a|^2 + |S_b|^2 by
    2 d.(S_a - S_b) + 2 |d|^2, and the sum of squared distances by minus that over C.
    """
    size = blocks.shape[1]
    gains = np.zeros((len(pairs), size, size))
    for along in points.T:
        first, second = along[blocks[pairs[:, 0]]], along[blocks[pairs[:, 1]]]
        step = second[:, None, :] - first[:, :, None]
        # In this order on every machine and in the compiled loop.
        gap = functools.reduce(np.add, first.T) - functools.reduce(np.add, second.T)
        gains += step * (step + gap[:, None, None])
    return gains.reshape(len(pairs), size**2)


def compatible(
    pairs: Int[np.ndarray, "pair 2"],
    gain: Float[np.ndarray, " pair"],
    allowed: Bool[np.ndarray, " pair"],
    n_blocks: int,
) -> Int[np.ndarray, " chosen"]:
    """Return pairs to swap at once: each the best of both its blocks, no block twice."""
    candidates = np.flatnonzero(allowed)
    rank = np.empty(len(candidates), np.int64)
    rank[np.argsort(-gain[candidates], kind="stable")] = np.arange(len(candidates))
    best = np.full(n_blocks, len(candidates))
    np.minimum.at(best, pairs[candidates, 0], rank)
    np.minimum.at(best, pairs[candidates, 1], rank)
    chosen: np.ndarray = candidates[(best[pairs[candidates]] == rank[:, None]).all(axis=1)]
    return chosen


def apply_swaps(
    blocks: Int32[np.ndarray, "block member"],
    pairs: Int[np.ndarray, "pair 2"],
    swaps: Int[np.ndarray, " pair"],
) -> Bool[np.ndarray, " block"]:
    """Carry out one swap per pair; return which blocks changed."""
    size = blocks.shape[1]
    (a, b), i, j = pairs.T, swaps // size, swaps % size
    blocks[a, i], blocks[b, j] = blocks[b, j], blocks[a, i]
    touched = np.zeros(len(blocks), bool)
    touched[pairs] = True
    return touched
