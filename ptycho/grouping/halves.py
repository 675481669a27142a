"""Two disjoint halves of a scan that cover the same area.

Data flow: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int


def balanced_halves(
    positions: Float[np.ndarray, "position 2"], rng: np.random.Generator
) -> tuple[Int[np.ndarray, " first"], Int[np.ndarray, " second"]]:
    """Return two disjoint halves of the positions, each spread over the whole scan.

    The scan is bisected across its longer side, and so are the parts, until pairs of neighbours are
    left; each half gets one of a pair, at random. So no half has gaps wider than a few steps, and
    neither is a lattice of its own, as every second column would be.

    Args:
        positions: (row, col), any unit.
        rng: decides which of two neighbours goes to which half.

    Returns:
        Indices of both, ascending; together all positions. Their sizes differ by at most 1.

    Source:
        Stratified random assignment in matched pairs: Greevy et al., Biostatistics 5, 263 (2004).
    """
    first = np.zeros(len(positions), dtype=bool)
    for pair in _neighbours_in_pairs(positions, np.arange(len(positions))):
        chosen = rng.integers(2)  # 1 is beyond the end of a single position: the other half has it
        first[pair[chosen : chosen + 1]] = True
    return np.flatnonzero(first), np.flatnonzero(~first)


def _neighbours_in_pairs(
    positions: Float[np.ndarray, "position 2"], members: Int[np.ndarray, " member"]
) -> Iterator[Int[np.ndarray, " pair"]]:
    """Yield the members in pairs of neighbours, and a single one if their number is odd."""
    if len(members) <= 2:
        yield members
        return
    longer = int(np.ptp(positions[members], axis=0).argmax())
    ordered = members[np.argsort(positions[members, longer], kind="stable")]
    middle = 2 * round(len(ordered) / 4)  # even, so that at most one position is left single
    yield from _neighbours_in_pairs(positions, ordered[:middle])
    yield from _neighbours_in_pairs(positions, ordered[middle:])
