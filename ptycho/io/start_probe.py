"""A probe to start from, where a file holds none.

The mean frame is, up to interference with the sample, the power spectrum of the probe. Its root,
transformed back with a flat phase, is the focus of that beam; a refinement starts from it.
"""

import numpy as np
from jaxtyping import Bool, Complex64

from ptycho.io.fields import FrameStack
from ptycho.io.mean_frame import mean_frame
from ptycho.io.measurement import Measurement

_FRAMES_OF_THE_MEAN = 256


def estimated_probe(
    frames: FrameStack, valid: Bool[np.ndarray, "row col"] | None, measurement: Measurement
) -> Complex64[np.ndarray, "1 row col"]:
    """Return the focused probe of the mean frame, sqrt(stored intensity) per object pixel.

    Args:
        frames: (M, N, N), zero frequency at N//2.
        valid: True on valid pixels; None if all are.
        measurement: what a stored value is.
    """
    mean = mean_frame(frames, measurement, _FRAMES_OF_THE_MEAN)
    if valid is not None:
        mean = np.where(valid, mean, np.median(mean[valid]))
    spectrum = np.fft.ifftshift(np.sqrt(mean))
    probe = np.fft.fftshift(np.fft.ifft2(spectrum, norm="ortho"))
    if not probe.any():
        probe = np.ones_like(probe)  # dark frames: any probe explains them
    return probe[None].astype(np.complex64)
