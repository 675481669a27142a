"""What a reconstruction of a scan returns."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from ptycho.engines.nuisances import Nuisances


class Reconstruction(NamedTuple):
    """The object of a scan and how well it explains the frames."""

    obj: Complex[np.ndarray, "row col"]
    """Complex transmission; 0 where no frame shows anything."""

    coverage: Float[np.ndarray, "row col"]
    """How much light fell on each pixel, relative to the brightest spot of one frame."""

    origin: tuple[int, int]
    """(row, col) of pixel (0, 0) in scan coordinates, object pixels."""

    frames: np.ndarray
    """Indices of the frames used, ascending."""

    residuals: Float[np.ndarray, " frame"]
    """Detector-space residual of each of them."""

    probe: Complex[np.ndarray, "mode row col"]
    """The illumination, sqrt(photons) per object pixel; refined if that was asked for."""

    free_residual: list[float]
    """Misfit of the held-out detector pixels in each sweep; empty without sweeps."""

    sweeps: int
    """Sweeps kept; epochs after a refinement."""

    beside: Nuisances
    """Positions, beam and background that go with the object, for all frames of the scan."""

    unexplained: tuple[float, float] | None = None
    """Share of the light beyond counting noise that the network's object and the final one leave
    unexplained; None when no network was asked."""
