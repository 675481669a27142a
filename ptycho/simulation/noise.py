"""Photons arrive one by one: Poisson counts from expected intensities.

Way of the data: objects + probes + scans -> simulate -> [noise] -> RawData -> ...
Knows frames only.
"""

import numpy as np
from jaxtyping import Float, UInt


def count_photons(
    expected: Float[np.ndarray, "frame row col"],
    *,
    background: float = 0.0,
    rng: np.random.Generator,
) -> UInt[np.ndarray, "frame row col"]:
    """Draw what a noise-free counting detector would read.

    Args:
        expected: photons per detector pixel from the sample.
        background: further photons per pixel, the same everywhere.
        rng: of the counts.

    Returns:
        Whole photons, uint16 where the brightest pixel fits, else uint32.
    """
    # float32 intensities can end a rounding error below 0, where Poisson is not defined.
    mean = np.maximum(expected, 0.0).astype(np.float64) + background
    counts = rng.poisson(mean)
    return counts.astype(smallest_counts(int(counts.max(initial=0))))


def smallest_counts(brightest: int) -> type[np.unsignedinteger]:
    """Return uint16 or uint32, whichever is the smallest that holds this count."""
    return np.uint16 if brightest <= np.iinfo(np.uint16).max else np.uint32
