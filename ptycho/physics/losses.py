"""Distances between expected and measured frames.

Data flow: network + physics -> [loss] -> training.
A loss is defined by one pointwise function; its value, its treatment of masked pixels and its
noise floor follow. The table of losses is `ptycho.physics.LOSSES`.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

DARK = 1e-6
"""Photons added to both sides under a root or logarithm, so that dark pixels keep a gradient."""

_BRIGHT = 30.0  # photons per pixel above which counts are nearly Gaussian
_TABLE_STEPS = 60_000  # equal in sqrt I, where g is smooth: interpolation error 1e-8
_NODES = 16  # of the Gaussian quadrature


@dataclass(frozen=True)
class Loss:
    """A loss per photon, from a distance of single pixels.

        L = sum d(I, n) / sum n

    Divided by the measured photons, so that the scale of the gradient does not depend on the dose.
    """

    distance: Callable[[Tensor, Tensor], Tensor]
    """d(I, n), pointwise: expected and counted photons in, a tensor of the same shape out. At
    least 0, and 0 where I = n."""

    bright_noise: float | None = None
    """Limit of E[d(I, n)] for many photons, if it is known; None integrates over Gaussian noise."""

    def __call__(
        self,
        expected: Float[Tensor, "*batch row col"],
        amplitude: Float[Tensor, "*batch row col"],
        mask: Bool[Tensor, "row col"] | None = None,
    ) -> Float[Tensor, ""]:
        """Return the loss of some frames.

        Args:
            expected: I, photons per pixel from the forward model.
            amplitude: sqrt(n), measured.
            mask: True on the pixels that are used; None uses all.
        """
        counted = amplitude.square()
        distance = self.distance(expected, counted)
        if mask is not None:
            nothing = torch.zeros((), dtype=distance.dtype, device=distance.device)
            distance, counted = (torch.where(mask, each, nothing) for each in (distance, counted))
        return distance.sum() / counted.sum().clamp_min(DARK)

    def noise_floor(
        self,
        expected: Float[Tensor, "*batch row col"],
        mask: Bool[Tensor, "row col"] | None = None,
    ) -> float:
        """Return the loss that remains if the expected intensity is true: that of counting noise.

            floor = sum g(I) / sum I,  g(I) = E[d(I, n)] for n Poisson with mean I

        For the amplitude loss g tends to 2 I on dark pixels. A loss well above the floor has a
        cause other than counting noise.

        Args:
            expected: I, photons per pixel from the forward model.
            mask: True on the pixels that are used; None uses all.

        Source:
            Definition. The mean is a sum over the Poisson distribution up to I = 30, tabulated.
        """
        mean = (expected if mask is None else expected[..., mask]).flatten().double()
        table = _noise_table(self.distance).to(mean.device)
        place = mean.clamp(max=_BRIGHT).sqrt() * (_TABLE_STEPS / _BRIGHT**0.5)
        below = place.long().clamp(max=_TABLE_STEPS - 1)
        noise = torch.lerp(table[below], table[below + 1], place - below)
        bright = mean > _BRIGHT
        if self.bright_noise is not None:
            noise = torch.where(bright, self.bright_noise, noise)
        elif bright.any():
            noise[bright] = _gaussian_noise(self.distance, mean[bright])
        return float(noise.sum() / mean.sum().clamp_min(DARK))


@functools.cache
def _noise_table(distance: Callable[[Tensor, Tensor], Tensor]) -> Float[Tensor, " entry"]:
    """Return g of means from 0 to `_BRIGHT` photons whose roots are equally spaced."""
    mean = torch.linspace(0, _BRIGHT**0.5, _TABLE_STEPS + 1, dtype=torch.float64).square()
    chance = torch.exp(-mean)
    noise = chance * distance(mean, torch.zeros_like(mean))
    for n in range(1, 100):
        chance = chance * mean / n
        noise += chance * distance(mean, torch.full_like(mean, n))
    return noise


def _gaussian_noise(
    distance: Callable[[Tensor, Tensor], Tensor], mean: Float[Tensor, " pixel"]
) -> Float[Tensor, " pixel"]:
    """Return g of bright pixels, whose counts are Gaussian with variance I (quadrature)."""
    noise = torch.zeros_like(mean)
    for node, weight in zip(*np.polynomial.hermite_e.hermegauss(_NODES), strict=True):
        counted = (mean + float(node) * mean.sqrt()).clamp_min(0)
        noise += float(weight) / math.sqrt(2 * math.pi) * distance(mean, counted)
    return noise


def _amplitude_distance(expected: Tensor, counted: Tensor) -> Tensor:
    return ((expected + DARK).sqrt() - counted.sqrt()).square()


def _poisson_distance(expected: Tensor, counted: Tensor) -> Tensor:
    modelled = expected + DARK
    deviance = modelled - counted + torch.xlogy(counted, (counted + DARK) / modelled)
    return 0.5 * deviance


amplitude_loss = Loss(_amplitude_distance, bright_noise=0.25)
"""sum (sqrt I - sqrt n)^2 / sum n.

The root makes Poisson noise uniform (variance 1/4), so the sum is close to the likelihood if most
pixels count more than a few photons. Its noise floor is about pixels / (4 photons).

Source:
    Thibault & Guizar-Sicairos, New J. Phys. 14, 063004 (2012), section 2.
"""

poisson_loss = Loss(_poisson_distance, bright_noise=0.25)
"""sum (I - n + n log(n / I)) / (2 sum n): a quarter of the Poisson deviance per photon.

Its minimum is that of the Poisson likelihood. With the factor of a quarter it equals
`amplitude_loss` for small deviations, so one learning rate serves both. Prefer it at low dose,
where many pixels count no photon or one.

Source:
    Thibault & Guizar-Sicairos, New J. Phys. 14, 063004 (2012), eq. 5.
"""
