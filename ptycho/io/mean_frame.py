"""The mean frame of a scan, for centring, calibration and a first probe.

Data flow: frames in their file -> [mean] -> centre, object pixel, probe.
Reads some frames, few at a time: memory does not grow with the size or number of the frames.
"""

import numpy as np
from jaxtyping import Float

from ptycho.io.fields import FrameStack
from ptycho.io.measurement import Measurement
from ptycho.spread import spread

_BYTES_AT_ONCE = 2**26


def mean_frame(
    frames: FrameStack, measurement: Measurement, most: int = 64
) -> Float[np.ndarray, "row col"]:
    """Return the mean stored intensity of frames spread over the scan; amplitudes are squared.

    Values that are negative or not finite count as 0: other checks name their frames.

    Args:
        frames: (M, H, W).
        measurement: what a stored value is.
        most: number of frames to read.
    """
    chosen = spread(len(frames), most)
    height, width = frames.shape[1:]
    at_once = max(1, _BYTES_AT_ONCE // (8 * height * width))
    total = np.zeros((height, width))
    for first in range(0, len(chosen), at_once):
        values = np.asarray(frames[chosen[first : first + at_once]], np.float64)
        values = np.where((values > 0) & (values < np.inf), values, 0)
        total += (values**2 if measurement == "amplitude" else values).sum(axis=0)
    return total / max(len(chosen), 1)
