"""Photon noise: Poisson counts from expected intensities.

Data flow: objects + probes + scans -> simulate -> [noise] -> RawData -> ...
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
    """Return the counts of a detector without noise of its own.

    Args:
        expected: photons per detector pixel from the sample.
        background: expected background photons per pixel, the same everywhere.
        rng: random numbers of the counts.

    Returns:
        Photons: uint16 if the brightest pixel fits, else uint32.
    """
    # float32 intensities can be below 0 by a rounding error; Poisson needs a mean of 0 or more.
    mean = np.maximum(expected, 0.0).astype(np.float64) + background
    counts = rng.poisson(mean)
    found: UInt[np.ndarray, "frame row col"] = counts.astype(
        smallest_counts(int(counts.max(initial=0)))
    )
    return found


def smallest_counts(brightest: int) -> type[np.unsignedinteger]:
    """Return uint16 if it holds this count, else uint32."""
    return np.uint16 if brightest <= np.iinfo(np.uint16).max else np.uint32
