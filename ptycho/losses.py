"""How far expected frames are from measured ones.

Way of the data: network + physics -> [loss] -> training.
Each is divided by the photons measured, so that ten times the dose gives the same gradient scale.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

DARK = 1e-6
"""Photons added to both sides under a root or logarithm, so that dark pixels keep a gradient."""


def amplitude_loss(
    expected: Float[Tensor, "*batch row col"], amplitude: Float[Tensor, "*batch row col"]
) -> Float[Tensor, ""]:
    """Return sum (sqrt I - sqrt n)^2 / sum n.

    The root makes Poisson noise uniform (variance 1/4), so plain squares are near the likelihood
    wherever more than a few photons fall on a pixel. Its noise floor is about pixels / (4 photons).

    Args:
        expected: I, photons per pixel from the forward model.
        amplitude: sqrt(n), measured.

    Source:
        Thibault & Guizar-Sicairos, New J. Phys. 14, 063004 (2012), section 2.
    """
    modelled = (expected + DARK).sqrt()
    return (modelled - amplitude).square().sum() / amplitude.square().sum().clamp_min(DARK)


def poisson_loss(
    expected: Float[Tensor, "*batch row col"], amplitude: Float[Tensor, "*batch row col"]
) -> Float[Tensor, ""]:
    """Return sum (I - n + n log(n / I)) / (2 sum n): a quarter of the Poisson deviance per photon.

    Its minimum is that of the Poisson likelihood; the quarter makes it equal `amplitude_loss` for
    small deviations, so one learning rate serves both.

    Args:
        expected: I, photons per pixel from the forward model.
        amplitude: sqrt(n), measured.

    Source:
        Thibault & Guizar-Sicairos, New J. Phys. 14, 063004 (2012), eq. 5.
    """
    counted = amplitude.square()
    modelled = expected + DARK
    deviance = modelled - counted + torch.xlogy(counted, (counted + DARK) / modelled)
    return 0.5 * deviance.sum() / counted.sum().clamp_min(DARK)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "amplitude": amplitude_loss,
    "poisson": poisson_loss,
}


def poisson_floor(expected: Float[Tensor, "*batch row col"]) -> float:
    """Return the amplitude loss that counting noise alone would leave if the model were right.

        floor = sum g(I) / sum I,  g(I) = E[(sqrt n - sqrt I)^2] for n Poisson with mean I

    g tends to 2 I on dark pixels and to 1/4 on bright ones. A loss well above this floor has a
    cause other than noise.

    Args:
        expected: I, photons per pixel from the forward model.

    Source:
        Definition; E[sqrt n] summed over the Poisson distribution up to I = 30.
    """
    mean = expected.flatten().double()
    low = mean.clamp(max=30.0)
    chance, mean_root = torch.exp(-low), torch.zeros_like(low)
    for n in range(1, 100):
        chance = chance * low / n
        mean_root += math.sqrt(n) * chance
    exact = 2 * low - 2 * low.sqrt() * mean_root
    noise = torch.where(mean > 30.0, torch.full_like(mean, 0.25), exact)
    return float(noise.sum() / mean.sum().clamp_min(DARK))
