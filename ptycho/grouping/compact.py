"""The compact part of a scan: the positions around its middle, for a short look at its frames."""

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree


def compact_part(positions: Float[np.ndarray, "frame 2"], most: int) -> Int[np.ndarray, " chosen"]:
    """Return the positions nearest to the median of all, ascending.

    Args:
        positions: (row, col), any unit.
        most: how many.
    """
    middle = np.median(positions, axis=0)
    _, near = cKDTree(positions).query(middle, k=min(most, len(positions)))
    chosen: Int[np.ndarray, " chosen"] = np.sort(np.atleast_1d(near))
    return chosen
