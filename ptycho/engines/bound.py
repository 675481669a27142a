"""The smallest error that any reconstruction of a scan can have, before the scan is made.

Data flow: probe, positions, photons, sample -> [information + prior] -> errors, resolution.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from ptycho.engines.information import WELL_KNOWN, Information
from ptycho.engines.spectral_prior import SpectralPrior, frequencies
from ptycho.engines.stitching import illumination_on
from ptycho.physics.patches import canvas_of
from ptycho.physics.probe import probe_intensity

_LEVELS = 16
"""Of the illumination of a scan: where it varies, so does the error."""
_PERIODIC = 128  # pixels of the square over whose frequencies errors are summed


@dataclass(frozen=True, slots=True)
class Bound:
    """The smallest root-mean-square error of an unbiased use of counts and prior.

    For a known probe and Poisson counts the posterior variance of a frequency is 1 / (h + 1 / S),
    with the information h of the counts (`Information`) and the spectrum S of the sample; it is
    averaged over the illumination of the pixels. Frequencies below one period in the field are
    excluded: a global phase cannot be measured. Within 15 % of the inverse of the whole Fisher
    matrix for steps of a fifth to four fifths of the probe's width.

    Attributes:
        phase: radians.
        log_amplitude: about the error relative to the amplitude.
        photons_per_pixel: that fall on an object pixel, median.
        frequency: cycles per pixel up to which the object correlates with the true one by 0.5 or
            more; 0.5 if up to the pixel.

    Source:
        van Trees, Detection, Estimation, and Modulation Theory I (1968), section 2.4.
    """

    phase: float
    log_amplitude: float
    photons_per_pixel: float
    frequency: float

    @property
    def resolution(self) -> float:
        """Half of the shortest period that is resolved, object pixels."""
        return 0.5 / self.frequency if self.frequency > 0 else math.inf


def illumination_levels(
    probe: Complex[Tensor, "mode row col"], positions: Float[Tensor, "frame 2"]
) -> Float[np.ndarray, " level"]:
    """Return photons on the pixels of an object through empty space, as equal shares of its area.

    Args:
        probe: sqrt(photons) per object pixel.
        positions: of the frames as (row, col), object pixels.
    """
    canvas = canvas_of(positions, probe.shape[-1])
    light = illumination_on(canvas, positions, probe) * float(probe_intensity(probe).max())
    known = light[light > WELL_KNOWN * light.max()].numpy()
    shares = (np.arange(_LEVELS) + 0.5) / _LEVELS
    return np.quantile(known, shares)


def bound_of(
    probe: Complex[Tensor, "mode row col"],
    levels: Float[np.ndarray, " level"],
    prior: SpectralPrior,
    *,
    transmission: float,
    field: float,
) -> Bound:
    """Return the smallest error of a scan.

    Args:
        probe: sqrt(photons) per object pixel.
        levels: from `illumination_levels`.
        prior: spectra of the sample.
        transmission: mean of the squared amplitude of the sample.
        field: side of the scanned area, object pixels.
    """
    shape = (_PERIODIC, _PERIODIC)
    squared, intensity = frequencies(shape), probe_intensity(probe)
    power = prior.power(shape).double()
    variance = torch.zeros_like(power)
    for level in levels:
        known = Information(float(level) * transmission, 1.0, intensity).on(shape)
        variance += 1 / (known.double() + 1 / power) / len(levels)
    twice = torch.full((shape[1] // 2 + 1,), 2.0, dtype=torch.float64)
    twice[[0, -1]] = 1
    weight = twice * (squared > (0.5 / field) ** 2)
    errors = ((variance * weight).sum(dim=(-2, -1)) / _PERIODIC**2).sqrt().tolist()
    missing = (variance.sum(dim=0) / power.sum(dim=0)).numpy()
    frequency = squared.sqrt().numpy()
    rings = np.floor(frequency * _PERIODIC).astype(int).ravel()
    counted = np.bincount(rings)
    share = np.bincount(rings, missing.ravel()) / counted
    inside = share[1 : _PERIODIC // 2 + 1]
    lost = np.flatnonzero(inside > 1 - 0.5**2)  # a correlation of 0.5 with the truth
    resolved = 0.5 if len(lost) == 0 else (int(lost[0]) + 0.5) / _PERIODIC
    return Bound(errors[1], errors[0], float(np.median(levels)) * transmission, resolved)
