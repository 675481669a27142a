"""Conversion of stored detector values to photons (intensity) or their root (amplitude).

Data flow: file -> [RawData] -> groups -> batches -> ... -> report.
Knows values of frames only: no files, no positions. Everything past RawData works in these units.
"""

import numpy as np
from jaxtyping import Float32, Shaped


def intensity_of(
    frames: Shaped[np.ndarray, "*frame"], measurement: str
) -> Float32[np.ndarray, "*frame"]:
    """Return photons per pixel, a new array; converted before squaring, so nothing overflows."""
    values = np.array(frames, np.float32)
    return np.square(values, out=values) if measurement == "amplitude" else values


def amplitude_of(
    frames: Shaped[np.ndarray, "*frame"], measurement: str
) -> Float32[np.ndarray, "*frame"]:
    """Return sqrt(photons) per pixel, a new array."""
    values = np.array(frames, np.float32)
    return values if measurement == "amplitude" else np.sqrt(values, out=values)
