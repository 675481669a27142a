"""Loops over positions compiled by Numba: nearest neighbours and the listing of groups.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Imported by `compiled` only, and only for large scans: importing takes longer than a small scan.

Every loop returns what its NumPy counterpart does, bit for bit: distances are dx*dx + dy*dy in
float64 and never fused, ties go to the lower index. The loops release the interpreter lock, so that
threads can share one call; no thread writes where another one does. `no_type_check` keeps the
checks that tests put around functions out of what Numba compiles.
"""

from typing import no_type_check

import numpy as np

from ptycho.compiling import kept

_SHORT = 80  # keys that are sorted fastest by insertion
_SAFETY = 1e-9  # of a cell; above the rounding of cell coordinates


_compiled = kept(nogil=True, error_model="numpy")


@_compiled
@no_type_check
def sort_by_cell(cells, n_cells):
    """Return where each cell starts, and the positions in the order of their cells."""
    starts = np.zeros(n_cells + 1, np.int64)
    for i in range(len(cells)):
        starts[cells[i] + 1] += 1
    for c in range(n_cells):
        starts[c + 1] += starts[c]
    free = starts[:-1].copy()
    order = np.empty(len(cells), np.int32)
    for i in range(len(cells)):  # in index order, so that ties inside a cell are in order already
        order[free[cells[i]]] = i
        free[cells[i]] += 1
    return starts, order


@_compiled
@no_type_check
def nearest_by_cell(x, y, order, starts, shape, corner, side, first, last, out):
    """Write the nearest of positions order[first:last], by (d2, index), into rows of `out`.

    x and y are in the order of the cells, as `order` is; shape is (rows, columns) of cells,
    corner the (x, y) of their lower corner, side their length, pixels. Square rings of cells are
    searched until nothing outside can be as near as the last one kept.
    """
    n_rows, n_cols = shape
    k = out.shape[1]
    best = np.empty(k, np.float64)
    who = np.empty(k, np.int32)
    for i in range(first, last):
        u, v = (x[i] - corner[0]) / side, (y[i] - corner[1]) / side
        col, row = min(int(u), n_cols - 1), min(int(v), n_rows - 1)
        inset = min(min(u - col, col + 1 - u), min(v - row, row + 1 - v)) - _SAFETY
        found, ring = 0, 1
        while True:
            for r in range(max(row - ring, 0), min(row + ring, n_rows - 1) + 1):
                left, right = max(col - ring, 0), min(col + ring, n_cols - 1)
                # Beyond the first block of 3 x 3, only the border of the square is new.
                whole = ring == 1 or r == row - ring or r == row + ring
                for part in range(1 if whole else 2):
                    if whole:
                        a, b = starts[r * n_cols + left], starts[r * n_cols + right + 1]
                    elif part == 0:
                        if col - ring < 0:
                            continue
                        a, b = starts[r * n_cols + left], starts[r * n_cols + left + 1]
                    else:
                        if col + ring > n_cols - 1:
                            continue
                        a, b = starts[r * n_cols + right], starts[r * n_cols + right + 1]
                    for j in range(a, b):
                        if j == i:
                            continue
                        dx, dy = x[j] - x[i], y[j] - y[i]
                        d2 = dx * dx + dy * dy
                        index = order[j]
                        if found == k and (
                            d2 > best[k - 1] or (d2 == best[k - 1] and index > who[k - 1])
                        ):
                            continue
                        place = found if found < k else k - 1
                        while place > 0 and (
                            best[place - 1] > d2
                            or (best[place - 1] == d2 and who[place - 1] > index)
                        ):
                            best[place], who[place] = best[place - 1], who[place - 1]
                            place -= 1
                        best[place], who[place] = d2, index
                        found = min(found + 1, k)
            reach = (ring + inset) * side
            if found == k and best[k - 1] < reach * reach * (1 - _SAFETY):
                break
            if ring > n_rows and ring > n_cols:
                break
            ring += 1
        out[order[i], :] = who


@_compiled
@no_type_check
def _mutual_reach(lists, seed, k, reach):
    """Write one word per slot: which slots its position reaches; 0 unless it may own a set."""
    width = lists.shape[1]
    for slot in range(k):
        reach[slot] = 0
        lower = lists[seed, slot]
        if lower > seed:
            continue
        mutual = False
        word = np.uint64(1) << np.uint64(slot)
        for other in range(width):
            theirs = lists[lower, other]
            if theirs == seed:
                mutual = True
            for own in range(k):
                if lists[seed, own] == theirs:
                    word |= np.uint64(1) << np.uint64(own)
        if mutual:
            reach[slot] = word


@_compiled
@no_type_check
def _fitting(x, y, smallest, largest, first, second):
    """Return whether two positions obey the distance limits."""
    dx, dy = x[first] - x[second], y[first] - y[second]
    distance = np.sqrt(dx * dx + dy * dy)
    return smallest <= distance and distance <= largest


@_compiled
@no_type_check
def _within_limits(x, y, lists, limits, seed, k, fits):
    """Write which slots obey the distance limits with each slot, and last with the seed."""
    for a in range(k + 1):
        word = np.uint64(0)
        one = seed if a == k else lists[seed, a]
        for b in range(k):
            if a == b or _fitting(x, y, limits[0], limits[1], one, lists[seed, b]):
                word |= np.uint64(1) << np.uint64(b)
        fits[a] = word


@_compiled
@no_type_check
def emit(x, y, lists, limits, filtered, words, slots, n_words, first, last, places, memory, out):
    """Count the groups that seeds first ... last own, by lowest member, or write them.

    `words` has one bit per slot of a combination, `slots` its slots, in an order in which those of
    k slots are the first n_words[k]. Without `out` (no rows), places[lowest member] grows by one
    per group; with it, places holds where the next group of that member goes. `memory`, where it
    has rows, receives one bit per combination kept when counting, and replaces the test when
    writing.
    """
    picks = slots.shape[1]
    reach = np.empty(lists.shape[1], np.uint64)
    fits = np.empty(lists.shape[1] + 1, np.uint64)
    lowers = np.empty(lists.shape[1], np.int64)
    zero = np.uint64(0)
    for seed in range(first, last):
        k = 0
        while k < lists.shape[1] and lists[seed, k] >= 0:
            k += 1
        if k < picks:
            continue
        known = len(memory) > 0 and len(out) > 0
        n_lower = 0
        if not known:
            _mutual_reach(lists, seed, k, reach)
            for slot in range(k):
                if reach[slot] != zero:
                    lowers[n_lower] = slot
                    n_lower += 1
        if filtered and not known:
            _within_limits(x, y, lists, limits, seed, k, fits)
        for c in range(n_words[k]):
            word = words[c]
            kept = not known or (memory[seed] >> np.uint64(c)) & np.uint64(1) != zero
            for i in range(n_lower):
                slot = lowers[i]
                if (word >> np.uint64(slot)) & np.uint64(1) and word & ~reach[slot] == zero:
                    kept = False
                    break
            if kept and filtered and not known:
                kept = word & ~fits[k] == zero
                for pick in range(picks):
                    kept = kept and word & ~fits[slots[c, pick]] == zero
            if not kept:
                continue
            if len(memory) and not known:
                memory[seed] |= np.uint64(1) << np.uint64(c)
            lowest = seed
            for pick in range(picks):
                lowest = min(lowest, lists[seed, slots[c, pick]])
            row = places[lowest]
            places[lowest] += 1
            if len(out):
                out[row, 0] = seed
                for pick in range(picks):
                    member = lists[seed, slots[c, pick]]
                    place = pick + 1
                    while place > 0 and out[row, place - 1] > member:
                        out[row, place] = out[row, place - 1]
                        place -= 1
                    out[row, place] = member


@_compiled
@no_type_check
def sort_rows_of(out, starts, first, last, bits):
    """Sort the groups of lowest members first ... last; their other members fit one word."""
    size = out.shape[1]
    keys = np.empty(_SHORT, np.uint64)
    mask = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    for member in range(first, last):
        a, b = starts[member], starts[member + 1]
        if b - a < 2:
            continue
        if b - a > len(keys):
            keys = np.empty(2 * (b - a), np.uint64)
        short = b - a <= _SHORT
        for i in range(b - a):
            key = np.uint64(0)
            for j in range(1, size):
                key = (key << np.uint64(bits)) | np.uint64(out[a + i, j])
            place = i
            while short and place > 0 and keys[place - 1] > key:
                keys[place] = keys[place - 1]
                place -= 1
            keys[place] = key
        if not short:
            keys[: b - a].sort()
        for i in range(b - a):
            key = keys[i]
            for j in range(size - 1, 0, -1):
                out[a + i, j] = key & mask
                key >>= np.uint64(bits)


@_compiled
@no_type_check
def halve(points, by_x, by_y, n_blocks, size):
    """Divide positions into blocks, halving along the longer side until each part is one block.

    by_x and by_y hold the same positions part by part, in the order of each coordinate. A part is
    cut in one of them, and the other is divided without a change of order; nothing is sorted.
    """
    n = len(by_x)
    orders = np.empty((2, n), np.int32)
    orders[0], orders[1] = by_x, by_y
    aside = np.empty(n, np.int32)
    right = np.zeros(len(points), np.bool_)
    stack_start, stack_blocks = np.empty(128, np.int64), np.empty(128, np.int64)
    first = 0
    for part in range(len(n_blocks)):
        stack_start[0], stack_blocks[0], height = first, n_blocks[part], 1
        first += n_blocks[part] * size
        while height:
            height -= 1
            start, blocks = stack_start[height], stack_blocks[height]
            if blocks == 1:
                continue
            end, middle = start + blocks * size, start + (blocks // 2) * size
            width = points[orders[0, end - 1], 0] - points[orders[0, start], 0]
            length = points[orders[1, end - 1], 1] - points[orders[1, start], 1]
            cut = 1 if length > width else 0
            for i in range(start, end):
                right[orders[cut, i]] = i >= middle
            kept, moved = start, 0
            for i in range(start, end):
                position = orders[1 - cut, i]
                if right[position]:
                    aside[moved] = position
                    moved += 1
                else:
                    orders[1 - cut, kept] = position
                    kept += 1
            orders[1 - cut, kept:end] = aside[:moved]
            stack_start[height], stack_blocks[height] = start, blocks // 2
            stack_start[height + 1], stack_blocks[height + 1] = middle, blocks - blocks // 2
            height += 2
    return orders[0].copy()


@_compiled
@no_type_check
def best_swaps(points, blocks, pairs, first, last, swap, gain):
    """Write the swap of one member that makes each pair of blocks most compact, and its gain."""
    size = blocks.shape[1]
    for p in range(first, last):
        one, two = pairs[p, 0], pairs[p, 1]
        sum_x, sum_y = points[blocks[one, 0], 0], points[blocks[one, 0], 1]
        other_x, other_y = points[blocks[two, 0], 0], points[blocks[two, 0], 1]
        for i in range(1, size):
            sum_x += points[blocks[one, i], 0]
            sum_y += points[blocks[one, i], 1]
            other_x += points[blocks[two, i], 0]
            other_y += points[blocks[two, i], 1]
        gap_x, gap_y = sum_x - other_x, sum_y - other_y
        best, where = -np.inf, 0
        for i in range(size):
            for j in range(size):
                dx = points[blocks[two, j], 0] - points[blocks[one, i], 0]
                dy = points[blocks[two, j], 1] - points[blocks[one, i], 1]
                here = dx * (dx + gap_x) + dy * (dy + gap_y)
                if here > best:
                    best, where = here, i * size + j
        swap[p], gain[p] = where, best
