"""Two halves of a scan: as alike in what they cover as chance allows, with no position in common.

Way of the data: file -> RawData -> [groups] -> batches -> ... -> report.
Knows positions only: no frames, no files, no networks.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int


def balanced_halves(
    positions: Float[np.ndarray, "position 2"], rng: np.random.Generator
) -> tuple[Int[np.ndarray, " first"], Int[np.ndarray, " second"]]:
    """Return two disjoint halves of the positions, each spread over the whole scan.

    The scan is cut in two at the middle of its longer side, and so are the parts, until two
    neighbours are left; chance gives one of them to each half. So no half has holes wider than
    some steps, and neither is a lattice of its own, as every second column would be.

    Args:
        positions: (row, col), any unit.
        rng: says who of two neighbours goes where.

    Returns:
        Indices of both, ascending; together all positions. Of an odd number one has one more.

    Source:
        Stratified random assignment in matched pairs: Greevy et al., Biostatistics 5, 263 (2004).
    """
    first = np.zeros(len(positions), dtype=bool)
    for pair in _neighbours_in_pairs(positions, np.arange(len(positions))):
        chosen = rng.integers(2)  # beyond the end where one is alone: it goes to the other half
        first[pair[chosen : chosen + 1]] = True
    return np.flatnonzero(first), np.flatnonzero(~first)


def _neighbours_in_pairs(
    positions: np.ndarray, members: Int[np.ndarray, " member"]
) -> Iterator[Int[np.ndarray, " pair"]]:
    """Yield the members in twos, close together, and one alone where their number is odd."""
    if len(members) <= 2:
        yield members
        return
    longer = int(np.ptp(positions[members], axis=0).argmax())
    ordered = members[np.argsort(positions[members, longer], kind="stable")]
    middle = 2 * round(len(ordered) / 4)  # even, so that at most one position ends up alone
    yield from _neighbours_in_pairs(positions, ordered[:middle])
    yield from _neighbours_in_pairs(positions, ordered[middle:])
