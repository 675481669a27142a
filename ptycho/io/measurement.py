"""What a stored detector value means: counts, intensity or amplitude.

Data flow: file -> [fields] -> RawData -> groups -> ...
Knows values of frames only: no files, no positions.

The user or the file states the meaning; it is inferred only where a single reading is possible.
"""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Shaped

Measurement = Literal["counts", "intensity", "amplitude"]
"""counts: whole photons; intensity: photons, any real number; amplitude: sqrt(photons)."""

MEASUREMENTS: tuple[Measurement, ...] = get_args(Measurement)

_LARGEST_EXACT = 2**16  # above, sqrt(counts) in float32 no longer squares to a whole number


def infer_measurement(
    sample: Shaped[np.ndarray, "frame row col"], *, amplitude_by_convention: bool
) -> tuple[Measurement, str] | None:
    """Return the only possible meaning of some values, and the reason; None if it is ambiguous.

    Args:
        sample: Some frames as stored.
        amplitude_by_convention: Whether their entry holds amplitudes by convention.
    """
    if sample.dtype.kind in "ui":
        return "counts", f"whole numbers ({sample.dtype})"
    values = np.asarray(sample, np.float64)
    largest = values.max(initial=0)
    # Square roots of counts are not all whole, so whole numbers above 1 are counts.
    if largest > 1 and np.array_equal(values, np.rint(values)):
        return "counts", f"only whole numbers, up to {largest:,.0f}"
    squares = np.square(values)
    if 1 < squares.max(initial=0) < _LARGEST_EXACT and np.allclose(
        squares, np.rint(squares), rtol=0, atol=0.02
    ):
        return "amplitude", "every square is a whole number"
    return ("amplitude", "the convention for this entry") if amplitude_by_convention else None
