"""Evenly spaced indices: which frames, groups or batches stand for all of them."""

import numpy as np
from jaxtyping import Int


def spread(n: int, most: int) -> Int[np.ndarray, " chosen"]:
    """Return up to `most` of the indices 0 ... n-1, evenly spaced, the first and last included.

    Every sample of frames, groups or batches in this package is chosen here.

    Args:
        n: Number of items; 0 gives no index.
        most: Largest number of indices to return, 1 or more.
    """
    if n < 1:
        return np.empty(0, np.intp)
    return np.unique(np.linspace(0, n - 1, most).astype(np.intp))
