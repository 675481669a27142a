"""What a stored detector value means: counts, intensity or amplitude.

Way of the data: file -> [RawData] -> groups -> batches -> ... -> report.
Knows values of frames only: no files, no positions.

Everything past RawData works with photons (intensity) or their square root (amplitude). The tag
of a stack is given by the user or the file; it is inferred only where one reading is possible.
"""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32, Shaped

Measurement = Literal["counts", "intensity", "amplitude"]
"""counts: whole photons; intensity: photons, any real number; amplitude: sqrt(photons)."""

MEASUREMENTS: tuple[str, ...] = get_args(Measurement)

_LARGEST_EXACT = 2**16  # above, sqrt(counts) in float32 no longer squares to a whole number


def intensity_of(
    frames: Shaped[np.ndarray, "*frame"], measurement: Measurement
) -> Float32[np.ndarray, "*frame"]:
    """Return photons per pixel, a new array; converted before squaring, so nothing overflows."""
    values = np.array(frames, np.float32)
    return np.square(values, out=values) if measurement == "amplitude" else values


def amplitude_of(
    frames: Shaped[np.ndarray, "*frame"], measurement: Measurement
) -> Float32[np.ndarray, "*frame"]:
    """Return sqrt(photons) per pixel, a new array."""
    values = np.array(frames, np.float32)
    return values if measurement == "amplitude" else np.sqrt(values, out=values)


def infer_measurement(
    sample: Shaped[np.ndarray, "frame row col"], *, amplitude_by_custom: bool
) -> tuple[Measurement, str] | None:
    """Return what values can only be, and why; None when more than one reading is possible.

    Args:
        sample: Some frames as stored.
        amplitude_by_custom: Whether the place they were found in holds amplitudes by custom.
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
    return ("amplitude", "the custom for this key") if amplitude_by_custom else None
