"""What is known of an object before a measurement: the power spectra of log-amplitude and phase.

Data flow: object of the sweeps -> [spectra] -> the most probable object.
Pictures of all kinds have spectra that fall as a power of the frequency; how strong they are and
how fast they fall is measured on the object at hand.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.optimize import minimize
from torch import Tensor

from ptycho.metrics.frc import inner_rectangle

_SLOPES = (0.6, 2.0)
"""Of power laws, halved, from white noise to clouds."""
_USUAL = 1.4, 0.3  # slope of pictures, and its spread
_FAINTEST = 1e-6  # variance of a picture
_MOST_REDUCED = 4.0  # by the prior before; beyond, nothing is left of the data
_NOISIER = 4.0  # at most than the counts' mean information says
_FEWEST = 30  # frequencies to which two numbers are fitted


class PowerLaw(NamedTuple):
    """The power spectrum of one real picture: level / (k^2 + corner^2)^slope."""

    level: float
    slope: float
    corner: float
    """Cycles per pixel, below which the spectrum is flat."""

    def at(self, squared: Any) -> Any:
        """Return the expected |F x|^2 of an orthonormal transform.

        Args:
            squared: k^2, squared cycles per pixel; an array or a tensor.
        """
        return self.level / (squared + self.corner**2) ** self.slope

    def spread(self) -> float:
        """Return the standard deviation of a pixel."""
        side = torch.fft.fftfreq(256, dtype=torch.float64)
        return math.sqrt(float(self.at(side[:, None] ** 2 + side**2).mean()))


def power_law(variance: float, slope: float, corner: float) -> PowerLaw:
    """Return the power law of a picture of some variance.

    Args:
        variance: of a pixel.
        slope: see `PowerLaw`.
        corner: likewise.
    """
    unit = PowerLaw(1.0, slope, corner)
    return unit._replace(level=variance / unit.spread() ** 2)


class SpectralPrior(NamedTuple):
    """Independent Gaussian fields with the spectra of two power laws.

    Source:
        Field, J. Opt. Soc. Am. A 4, 2379 (1987): spectra of natural images.
    """

    log_amplitude: PowerLaw
    phase: PowerLaw

    def power(self, shape: tuple[int, int]) -> Float[Tensor, "2 row half"]:
        """Return both spectra on the half plane of `torch.fft.rfft2`.

        Args:
            shape: (row, col) of a canvas, which is taken as periodic.
        """
        squared = frequencies(shape)
        return torch.stack([law.at(squared) for law in self]).float()

    def __str__(self) -> str:
        amplitude, phase = self
        return (
            f"log-amplitude {amplitude.spread():.2g}, 1/k^{2 * amplitude.slope:.1f}; "
            f"phase {phase.spread():.2g} rad, 1/k^{2 * phase.slope:.1f}"
        )


def frequencies(shape: tuple[int, int]) -> Float[Tensor, "row half"]:
    """Return k^2 of the half plane of `torch.fft.rfft2`, squared cycles per pixel.

    Args:
        shape: (row, col) in real space.
    """
    rows = torch.fft.fftfreq(shape[0], dtype=torch.float64)
    return rows[:, None] ** 2 + torch.fft.rfftfreq(shape[1], dtype=torch.float64) ** 2


def first_prior(
    logarithms: Float[np.ndarray, "2 row col"], known: Bool[np.ndarray, "row col"]
) -> SpectralPrior:
    """Return a prior with the variance of an object and spectra as pictures have: 1 / k^2.

    Args:
        logarithms: log-amplitude and phase of the object.
        known: where it is known.
    """
    corner = 1 / max(logarithms.shape[1:])
    variances = (max(float(np.var(picture[known])), _FAINTEST) for picture in logarithms)
    return SpectralPrior(*(power_law(variance, 1.0, corner) for variance in variances))


def measured_prior(
    logarithms: Float[np.ndarray, "2 row col"],
    known: Bool[np.ndarray, "row col"],
    noise: Float[np.ndarray, "2 inside_row inside_col"],
    before: SpectralPrior,
) -> SpectralPrior:
    """Return the prior under which the data of an object are most probable.

    The object was found with a prior before, which has reduced each frequency of what the data say
    to the share S / (S + N). Undoing that gives the data y, and each power law maximises their
    likelihood, that of signal plus noise:

        sum_k log(S_k + N_k) + |F y|_k^2 / (S_k + N_k)

    Args:
        logarithms: log-amplitude and phase of the object.
        known: where it is known.
        noise: N of both pictures, the power spectrum on the grid of `inner_rectangle(known)`.
        before: the prior with which they were found.

    Source:
        Whittle, Ark. Mat. 2, 423 (1953).
    """
    rows, cols = inner_rectangle(known)
    laws = (
        _fitted(picture[rows, cols], spectrum, law)
        for picture, spectrum, law in zip(logarithms, noise, before, strict=True)
    )
    return SpectralPrior(*laws)


def _fitted(
    picture: Float[np.ndarray, "row col"], noise: Float[np.ndarray, "row col"], before: PowerLaw
) -> PowerLaw:
    """Return the power law of a picture whose noise is known."""
    shape = picture.shape
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in shape))
    middle = np.sum(picture * window) / np.sum(window)
    spectrum = np.fft.fft2((picture - middle) * window, norm="ortho")
    power = np.square(np.abs(spectrum)) / np.mean(window**2)
    squared = np.add.outer(*(np.fft.fftfreq(side) ** 2 for side in shape))
    reduced = 1 + noise / before.at(squared)
    used = (squared > (1.5 / min(shape)) ** 2) & (reduced < _MOST_REDUCED)  # and no window's spread
    if used.sum() < _FEWEST:
        return before
    # Rings of one frequency of the shorter side: power, noise and k^2 are means over them.
    number = np.floor(np.sqrt(squared[used]) * min(shape)).astype(int)
    count = np.bincount(number)
    filled = count > 0
    power, noise, squared = (
        np.bincount(number, values[used])[filled] / count[filled]
        for values in (power * reduced**2, noise, squared + before.corner**2)
    )
    count = count[filled]
    level = math.log(max(float(np.mean(power * squared)), 1e-12))

    def surprise(at: Float[np.ndarray, "3"]) -> float:
        expected = np.exp(at[0] - at[1] * np.log(squared)) + noise * np.exp(at[2])
        unusual = (at[1] - _USUAL[0]) / _USUAL[1]
        return float(np.sum(count * (np.log(expected) + power / expected)) + unusual**2 / 2)

    bounds = [(level - 20, level + 20), _SLOPES, (0, math.log(_NOISIER))]
    starts = ([level, slope, 0.1] for slope in (1.0, 1.5))
    tried = (minimize(surprise, at, method="Nelder-Mead", bounds=bounds) for at in starts)
    found = min(tried, key=lambda each: float(each.fun))
    return before._replace(level=math.exp(found.x[0]), slope=float(found.x[1]))
